"""A declared study -> trials -> runs. The only importer of optuna, and the only one that asks and tells it.

One driver holds a sweep's lock. For each cell that has no finished run it opens a run and a trial, hands the
configuration to a worker, and at its end first finishes the run in MLflow and only then tells Optuna: so a finished run
is the one proof that a cell is done, and a driver that died in between is made good by the next.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from rich.console import Console

from vaestudy.run.record import EpochEnd, RunEnd, RunFailure
from vaestudy.runtime.console import progress
from vaestudy.runtime.paths import database_file, database_uri, mlruns, slug, without_credentials
from vaestudy.runtime.signals import deferring_interrupts, raise_if_interrupted
from vaestudy.study.declaration import Cell
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.progress import ProgressDisplay
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.trial_ledger import WRITE_ERRORS, TrialLedger, open_trials
from vaestudy.sweep.trial_storage import DatabaseTrialStorage, JournalTrialStorage, TrialStorage, latest_name
from vaestudy.sweep.worker_pool import WorkerPool, make_pool
from vaestudy.tracking.publisher import Publisher

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class SweepOutcome:
    """How a study's execution went, and its way to the tracker."""

    publisher: Publisher
    crashed: int
    waiting: int
    """Results that the tracker has not taken yet."""
    unstarted: int
    """Cells that were not begun, as their trial could not be written."""


def run_sweep(
    sweep: Sweep,
    cells: list[Cell],
    options: SweepOptions,
    locations: Locations,
    console: Console,
    make_pool: Callable[[SweepOptions, int], WorkerPool] = make_pool,
) -> SweepOutcome:
    """Run the cells that have no finished run yet.

    Args:
        sweep: the study at one scale on one data set.
        cells: the cells that are asked for.
        options: by which workers they are run, and where trials are kept.
        locations: where the data is read and the runs are recorded.
        console: where progress and remarks are shown.
        make_pool: makes the workers of so many runs.

    Raises:
        BadInput: another driver holds this sweep, its base configuration is not the one it was begun with, or the
            place for Optuna's trials cannot be used.
    """
    study, base_name, uri = sweep.study.name, sweep.base_name, locations.tracking_uri
    storage: TrialStorage = (
        DatabaseTrialStorage(options.storage, study) if options.storage else JournalTrialStorage(_folder(uri) / study)
    )
    with storage.locked(base_name):
        name = latest_name(storage.sweep_names(base_name), base_name, options.fresh)
        if (remark := storage.repair(name)) is not None:
            console.print(remark, style="yellow")
        publisher = Publisher(uri, sweep, name, lambda line: console.print(line, style="yellow"))
        recorded = publisher.recorded_cells()
        ledger = TrialLedger(open_trials(storage.location(name)), publisher)
        finished = ledger.reconcile(recorded)
        missing = [cell for cell in cells if cell.config.key not in finished]
        console.print(f"{study} on {sweep.base.dataset}: {len(cells)} runs, {len(cells) - len(missing)} done")
        ended = Ended()
        try:
            if missing:
                workers = make_pool(options, len(missing))
                ended = _run_missing(ledger, missing, workers, options, locations.data_root, console)
        except BaseException:
            publisher.close("KILLED")
            done = len(cells) - len(missing) + ledger.ended
            line = f"stopped: {done} of {len(cells)} runs are done, {len(cells) - done} are left; to go on from here:"
            console.print(line, style="yellow")
            console.print(f"  {shlex.join(sys.orig_argv)}", style="yellow")
            raise
        publisher.close("FINISHED")
        return SweepOutcome(publisher, ended.crashed, len(publisher.waiting_objectives()), ended.unstarted)


def _folder(uri: str) -> Path:
    """Where the sweeps tracked at `uri` keep their journals: a sweep and its runs must not be parted."""
    base = mlruns() / "optuna"
    if uri == database_uri(mlruns() / "mlflow.db"):
        return base
    return base / slug(without_credentials(str(database_file(uri) or uri)))


@dataclass
class Ended:
    """How the runs of one execution ended."""

    crashed: int = 0
    """Cells that crashed more often than they may."""
    unstarted: int = 0
    """Cells that were not begun, as their trial could not be written."""


def _run_missing(
    ledger: TrialLedger, missing: list[Cell], pool: WorkerPool, options: SweepOptions, root: Path, console: Console
) -> Ended:
    """Keep the workers busy until no cell is missing."""
    with deferring_interrupts():
        try:
            with progress(console) as bar:
                display = ProgressDisplay(bar, missing, ledger.sweep)
                return _SweepLoop(ledger, pool, display, options.retries, root, console).run(missing)
        finally:
            pool.close()
            ledger.abandon()


@dataclass
class _SweepLoop:
    """Cells to workers, and what the workers tell to the ledger, the tracker and the display."""

    ledger: TrialLedger
    pool: WorkerPool
    display: ProgressDisplay
    retries: int
    root: Path
    console: Console
    crashes: Counter[str] = field(default_factory=Counter)
    """How often each cell crashed, by its key."""

    def run(self, missing: list[Cell]) -> Ended:
        """Run the cells until none waits and no worker is busy."""
        waiting, ended = deque(missing), Ended()
        while waiting or self.pool.busy:
            raise_if_interrupted()
            ended.unstarted += self._begin(waiting)
            for event in self.pool.events() if self.pool.busy else ():
                if isinstance(event, EpochEnd):
                    self.ledger.publisher.epoch(event)
                    self.display.epoch(event)
                elif (again := self._end(event)) is not None:
                    waiting.append(again)
        ended.crashed = sum(count > self.retries for count in self.crashes.values())
        return ended

    def _begin(self, waiting: deque[Cell]) -> int:
        """Hand cells to the workers that are free; return how many cannot be begun, as no trial can be written."""
        while waiting and self.pool.busy < self.pool.count:
            cell = waiting.popleft()
            try:
                self.ledger.begin(cell)
            except WRITE_ERRORS as error:
                unstarted = len(waiting) + 1
                line = f"trials cannot be written ({error}); no further run is started, {unstarted} are left"
                self.console.print(line, style="red")
                waiting.clear()
                return unstarted
            self.pool.submit(cell.config, self.root)
            self.display.begin(cell)
        return 0

    def _end(self, event: RunEnd) -> Cell | None:
        """Record a run's end; return its cell if the run crashed and may be tried again."""
        self.ledger.end(event)
        if isinstance(event.outcome, RunFailure) and not event.outcome.diverged:
            self.crashes[event.key] += 1
            if self.crashes[event.key] <= self.retries:
                self.console.print(f"{self.display.name(event)} crashed ({event.outcome.reason}); trying again")
                return self.display.requeue(event)
        self.console.print(self.display.end(event))
        return None
