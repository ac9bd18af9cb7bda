"""What a study would run, before it runs: its cells, the runs that are there, and the time and memory of the others.

Nothing is written and nothing is locked. The runs that are there are those that a driver would find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.reporting.costs import RECORDED, SECONDS, Seconds, recorded_seconds
from vaestudy.reporting.run_list import Rows, run_rows
from vaestudy.reporting.search.searched import FINAL_FILE
from vaestudy.runtime import provenance
from vaestudy.runtime.addresses import database_file
from vaestudy.study.declaration import Cell, level_text
from vaestudy.study.plan import BASE, BEST, UNSCORED, Plan
from vaestudy.study.search import NO_PRUNER, Search
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.generations import generation_name
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.trial_storage import DatabaseTrialStorage, JournalTrialStorage, TrialStorage, journal_folder
from vaestudy.tracking import outbox
from vaestudy.tracking.mlflow_tracker import Tracker

SEARCHED_LOW, SEARCHED_HIGH = 0.6, 1.7
"""The ends of the range for a trial, as multiples of the seconds of the base: trials differ in the searched fields."""
PRUNED = 0.3
"""The share of its epochs that a pruned trial has at least, for the lower end of the range."""
ENOUGH_TRIALS = 5
"""The number of recorded trials from which their mean is the estimate."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration that differ in their seeds, or the trials of a search."""

    name: str
    config: RunConfig
    """The configuration of one of them."""
    runs: int
    done: int
    low: float = 1.0
    high: float = 1.0
    """The ends of the range of a run's seconds, as multiples of those of `config`."""
    at_most: bool = False
    """Whether some of the runs may not be needed."""

    @property
    def missing(self) -> int:
        """Return the number of runs that are to be done."""
        return self.runs - self.done


@dataclass(frozen=True)
class Forecast:
    """What a study would run."""

    generation: str
    """The name of the sweep."""
    groups: list[tuple[Group, Seconds]]
    """Each group with the seconds of one of its runs."""
    waiting: int
    """The number of runs that are done and wait in the outbox for the tracker."""
    notes: list[str]

    def total(self, at_once: int) -> Seconds:
        """Return how long all missing runs take, `at_once` at the same time; never less than the longest run."""
        wanted = [(group.missing, seconds) for group, seconds in self.groups if group.missing]
        basis = ", ".join(dict.fromkeys(seconds.basis for _, seconds in wanted))
        low = sum(count * seconds.low for count, seconds in wanted) / at_once
        high = sum(count * seconds.high for count, seconds in wanted) / at_once
        longest = [max((getattr(s, end) for _, s in wanted), default=0.0) for end in ("low", "high")]
        return Seconds(max(low, longest[0]), max(high, longest[1]), basis)


def forecast(
    sweep: Sweep,
    plan: Plan,
    options: SweepOptions,
    locations: Locations,
    time_steps: Callable[[Sequence[RunConfig], Path], list[Seconds]] | None,
) -> Forecast:
    """Return what a driver would run now.

    Args:
        sweep: the sweep.
        plan: its searches and cells.
        options: the options of the driver.
        locations: the folder of the data sets and the address of the tracker.
        time_steps: times configurations that have no record; None if the data set is not there.
    """
    notes: list[str] = []
    everything, name = _records(sweep, options, locations, notes)
    own = [row for row in everything if row["study"] == sweep.study.name and row.get("sweep") == name]
    outcomes = {row["key"] for row in own if row["status"] == "FINISHED" or row["tags"].get("outcome") == "diverged"}
    outcomes |= {row["key"] for row in own if row["tags"].get("outcome") == "pruned"}
    entries = outbox.waiting_entries(notes.append, locations.tracking_uri, name, sweep.study.name)
    waiting = {entry.key for _, entry in entries} - outcomes
    done = outcomes | waiting
    groups = _search_groups(plan, own) + _cell_groups(plan, done, sweep, locations, name, bool(own), notes)
    here = provenance.hardware()["cpu"]
    finished = [row for row in everything if row["status"] == "FINISHED" and SECONDS in row]
    finished = [row for row in finished if row["tags"].get("hardware.cpu") == here]
    seconds = [_recorded(group, finished, own).times(group.low, group.high) for group in groups]
    unknown = [i for i, value in enumerate(seconds) if value.low != value.low and groups[i].missing]
    if unknown and time_steps is not None:
        timed = time_steps([groups[i].config for i in unknown], locations.data_root)
        for i, value in zip(unknown, timed, strict=True):
            seconds[i] = value.times(groups[i].low, groups[i].high)
    return Forecast(name, list(zip(groups, seconds, strict=True)), len(waiting), notes)


