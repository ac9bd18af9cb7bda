"""What is shown of a study under way: a bar for all and for each run, the best so far, a line for each end."""

from __future__ import annotations

import math

from rich.progress import Progress, TaskID

from vaestudy.reporting.tables.formats import format_of
from vaestudy.run.record import EpochEnd, Record, RunEnd, RunFailure
from vaestudy.study.declaration import Cell
from vaestudy.study.sweep import Sweep


class ProgressDisplay:
    """The progress of a study's missing cells."""

    def __init__(self, bar: Progress, missing: list[Cell], sweep: Sweep) -> None:
        self._bar, self._objective = bar, sweep.objective
        self._score = sweep.study.tabulate[0]  # lines of ends stand in a column: what the study's own tables begin with
        fixed = not {"pixels", "dataset"} & set(sweep.study.factors)
        # Else there is no best of all, and bars below each other would be read as if there were.
        self._ranked = fixed and len(sweep.study.families) == 1
        self._cells = {cell.config.key: cell for cell in missing}
        self._tasks: dict[str, TaskID] = {}
        self._last_epoch: dict[str, int] = {}
        self._shown_notices: set[str] = set()
        self._ended, self._best = 0, -math.inf
        self._all = bar.add_task("study, epochs", total=sum(c.config.epochs or 0 for c in missing), shown="")

    def name(self, event: RunEnd) -> str:
        return self._cells[event.key].name

    def begin(self, cell: Cell) -> None:
        self._tasks[cell.config.key] = self._bar.add_task(cell.name, total=cell.config.epochs, shown="")

    def epoch(self, event: EpochEnd) -> None:
        shown = f"{self._objective} {event.metrics[self._objective]:.2f}" if self._ranked else ""
        self._bar.update(self._tasks[event.key], completed=event.epoch, shown=shown)
        if event.epoch > self._last_epoch.get(event.key, 0):  # a run that is resumed tells its epochs again
            self._last_epoch[event.key] = event.epoch
            self._bar.advance(self._all)

    def requeue(self, event: RunEnd) -> Cell:
        """The cell of a run that ended and is to be begun again."""
        self._bar.remove_task(self._tasks.pop(event.key))
        return self._cells[event.key]

    def end(self, event: RunEnd) -> str:
        """Close a run's bar; the line that tells of its end, and below it the notices that no run had before."""
        cell = self.requeue(event)
        self._ended += 1
        lines = [_line(self._ended, len(self._cells), cell.name, event.outcome, self._score)]
        if isinstance(event.outcome, Record):
            lines += [notice for notice in event.outcome.notices if notice not in self._shown_notices]
            self._shown_notices |= set(event.outcome.notices)
            value = event.outcome.history[-1][self._objective]
            if self._ranked and value > self._best:
                self._best = value
                self._bar.update(self._all, shown=f"best {self._objective} {value:.2f}: {cell.name}")
        return "\n".join(lines)


def _line(done: int, total: int, name: str, outcome: Record | RunFailure, score: str) -> str:
    head = f"[{done:>{len(str(total))}}/{total}] {name:<28}"
    if isinstance(outcome, RunFailure):
        return f"{head} {'diverged' if outcome.diverged else 'crashed'}: {outcome.reason}"
    m, form = outcome.metrics, format_of(score)
    error = f" ± {m[f'{score}_se']:{form}}" if f"{score}_se" in m else ""
    shown = f"{score} {m[score]:9{form}}{error}" if score in m else ""
    return f"{head} {shown}  {m['seconds/total']:6.1f} s"
