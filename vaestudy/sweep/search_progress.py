"""The progress display of searches: a bar for all trials, a bar for each run under way, a line for each trial's end."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, TaskID

from vaestudy.reporting.tables.formats import number_text
from vaestudy.run.record import EpochEnd
from vaestudy.study.search import OBJECTIVES
from vaestudy.sweep.arm_search import ArmSearch, OpenTrial


class SearchProgress:
    """The progress of the searches of a sweep.

    Args:
        bar: where the bars are drawn.
        searches: the searches.
        console: receives a line for each trial that ends.
    """

    def __init__(self, bar: Progress, searches: list[ArmSearch], console: Console) -> None:
        self._bar, self._searches, self._console = bar, searches, console
        self._tasks: dict[str, TaskID] = {}
        budget = [search.search.trials for search in searches]
        total = sum(count for count in budget if count) if all(budget) else None
        self._all = bar.add_task("search, trials", total=total, completed=self._done(), shown="")

    def _done(self) -> int:
        """Return the number of trials that have ended and count against the budget."""
        return sum(len(search.counted()) for search in self._searches)

    def begin(self, search: ArmSearch, opened: OpenTrial) -> None:
        """Add a bar for the next run of a trial."""
        config = opened.next_config
        title = trial_title(search, opened.trial.number)
        self._tasks[config.key] = self._bar.add_task(title, total=search.epochs_per_run, shown=opened.name)

    def epoch(self, event: EpochEnd) -> None:
        """Advance the bar of a run."""
        if event.key in self._tasks:
            self._bar.update(self._tasks[event.key], completed=event.epoch)

    def end_run(self, key: str) -> None:
        """Remove the bar of a run that ended."""
        if key in self._tasks:
            self._bar.remove_task(self._tasks.pop(key))

    def end_trial(self, search: ArmSearch, opened: OpenTrial) -> None:
        """Print the line about the end of a trial."""
        frozen = next(trial for trial in search.trials() if trial.number == opened.trial.number)
        attributes, objectives = frozen.user_attrs, search.search.objectives
        outcome = attributes["outcome"]
        if outcome == "complete":
            values = zip(objectives, frozen.values or (), strict=False)
            shown = ", ".join(f"{name} {number_text(value, '.2f')}" for name, value in values)
        elif outcome == "pruned":
            total = search.epochs_per_run * len(opened.configs)
            shown = f"pruned after {attributes['epochs']} of {total} epochs"
        else:
            shown = f"{outcome}: {attributes.get('reason', '')}"
        done = self._done()
        budget = sum(one.search.trials or 0 for one in self._searches)
        count = f"[{done}/{budget}]" if budget else f"[{done}]"
        title = trial_title(search, frozen.number)
        self._console.print(f"{count} {title} {opened.name}   {shown}")
        self._bar.update(self._all, completed=done, shown=self._best(search))

    def _best(self, search: ArmSearch) -> str:
        """Return the best value of a search so far as text."""
        best = search.best()
        if best is None or best.value is None:
            return ""
        kind = "highest" if OBJECTIVES[search.search.objectives[0]] == "maximize" else "lowest"
        return f"{kind} {search.search.objectives[0]} {number_text(best.value, '.2f')}: trial {best.number}"


def trial_title(search: ArmSearch, number: int) -> str:
    """Return the name of a trial, with its arm if it has one."""
    return f"trial {number}" + (f" of {search.arm.name}" if search.arm.name else "")
