"""The progress display of a sweep.

It shows a bar for the sweep, a bar for each run under way, the best value so far, and a line for each run that ends.
"""

from __future__ import annotations

import math

from rich.progress import Progress, TaskID

from vaestudy.reporting.tables.formats import format_of, number_text
from vaestudy.run.record import EpochEnd, Record, RunEnd, RunFailure
from vaestudy.study.declaration import Cell
from vaestudy.study.sweep import Sweep


class ProgressDisplay:
    """The progress of the cells that a sweep runs.

    Args:
        bar: where the bars are drawn.
        missing: the cells that are run.
        sweep: the sweep.
    """

    def __init__(self, bar: Progress, missing: list[Cell], sweep: Sweep) -> None:
        self._bar, self._objective = bar, sweep.objective
        self._score = sweep.study.tabulate[0]  # shown in the line of each run that ends
        fixed = not {"pixels", "dataset"} & set(sweep.study.factors)
        # Values may be ranked only within one data set, pixel protocol and family of likelihoods. Otherwise no value is
        # shown beside the bars, as values in one column would be read as a ranking.
        self._ranked = fixed and len(sweep.study.families) == 1
        self._cells = {cell.config.key: cell for cell in missing}
        self._tasks: dict[str, TaskID] = {}
        self._last_epoch: dict[str, int] = {}
        self._shown_notices: set[str] = set()
        self._ended, self._best = 0, -math.inf
        self._all = bar.add_task("study, epochs", total=sum(c.config.epochs or 0 for c in missing), shown="")

    def name(self, event: RunEnd) -> str:
        """Return the name of the event's cell."""
        return self._cells[event.key].name

    def begin(self, cell: Cell) -> None:
        """Add a bar for a cell."""
        self._tasks[cell.config.key] = self._bar.add_task(cell.name, total=cell.config.epochs, shown="")

    def epoch(self, event: EpochEnd) -> None:
        """Advance the bar of a run, and the bar of the sweep."""
        shown = f"{self._objective} {number_text(event.metrics[self._objective], '.2f')}" if self._ranked else ""
        self._bar.update(self._tasks[event.key], completed=event.epoch, shown=shown)
        # A run that resumes from a checkpoint reports its earlier epochs again; they are counted once.
        if event.epoch > self._last_epoch.get(event.key, 0):
            self._last_epoch[event.key] = event.epoch
            self._bar.advance(self._all)

    def requeue(self, event: RunEnd) -> Cell:
        """Remove the bar of a run that ended; return its cell, which may be run again."""
        self._bar.remove_task(self._tasks.pop(event.key))
        return self._cells[event.key]

    def end(self, event: RunEnd) -> str:
        """Remove a run's bar; return the line about its end, followed by its notices that were not shown before."""
        cell = self.requeue(event)
        self._ended += 1
        lines = [_line(self._ended, len(self._cells), cell.name, event.outcome, self._score)]
        if isinstance(event.outcome, Record):
            lines += [notice for notice in event.outcome.notices if notice not in self._shown_notices]
            self._shown_notices |= set(event.outcome.notices)
            value = event.outcome.history[-1][self._objective]
            if self._ranked and value > self._best:
                self._best = value
                self._bar.update(self._all, shown=f"best {self._objective} {number_text(value, '.2f')}: {cell.name}")
        return "\n".join(lines)


def _line(done: int, total: int, name: str, outcome: Record | RunFailure, score: str) -> str:
    """Return the line about the end of a run."""
    head = f"[{done:>{len(str(total))}}/{total}] {name:<28}"
    if isinstance(outcome, RunFailure):
        return f"{head} {'diverged' if outcome.diverged else 'crashed'}: {outcome.reason}"
    m, form = outcome.metrics, format_of(score)
    half = m.get(f"{score}_se", math.nan)  # nan for one image
    error = f" ± {number_text(half, form)}" if half == half else ""
    shown = f"{score} {number_text(m[score], form):>9}{error}" if score in m else ""
    return f"{head} {shown}  {m['seconds/total']:6.1f} s"
