"""The searches of a sweep: makes one for each arm, runs them, and records what they found.

`sweep/arm_search.py` is one search, `sweep/search_loop.py` runs the trials of all of them. Two files are attached to
the sweep's own run in MLflow, from which tables and figures are made:

    search/trials.json   all trials of all searches
    search/final.json    the best configuration of each search, and the keys of the runs that compare them
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting.search.trials import trials_json
from vaestudy.runtime.console import progress
from vaestudy.runtime.paths import cores
from vaestudy.runtime.signals import deferring_interrupts
from vaestudy.study.declaration import Level
from vaestudy.study.plan import BASE, BEST, Plan
from vaestudy.study.search import Search
from vaestudy.study.search_space import searched_levels
from vaestudy.sweep.arm_search import ArmSearch
from vaestudy.sweep.proposals import open_study
from vaestudy.sweep.search_loop import SearchLoop
from vaestudy.sweep.search_progress import SearchProgress
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.sweep.trial_ledger import WRITE_ERRORS
from vaestudy.sweep.worker_pool import WorkerPool
from vaestudy.tracking.publisher import Publisher
from vaestudy.training import memory

SECONDS_PER_MINUTE = 60.0


class SearchNotWritten(Exception):
    """A trial could not be written to Optuna's storage: the disk is full, or the database is gone."""


@dataclass(frozen=True)
class SearchSite:
    """Where the searches of a sweep are recorded."""

    publisher: Publisher
    storage: Any
    """Optuna's storage."""
    name: str
    """The name of Optuna's study of the sweep's cells; those of searches begin with it."""

    def study_name(self, arm: str) -> str:
        """Return the name of Optuna's study for the search of an arm."""
        return f"{self.name}/{arm or 'search'}"


def run_searches(
    site: SearchSite,
    plan: Plan,
    options: SweepOptions,
    root: Path,
    console: Console,
    make_pool: Callable[[SweepOptions, int], WorkerPool],
) -> dict[str, dict[str, Level]]:
    """Make the searches of a plan; go on with those that were begun.

    Args:
        site: where they are recorded.
        plan: the plan.
        options: the workers, the number of retries, and the time limit.
        root: the folder of the data sets.
        console: receives the progress and the messages.
        make_pool: makes the workers.

    Returns:
        name of an arm -> the searched fields of its best configuration. An arm without a complete trial is left out.

    Raises:
        BadInput: trials were made under another declaration, or the space has no feasible configuration.
        SearchNotWritten: a trial could not be written.
    """
    search = plan.study.search
    assert search is not None  # a plan without a search has no arms
    try:
        searches = _open(site, plan, search, options)
        recorded = site.publisher.recorded_trial_runs()
        done = sum(len(one.counted()) for one in searches)
        console.print(_headline(plan, search, done))
        at_once = 1
        if any(one.has_budget() or one.has_open_trials() for one in searches):
            pool = make_pool(options, len(searches) if search.per_arm else _most_trials(search, plan))
            at_once = 1 if search.per_arm else pool.count
            with deferring_interrupts(), closing(pool), progress(console) as bar:
                display = SearchProgress(bar, searches, console)
                loop = SearchLoop(
                    searches, site.publisher, pool, display, options.retries, root, console,
                    deadline=_deadline(options), at_once=at_once,
                )  # fmt: skip
                loop.run(recorded)  # if it is stopped, open trials stay RUNNING for the next driver
            _report_budget_left(searches, options, console)
        return _attach(site.publisher, plan, searches, at_once)
    except WRITE_ERRORS as error:
        raise SearchNotWritten(str(error)) from error


def _open(site: SearchSite, plan: Plan, search: Search, options: SweepOptions) -> list[ArmSearch]:
    """Return the search of each arm, with the trials that were made before.

    Raises:
        BadInput: trials were made under another declaration.
    """
    places = cores() if options.workers is None else max(options.workers, 1)
    limits = _constraints(plan, places if options.scheduler is None else None)
    found = []
    for arm in plan.arms:
        trials = open_study(site.storage, site.study_name(arm.name), search, arm.base.epochs or 1)
        found.append(ArmSearch(arm, search, trials, limits))
    return found


def _most_trials(search: Search, plan: Plan) -> int:
    """Return the largest number of trials that a search can make."""
    by_epochs = (search.epochs or 0) // (plan.base.epochs or 1)
    return max(1, search.trials or by_epochs)


def _headline(plan: Plan, search: Search, done: int) -> str:
    """Return the line that says what is searched, and how much of it is done."""
    budget = f"{search.trials} trials" if search.trials else f"{search.epochs} epochs"
    arms = f"{len(plan.arms)} arms, {budget} each" if search.per_arm else budget
    pruner = "" if search.pruner == "NopPruner" else f" and {search.pruner}"
    head = f"{plan.study.name} on {plan.base.dataset_name}: search of {', '.join(search.space)}"
    return f"{head} by {search.sampler}{pruner}: {arms}, {done} done"


def _deadline(options: SweepOptions) -> float:
    """Return the time, by `time.monotonic`, after which no further trial begins."""
    return time.monotonic() + options.timeout * SECONDS_PER_MINUTE if options.timeout else float("inf")


def _report_budget_left(searches: list[ArmSearch], options: SweepOptions, console: Console) -> None:
    """Print the number of searches that the time limit ended. Print nothing if there is no limit or it ended none."""
    if left := sum(one.has_budget() for one in searches) if options.timeout else 0:
        with_budget = "1 search has" if left == 1 else f"{left} searches have"
        console.print(f"--timeout: {with_budget} budget left; the same command goes on", style="yellow")


def _constraints(plan: Plan, places: int | None) -> Callable[[RunConfig], dict[str, float]]:
    """Return the function that gives a configuration's constraints.

    Args:
        plan: the plan.
        places: number of runs at the same time on this machine; None if they are executed elsewhere.
    """
    if places is None or plan.base.device != "cpu":
        return lambda config: {}
    return lambda config: {"memory": memory.excess(config, places)}


def _attach(publisher: Publisher, plan: Plan, searches: list[ArmSearch], at_once: int) -> dict[str, dict[str, Level]]:
    """Attach the searches' results to the sweep's own run; return the best configurations."""
    search = searches[0].search
    found = {one.arm.name: one.best() for one in searches}
    best = {one.arm.name: levels for one in searches if (levels := one.best_levels()) is not None}
    final: dict[str, Any] = {}
    for name, keys in plan.final_keys(best).items():
        arm = "" if name == BEST else name
        trial = None if name == BASE else found[arm]
        levels = searched_levels(search.space, plan.base) if trial is None else best[arm]
        value = None if trial is None else trial.value
        final[name] = {"trial": trial and trial.number, "value": value, "levels": levels, "keys": keys}
    files = {
        "search/trials.json": trials_json({one.arm.name: one.study for one in searches}),
        "search/final.json": json.dumps(final).encode(),
    }
    tags = {"parallel_search": "True"} if at_once > 1 else {}
    publisher.files(files, tags | ({"untuned": publisher.sweep.plain_name} if search.per_arm else {}))
    return best
