"""A report on made-up runs, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.support.evidence import evidence, runs_of
from vaestudy.claims.claim import Claim
from vaestudy.claims.family import FamilyVerdict, judge_family
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.contents import Report, report_of
from vaestudy.evidence.evidence import Evidence


def all_runs(*chosen: str, **changes: object) -> Evidence:
    """Return runs of all that some claims need [default: all claims], with some columns changed."""
    claims = [CLAIMS[name] for name in chosen or CLAIMS]
    merged: dict[object, dict[str, object]] = {}  # a cell that several claims need has the metrics of all of them
    for row in (row for claim in claims for part in runs_of(claim) for row in part):
        row |= {"experiment": "7"} | changes
        merged.setdefault(row["tags.config.key"], {}).update(row)
    return evidence(list(merged.values()))


def link(experiment: str, run_id: str) -> str:
    """Return the address of a run."""
    return f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{run_id}"


def report_on(
    runs: Evidence, claims: Sequence[Claim] = tuple(CLAIMS.values()), looks: Mapping[str, int] | None = None
) -> tuple[Report, list[FamilyVerdict]]:
    """Return the report on some claims, and the verdicts of all."""
    counts = dict(looks or {})
    family = judge_family(CLAIMS.values(), runs, counts)
    return report_of(family, runs, {claim.id: claim.needs for claim in claims}, counts, link), family
