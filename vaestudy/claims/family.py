"""All claims as one family: their verdicts with and without Holm's correction for many tests.

Each claim has one p-value, that of its verdict (`claims/claim.py`), and is tested in two directions at 2.5 % each. If
fourteen verdicts are each false with a chance of 5 %, at least one is with a chance of 51 % (if they are independent).
Holm's correction keeps this chance below 5 %, whatever their dependence. A verdict whose corrected p-value is above
ALPHA is `undecided` in the family. It stays what it is for a reader who asks about this claim alone.

A claim that was judged in several looks (`claims/looks.py`) enters the family with its p-value times their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaestudy.claims.claim import Answer, Claim, Verdict

if TYPE_CHECKING:
    from vaestudy.evidence.evidence import Evidence


@dataclass(frozen=True)
class FamilyVerdict:
    """The verdict of a claim, alone and among the others."""

    alone: Verdict
    p_corrected: float
    """The p-value of the verdict, corrected for all claims of the family."""
    corrected: Answer
    """The verdict if its corrected p-value is small enough, else `undecided`."""

    @property
    def differs(self) -> bool:
        """Return whether the correction changes the verdict."""
        return self.corrected != self.alone.verdict


def judge_family(
    claims: Iterable[Claim], evidence: Evidence, looks: Mapping[str, int] | None = None
) -> list[FamilyVerdict]:
    """Return the verdicts of claims that are one family, in their order.

    Args:
        claims: all claims of the family, also those without runs.
        evidence: the runs that are there.
        looks: name of a claim -> the number of its looks, see `Claim.judge` [default: one look each].

    Raises:
        Incomparable: see `Claim.judge`.
    """
    from vaestudy.evidence.estimates import ALPHA
    from vaestudy.evidence.statistics import holm

    counts = looks or {}
    verdicts = [claim.judge(evidence, counts.get(claim.id, 1)) for claim in claims]
    corrected = holm([min(1.0, counts.get(verdict.claim.id, 1) * verdict.p) for verdict in verdicts])
    return [
        FamilyVerdict(verdict, p, verdict.verdict if p <= ALPHA else "undecided")
        for verdict, p in zip(verdicts, corrected, strict=True)
    ]


def where_it_matters(family: Iterable[FamilyVerdict]) -> str:
    """Return one sentence that says which verdicts the correction changes."""
    changed = [found.alone.claim.id for found in family if found.differs]
    if not changed:
        return "Holm's correction for all claims changes no verdict."
    return f"Under Holm's correction for all claims, {', '.join(changed)} would be undecided."
