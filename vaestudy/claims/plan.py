"""The plan of the article: which runs of which claims are there, which are missing, and how long these take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vaestudy.claims.claim import Claim, Verdict
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.missing import Cost, RunCounts, cost, count_runs, missing_runs
from vaestudy.evidence.needs import Need


@dataclass(frozen=True)
class PlannedClaim:
    """The runs of a claim."""

    verdict: Verdict
    runs: RunCounts
    cost: Cost
    """What the missing runs take."""
    more: str
    """What would decide the claim if it is undecided and no run is missing; else empty."""


def planned(claim: Claim, needs: Sequence[Need], evidence: Evidence, looks: int = 1) -> PlannedClaim:
    """Return the plan of a claim.

    Args:
        claim: the claim.
        needs: what it needs, with the seeds of all looks.
        evidence: the runs that are there.
        looks: see `Claim.judge`.
    """
    verdict = claim.judge(evidence, looks)
    runs = count_runs(needs, evidence)
    more = "" if runs.missing or verdict.verdict != "undecided" else _more(verdict, evidence)
    return PlannedClaim(verdict, runs, cost(needs, evidence), more)


def _more(verdict: Verdict, evidence: Evidence) -> str:
    """Return what would decide an undecided claim whose runs are all there."""
    if not verdict.deciding:
        return "its parts differ, not clearly enough"
    texts = dict.fromkeys(f"{part.part.name}: {part.would_decide}" for part in verdict.deciding)
    runs = sum(len(entry.cells) for entry in missing_runs(verdict.wanted, evidence))
    return "; ".join(texts) + (f" ({runs} run{'s' * (runs != 1)})" if runs else "")
