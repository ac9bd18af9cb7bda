"""The work of `--plan` of a study: what would be run, how long it takes, and where it would be written."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vaestudy.reporting.costs import ONE_NUMBER, shown_minutes
from vaestudy.runtime import free_memory
from vaestudy.runtime.addresses import public_address
from vaestudy.runtime.console import consoles, print_uncut
from vaestudy.runtime.paths import cores, mlruns, slug
from vaestudy.study.plan import Plan
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.forecast import Forecast, forecast
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.timed_steps import timed_seconds
from vaestudy.training import memory

MOST_ROWS = 40
"""The largest number of rows of the table."""


def show_plan(sweep: Sweep, plan: Plan, options: SweepOptions, locations: Locations, has_data: bool) -> int:
    """Print what a study would run, and stop; return the exit code. Nothing is written.

    Args:
        sweep: the sweep.
        plan: its searches and cells.
        options: how they would be run.
        locations: the folder of the data sets and the address of the tracker.
        has_data: whether the data set is on disk, so that steps can be timed.
    """
    err, out = consoles()
    if sweep.note:
        err.print(sweep.note, style="yellow")
    with err.status("looking at the records, timing steps"):
        found = forecast(sweep, plan, options, locations, timed_seconds if has_data else None)
    for line in found.notes:
        err.print(line, style="yellow")
    missing = sum(group.missing for group, _ in found.groups)
    workers = cores() if options.workers is None else max(1, options.workers)
    at_once = max(1, min(workers, missing))
    print_uncut(out, _table(found, sweep))
    runs = sum(group.runs for group, _ in found.groups)
    out.print(f"{runs} runs, {runs - missing} done, {missing} to do" + (
        f" ({found.waiting} of the done wait for the tracker; `vaestudy sync` delivers them)" if found.waiting else ""
    ))  # fmt: skip
    if missing:
        total = found.total(at_once)
        minutes = shown_minutes(total.low / 60, total.high / 60)
        out.print(f"time      {minutes} min with {at_once} at once, if nothing else runs here ({total.basis})")
        need = max(sum(memory.estimate_bytes(g.config).values()) for g, _ in found.groups if g.missing) * at_once
        free = free_memory.available()
        out.print(
            f"memory    up to {need / 2**30:.1f} GiB with {at_once} at once; {free / 2**30:.1f} GiB are available"
        )
    study = sweep.study.name
    out.print(f"runs to   {public_address(locations.tracking_uri)}, experiment {study}, sweep {found.generation}")
    out.print(f"tables to {mlruns() / 'tables' / study / slug(found.generation)}")
    out.print("This is a plan: nothing was run or written. The same command without --plan runs it.")
    return 0


def _table(found: Forecast, sweep: Sweep) -> Table:
    """Return the table of the cells."""
    title = f"{sweep.study.question} ({found.generation})"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("cells", "runs", "done", "to do", "seconds a run", "from"):
        table.add_column(heading, justify="left" if heading in ("cells", "from") else "right")
    for group, seconds in found.groups[:MOST_ROWS]:
        most = "at most " if group.at_most else ""
        each = _seconds(seconds.low, seconds.high)
        table.add_row(group.name or "all", f"{most}{group.runs}", str(group.done), str(group.missing), each,
                      seconds.basis)  # fmt: skip
    if (more := len(found.groups) - MOST_ROWS) > 0:
        table.add_row(f"and {more} more", "", "", "", "", "")
    return table


def _seconds(low: float, high: float) -> str:
    """Return the seconds of a run as text."""
    if low != low:
        return "?"
    if high <= ONE_NUMBER * low:
        return _number((low + high) / 2)
    return f"{_number(low)} to {_number(high)}"


def _number(seconds: float) -> str:
    """Return seconds as text: with two digits below ten, else without decimals."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
