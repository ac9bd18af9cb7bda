"""Runs the trials of a sweep's searches on its workers. The driver alone asks Optuna and reports to it.

**Order of writes.** For each trial:

1. Optuna creates the trial, RUNNING, and the sampler proposes its configuration;
2. create a run in MLflow, RUNNING;
3. a worker executes the run and saves checkpoints on its disk; after each epoch the objective goes to Optuna, and the
   pruner may end the run;
4. save the record in the outbox, send it to MLflow, and close the run there: FINISHED, or KILLED with the tag
   `outcome` = pruned;
5. delete the record from the outbox;
6. report the value to Optuna: the trial becomes COMPLETE, PRUNED or FAIL;
7. delete the run's checkpoints.

**After a kill** the next driver takes over each trial that is still RUNNING, under the same number. A run that has a
record, in MLflow or in the outbox, is not executed again; any other goes on from its checkpoint. This is true for new
trials, too: if Optuna's storage was lost or damaged, the search proposes the same configurations again and gets the
epochs and the outcomes of their runs from MLflow.

**Order of trials.** The searches of arms have at most one open trial each, so each of them repeats exactly, whatever
the number of workers is. The search of a whole study has one open trial for each worker. With one worker it repeats
exactly; with more, a proposal depends on which trials have ended before.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from vaestudy.run.record import EpochEnd, Record, RunEnd, RunFailure
from vaestudy.runtime.signals import raise_if_interrupted
from vaestudy.sweep.arm_search import ArmSearch, OpenTrial
from vaestudy.sweep.search_progress import SearchProgress, trial_title
from vaestudy.sweep.worker_pool import WorkerPool, checkpoint_folder
from vaestudy.tracking.publisher import Publisher, RecordedRun
from vaestudy.training.checkpoint import CheckpointStore


@dataclass(frozen=True)
class Work:
    """A trial with a run that is to be executed."""

    search: ArmSearch
    opened: OpenTrial


@dataclass
class SearchLoop:
    """The searches of a sweep, and the workers that execute their runs."""

    searches: list[ArmSearch]
    publisher: Publisher
    pool: WorkerPool
    display: SearchProgress
    retries: int
    """How often a crashed run is executed again."""
    root: Path
    """The folder of the data sets."""
    console: Console
    deadline: float = float("inf")
    """The time, by `time.monotonic`, after which no further trial begins."""
    at_once: int = 1
    """The number of trials of one search that may be open at the same time."""
    _running: dict[str, tuple[Work, int]] = field(default_factory=dict)
    """Key of a run under way -> its trial, and the number of the worker's place."""
    _waiting: deque[Work] = field(default_factory=deque)
    """Trials whose next run waits for a worker."""
    _crashes: Counter[str] = field(default_factory=Counter)

    def run(self, recorded: Mapping[str, RecordedRun]) -> None:
        """Run trials until all budgets are used up, or the deadline has passed.

        Args:
            recorded: the runs that have an outcome already, by the key of their configuration.
        """
        for search in self.searches:
            self._waiting += [Work(search, opened) for opened in search.adopt()]
        while True:
            raise_if_interrupted()
            while self.pool.busy < self.pool.count and (work := self._next_work()) is not None:
                raise_if_interrupted()
                if self._has_run_left(work, recorded):
                    self._start(work)
            if not self.pool.busy:
                return
            for event in self.pool.events():
                if isinstance(event, EpochEnd):
                    self._epoch(event)
                else:
                    self._end(event)

    def _has_run_left(self, work: Work, recorded: Mapping[str, RecordedRun]) -> bool:
        """Take the outcomes of a trial's runs that are recorded; return whether a run is left to execute.

        Raises:
            TrackerUnavailable: the epochs of a recorded run cannot be read.
        """
        search, opened = work.search, work.opened
        while opened.trial.number in search.open:
            if (found := recorded.get(opened.next_config.key)) is None:
                return True
            objective = search.search.objectives[0]
            curve = self.publisher.curve(found, objective) if search.reports_epochs else {}
            search.catch_up(opened, {epoch: {objective: value} for epoch, value in curve.items()})
            if found.diverged:
                search.run_failed(opened, found.reason, True, found.run_id)
            elif found.pruned_epoch is not None:
                search.run_pruned(opened, found.pruned_epoch, found.run_id)
            else:
                search.run_ended(opened, found.metrics, search.epochs_per_run, found.run_id)
        self.display.end_trial(search, opened)
        return False

    def _next_work(self) -> Work | None:
        """Return the next run to execute, or None if none can begin now.

        The searches take turns: the one with the fewest trials is asked first.
        """
        if self._waiting:
            return self._waiting.popleft()
        if time.monotonic() > self.deadline:
            return None
        for search in sorted(self.searches, key=lambda search: len(search.trials())):
            if len(search.open) < self.at_once and (opened := search.ask()) is not None:
                return Work(search, opened)
        return None

    def _start(self, work: Work) -> None:
        """Give the next run of a trial to a worker."""
        search, opened = work.search, work.opened
        config = opened.next_config
        taken = {place for _, place in self._running.values()}
        place = next(number for number in range(self.pool.count + 1) if number not in taken)
        opened.trial.set_user_attr("worker", place)
        seed = f", seed={config.seed}" if len(opened.configs) > 1 else ""
        name = f"{trial_title(search, opened.trial.number)}: {opened.name}{seed}"
        self.publisher.begin(name, config, {"role": "search", **self._tags(work, place)})
        self._running[config.key] = (work, place)
        judge = (lambda event: self._judge(event)) if search.judges_epochs else None
        self.pool.submit(config, self.root, judge)
        self.display.begin(search, opened)

    def _tags(self, work: Work, place: int) -> dict[str, str]:
        """Return the tags of a trial's run."""
        return {"trial": str(work.opened.trial.number), "arm": work.search.arm.name, "worker": str(place)}

    def _judge(self, event: EpochEnd) -> bool:
        """Report an epoch to Optuna; return whether the pruner ends the run there."""
        work, _ = self._running[event.key]
        return work.search.judge(work.opened, event.epoch, event.metrics)

    def _epoch(self, event: EpochEnd) -> None:
        """Pass on the metrics of an epoch."""
        work, _ = self._running[event.key]
        if not work.search.judges_epochs:  # else the judge has reported it
            work.search.judge(work.opened, event.epoch, event.metrics)
        self.publisher.epoch(event)
        self.display.epoch(event)

    def _end(self, event: RunEnd) -> None:
        """Record the end of a run, in MLflow first and then in Optuna; queue the next run of its trial."""
        work, place = self._running.pop(event.key)
        self.display.end_run(event.key)
        search, opened, outcome = work.search, work.opened, event.outcome
        if isinstance(outcome, Record):
            facts = outcome.facts | {"role": "search"} | {k: v for k, v in self._tags(work, place).items() if v}
            run_id = self.publisher.finish(event.key, replace(outcome, facts=facts))
            search.catch_up(opened, dict(enumerate(outcome.history, start=1)))
            if outcome.pruned_epoch is not None:
                search.run_pruned(opened, outcome.pruned_epoch, run_id)
            else:
                search.run_ended(opened, outcome.history[-1], len(outcome.history), run_id)
            CheckpointStore(checkpoint_folder(), event.key).clear()
        else:
            run_id = self.publisher.fail(event.key, outcome)
            if self._is_repeated(event.key, outcome):
                title = trial_title(search, opened.trial.number)
                self.console.print(f"{title} crashed ({outcome.reason}); trying again")
            else:
                search.run_failed(opened, outcome.reason, outcome.diverged, run_id)
        if opened.trial.number in search.open:
            self._waiting.append(work)
        else:
            self.display.end_trial(search, opened)

    def _is_repeated(self, key: str, failure: RunFailure) -> bool:
        """Return whether a run that failed is executed again."""
        self._crashes[key] += 1
        return not failure.diverged and self._crashes[key] <= self.retries
