"""A claim of the article, and the verdict that is computed for it.

A claim has parts. Each part is a question with a measure and a criterion, and its answer is `holds`, `fails` or
`undecided`. The verdict of the claim comes from the p-values of its parts:

    holds       every part holds; p is the largest p of them (Berger's intersection-union test)
    fails       every part fails, by the largest p; or a decisive part fails, by its own p
    depends     at least one part holds and at least one fails; p is the larger of the two smallest, each times the
                number of parts, as both were chosen among the parts (Bonferroni)
    undecided   none of these has a p-value of at most ALPHA; it says which part would decide it, with how many seeds

A part may be decisive: the claim fails with it, whatever the others say. Exploratory parts are reported and decide
nothing.

**Looks.** If more seeds are added because a claim was undecided, its verdict is computed again. Each look is a chance
for an error, so with k looks each is made at ALPHA / k (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from vaestudy.claims.part import Part, PartVerdict, counted
from vaestudy.claims.summary import summary_sentence
from vaestudy.evidence.needs import Need

if TYPE_CHECKING:
    from vaestudy.evidence.evidence import Evidence

Answer = Literal["holds", "fails", "depends", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """The verdict of a claim, with its evidence."""

    claim: Claim
    verdict: Answer
    p: float
    """The p-value of the verdict; of `undecided`, the smallest that any other verdict has."""
    parts: tuple[PartVerdict, ...]

    @property
    def summary(self) -> str:
        """Return the answer in one short sentence, without the verdict and without a full stop."""
        return summary_sentence(self.verdict, self.parts)

    @property
    def deciding(self) -> tuple[PartVerdict, ...]:
        """Return the undecided parts that keep the claim undecided."""
        if self.verdict != "undecided":
            return ()
        return tuple(part for part in counted(self.parts) if part.decision.answer == "undecided")

    @property
    def wanted(self) -> tuple[Need, ...]:
        """Return what would decide an undecided claim: its arms with more seeds."""
        return tuple(arm for part in self.deciding for arm in part.wanted)


@dataclass(frozen=True)
class Claim:
    """A claim of the article."""

    id: str
    words: str
    """What the article says, in our words."""
    question: str
    parts: tuple[Part, ...]
    figure: tuple[str, str]
    """The study and the name of the figure of that study that shows the answer."""

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """Return what the claim needs: each cell once, with the largest number of seeds that a part needs."""
        most: dict[Need, int] = {}
        for part in self.parts:
            for arm in part.measure.needs:
                cell = arm.with_seeds(1)
                most[cell] = max(arm.seeds, most.get(cell, 1))
        return tuple(cell.with_seeds(seeds) for cell, seeds in most.items())

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that the claim reads, sorted."""
        return tuple(sorted({name for part in self.parts for name in part.measure.metrics}))

    def judge(self, evidence: Evidence, looks: int = 1) -> Verdict:
        """Return the verdict.

        Args:
            evidence: the runs that are there.
            looks: how many times verdicts are computed with a growing number of seeds, this time included.

        Raises:
            Incomparable: the runs are of several data sets or subsets, or must not be compared within a part.
        """
        from vaestudy.evidence.estimates import ALPHA

        evidence.require_same_images(self.needs)
        parts = tuple(part.judge(evidence, ALPHA / looks) for part in self.parts)
        chances = p_values(parts)
        answer = min(chances, key=lambda name: chances[name])
        p = chances[answer]
        return Verdict(self, answer if p <= ALPHA / looks else "undecided", p, parts)


def p_values(parts: Sequence[PartVerdict]) -> dict[Answer, float]:
    """Return the p-values of the three decided verdicts; see the docstring of this file."""
    mine = counted(parts)
    holds, fails = ([getattr(part.decision, name) for part in mine] for name in ("p_holds", "p_fails"))
    decisive = [part.decision.p_fails for part in mine if part.part.role == "decisive"]
    all_fail = min([max(fails), *(min(1.0, len(decisive) * p) for p in decisive)])
    # Where a decisive part is undecided or fails, the others cannot make the claim depend on anything.
    settled = max((part.decision.p_holds for part in mine if part.part.role == "decisive"), default=0.0)
    depends = min(1.0, len(mine) * max(min(holds), min(fails)))
    return {"holds": max(holds), "fails": all_fail, "depends": max(depends, settled)}