def _records(sweep: Sweep, options: SweepOptions, locations: Locations, notes: list[str]) -> tuple[Rows, str]:
    """Return the tracked runs, and the name of the generation that a driver would run."""
    uri = locations.tracking_uri
    database = database_file(uri)
    if database is not None and not database.exists():
        return [], sweep.base_name
    if options.storage:
        storage: TrialStorage | None = DatabaseTrialStorage(options.storage, sweep.study.name)
    else:
        folder = journal_folder(uri) / sweep.study.name
        storage = JournalTrialStorage(folder) if folder.is_dir() else None  # it would make the folder
    name = sweep.base_name if storage is None else generation_name(storage, sweep, uri, options.fresh, notes.append)
    try:
        return run_rows(Tracker(uri)), name
    except TrackerUnavailable as error:
        notes.append(f"the tracker is out of reach ({error}), so runs that are done are not known")
        return [], name


def _recorded(group: Group, finished: Rows, own: Rows) -> Seconds:
    """Return how long a run of a group takes by the record."""
    if group.config.test_scores:
        return recorded_seconds(group.config, finished)
    trials = [float(row[SECONDS]) for row in own if row.get("role") == "search" and SECONDS in row]
    if len(trials) >= ENOUGH_TRIALS:
        mean = sum(trials) / len(trials)
        return Seconds(mean / group.low, mean / group.high, f"{RECORDED} trials")
    return recorded_seconds(group.config, finished)


def _search_groups(plan: Plan, own: Rows) -> list[Group]:
    """Return the trials of a plan's searches as one group; none without a search."""
    search = plan.study.search
    if search is None or not plan.arms:
        return []
    each = _most_trials(search, plan.arms[0].base) * search.seeds
    ended = ("FINISHED", "FAILED", "KILLED")
    outcomes = ("complete", "pruned", "diverged")
    runs = [row for row in own if row.get("role") == "search" and row["status"] in ended]
    done = sum(row["tags"].get("outcome") in outcomes for row in runs)
    total = each * len(plan.arms)
    low = SEARCHED_LOW * (1.0 if search.pruner == NO_PRUNER else PRUNED)
    name = f"trials of {len(plan.arms)} searches" if len(plan.arms) > 1 else "trials of the search"
    config = plan.arms[0].base.with_changes(**UNSCORED)
    return [Group(name, config, total, min(done, total), low, SEARCHED_HIGH, at_most=True)]


def _most_trials(search: Search, base: RunConfig) -> int:
    """Return the largest number of trials of a search."""
    return search.trials or max(1, (search.epochs or 0) // ((base.epochs or 1) * search.seeds))


def _cell_groups(
    plan: Plan, done: set[str], sweep: Sweep, locations: Locations, name: str, tracked: bool, notes: list[str]
) -> list[Group]:
    """Return the cells of a plan that differ in their seeds as one group each."""
    search = plan.study.search
    if search is None or (plan.study.factors and not search.per_arm):
        return _by_arm(plan.cells({}), done)
    if len(search.objectives) > 1:
        return []  # two objectives have a front in place of one best
    final = _final(sweep, locations, name) if tracked else {}
    arms = {arm.name: arm.base for arm in plan.arms} if search.per_arm else {BASE: plan.base, BEST: plan.base}
    groups = []
    for label, base in arms.items():
        keys = set(final.get(label, {}).get("keys", ()))
        if label == BASE:
            keys = {base.with_changes(seed=seed).key for seed in range(plan.seeds)}
        shown = f"the best of {label}" if search.per_arm else f"{label} configuration"
        low, high = (1.0, 1.0) if label == BASE else (SEARCHED_LOW, SEARCHED_HIGH)
        groups.append(Group(shown, base, plan.seeds, min(plan.seeds, len(keys & done)), low, high, label == BEST))
    return groups


def _final(sweep: Sweep, locations: Locations, name: str) -> dict[str, Any]:
    """Return the final configurations that are on record: name -> what `sweep/searches.py` attached."""
    tracker = Tracker(locations.tracking_uri)
    experiments = [id for id, tags in tracker.experiment_tags().items() if tags.get("study") == sweep.study.name]
    found = tracker.runs(experiments, {"role": "study", "sweep": name})
    try:
        return dict(json.loads(tracker.read_file(str(found["run_id"].iloc[0]), FINAL_FILE))) if len(found) else {}
    except BadInput:  # the search has not ended yet
        return {}


def _by_arm(cells: Sequence[Cell], done: set[str]) -> list[Group]:
    """Return the cells as groups, in their order."""
    arms: dict[str, list[Cell]] = {}
    for cell in cells:
        name = ", ".join([cell.label] * bool(cell.label) + [f"{k}={level_text(v)}" for k, v in cell.levels.items()])
        arms.setdefault(name, []).append(cell)
    return [
        Group(name, some[0].config, len(some), sum(cell.config.key in done for cell in some))
        for name, some in arms.items()
    ]
