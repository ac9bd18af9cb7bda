"""What `vaestudy article` prints: the table of the plan, and that of the verdicts."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vaestudy.claims.plan import PlannedClaim
from vaestudy.claims.report.contents import Report
from vaestudy.cli.evidence_work import minutes
from vaestudy.evidence.missing import Cost
from vaestudy.sweep.sweep_options import SweepOptions


def plan_table(rows: list[PlannedClaim], missing: int, total: Cost, options: SweepOptions) -> Table:
    """Return the table of a plan.

    Args:
        rows: the claims.
        missing: the number of missing runs of all of them, each counted once.
        total: what these take.
        options: how the runs are executed.
    """
    table = Table(title="runs of the claims", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("claim", "verdict now", "tracked", "committed", "missing", "minutes to go", "to decide it"):
        right = heading in ("tracked", "committed", "missing")
        table.add_column(heading, justify="right" if right else "left", max_width=60)
    for row in rows:
        counts = (row.runs.tracked, row.runs.committed, row.runs.missing)
        time = minutes(row.cost, options)
        table.add_row(row.verdict.claim.id, row.verdict.verdict, *map(str, counts), time, row.more)
    table.add_section()
    table.add_row("all", "", "", "", str(missing), minutes(total, options), "")
    return table


def summary_table(report: Report) -> Table:
    """Return the table of all claims for a terminal."""
    table = Table(title=report.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("claim", "asked", "verdict", "how sure"):
        table.add_column(heading, max_width=48)
    for claim in report.claims:
        table.add_row(claim.id, claim.asked, claim.verdict, claim.sure)
    return table
