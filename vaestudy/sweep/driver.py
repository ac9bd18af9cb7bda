"""The driver of a sweep: runs the cells that are not done, and can be killed at any moment without losing a result.

The driver is the process that the user starts. It gives configurations to workers and gets records back. Workers write
neither to MLflow nor to Optuna.

**Lock.** A driver locks its sweep before it reads or writes any trial, and unlocks it at the end. So at most one driver
works on a sweep. The lock disappears with the driver's process, also after a kill (`sweep/trial_storage.py`).

**Generation.** `--fresh` begins a new generation of the sweep, with trials and runs of its own. The first generation
has the sweep's base name, later ones the base name with ~2, ~3, ... Without `--fresh` the newest one is resumed. Older
generations are kept. The lock covers all generations (`sweep/generations.py`).

**Done.** A cell is done if its run is FINISHED in MLflow, if its record waits in the outbox, or if its run diverged (it
would diverge again). While MLflow is out of reach, a COMPLETE trial in Optuna counts instead of a FINISHED run. A cell
whose run crashed or was killed is not done.

**Order of writes.** For each cell:

1. create a run in MLflow, RUNNING;
2. add a trial to Optuna, RUNNING;
3. a worker executes the run and saves checkpoints on its disk; the objective after each epoch goes to Optuna;
4. save the record in the outbox;
5. send the record to MLflow, and mark the run FINISHED last;
6. delete the record from the outbox;
7. report the value to Optuna: the trial becomes COMPLETE;
8. delete the run's checkpoints.

If the run diverges or crashes, there is no record: the run is marked FAILED in MLflow, then the trial FAIL in Optuna.

**After a kill.** The next driver of the sweep first repairs what the killed driver left:

* A record in the outbox is published into a new run, unless it has a FINISHED run already. Then it is deleted from the
  outbox.
* A run that is still RUNNING is marked KILLED.
* A trial that is still RUNNING is closed: with its value if MLflow or the outbox has the record, else as FAIL.

Then it runs the cells that are not done. A run that has a checkpoint goes on from it. Checkpoints that were not deleted
in step 8 are harmless; the checkpoint folder deletes the oldest ones.
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

from vaestudy.errors import BadInput
from vaestudy.run.record import EpochEnd, RunEnd, RunFailure
from vaestudy.runtime.console import progress
from vaestudy.runtime.credentials import without_credentials
from vaestudy.runtime.signals import deferring_interrupts, raise_if_interrupted
from vaestudy.study.declaration import Cell, Level
from vaestudy.study.plan import Plan
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.generations import locked_generation
from vaestudy.sweep.progress import ProgressDisplay
from vaestudy.sweep.searches import SearchNotWritten, SearchSite, run_searches
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.trial_ledger import WRITE_ERRORS, TrialLedger, open_trials, optuna_storage
from vaestudy.sweep.trial_storage import DatabaseTrialStorage, JournalTrialStorage, TrialStorage, journal_folder
from vaestudy.sweep.worker_pool import WorkerPool, make_pool
from vaestudy.tracking.publisher import Publisher

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class SweepOutcome:
    """The outcome of one execution of a sweep."""

    publisher: Publisher
    """The sweep's connection to MLflow, for the tables that follow."""
    crashed: int
    """Number of cells that crashed more often than `--retries` allows."""
    waiting: int
    """Number of records that wait in the outbox."""
    unstarted: int
    """Number of cells that were not started, as their trial could not be written."""


def run_sweep(
    sweep: Sweep,
    plan: Plan,
    options: SweepOptions,
    locations: Locations,
    console: Console,
    make_pool: Callable[[SweepOptions, int], WorkerPool] = make_pool,
) -> SweepOutcome:
    """Make the searches of a plan, then run its cells; leave out what is done.

    Args:
        sweep: the study at one scale on one data set.
        plan: the searches and cells that the user asked for, done or not.
        options: the workers, the number of retries, and the storage of Optuna's trials.
        locations: the folder of the data sets, and the address of the tracker.
        console: receives the progress and the messages.
        make_pool: makes the workers, from the options and the number of runs.

    Raises:
        BadInput: another driver has locked this sweep, runs of it were made under another declaration of the study,
            the storage of Optuna's trials cannot be used, or no Dask scheduler answers.
        TrackerUnavailable: a record could neither be written to disk nor be published.
        WorkersLost: no worker could be started, or the Dask cluster is gone.
    """
    study, uri = sweep.study.name, locations.tracking_uri
    if options.storage:
        storage: TrialStorage = DatabaseTrialStorage(options.storage, study)
    else:
        storage = JournalTrialStorage(journal_folder(uri) / study)

    def report(line: str) -> None:
        console.print(line, style="yellow")

    with locked_generation(storage, sweep, uri, options.fresh, report) as name:
        if (remark := storage.repair(name)) is not None:
            report(remark)
        publisher = Publisher(uri, sweep, name, report)
        with publisher.owning_records():
            return _run_owned(publisher, storage, plan, options, locations, console, make_pool)


def _run_owned(
    publisher: Publisher,
    storage: TrialStorage,
    plan: Plan,
    options: SweepOptions,
    locations: Locations,
    console: Console,
    make_pool: Callable[[SweepOptions, int], WorkerPool],
) -> SweepOutcome:
    """Make the searches, then run the cells, when the sweep is locked and its records are owned; see `run_sweep`."""
    sweep, work = publisher.sweep, _Work()
    try:
        location = storage.location(publisher.name)
        with storage.creating_tables():
            trials = optuna_storage(location.address)
        best: dict[str, dict[str, Level]] = {}
        if plan.arms:
            best = run_searches(
                SearchSite(publisher, trials, location.study), plan, options, locations.data_root, console, make_pool
            )
        cells = plan.cells(best)
        recorded = publisher.recorded_cells({cell.config.key for cell in cells})
        ledger = TrialLedger(open_trials(trials, location.study, sweep.objective), publisher)
        finished = ledger.reconcile(recorded)
        work.missing = [cell for cell in cells if cell.config.key not in finished]
        work.cells, work.ledger = len(cells), ledger
        console.print(f"{sweep.study.name} on {sweep.base.dataset_name}: {len(cells)} runs, {work.done} done")
        if work.missing:
            workers = make_pool(options, len(work.missing))
            work.failures = _run_missing(ledger, work.missing, workers, options, locations.data_root, console)
    except SearchNotWritten as error:
        console.print(f"trials cannot be written ({error}); no further trial is started", style="red")
        publisher.close("KILLED")
        return SweepOutcome(publisher, 0, publisher.waiting_count(), 1)
    except BadInput:  # its one line is all that the user needs
        publisher.close("KILLED")
        raise
    except BaseException:
        publisher.close("KILLED")
        console.print(work.stopped, style="yellow")
        again = "the same call" if hasattr(sys, "ps1") else _public_command(sys.orig_argv)  # a session or a program
        console.print(f"  {again}", style="yellow")
        raise
    publisher.close("FINISHED")
    return SweepOutcome(publisher, work.failures.crashed, publisher.waiting_count(), work.failures.unstarted)


@dataclass
class _Work:
    """The cells of one execution of a sweep, for the message when it is stopped."""

    cells: int = 0
    """Number of cells; 0 while the searches are not done."""
    missing: list[Cell] = field(default_factory=list)
    """The cells that were not done at the beginning."""
    ledger: TrialLedger | None = None
    failures: _FailureCounts = field(default_factory=lambda: _FailureCounts())

    @property
    def done(self) -> int:
        """Return the number of cells that are done."""
        return self.cells - len(self.missing) + (self.ledger.ended if self.ledger else 0)

    @property
    def stopped(self) -> str:
        """Return the message for the user when the sweep is stopped."""
        if not self.cells:
            return "stopped during the search; the trials so far are kept; to go on from here:"
        left = self.cells - self.done
        return f"stopped: {self.done} of {self.cells} runs are done, {left} are left; to go on from here:"


def _public_command(command: list[str]) -> str:
    """Return a command without the credentials of its addresses, and a remark if there are any."""
    public = [without_credentials(argument) for argument in command]
    return shlex.join(public) + (" (with the user and password of its addresses)" if public != command else "")


@dataclass
class _FailureCounts:
    """The cells that got no outcome in one execution; a diverged run is an outcome."""

    crashed: int = 0
    """Number of cells that crashed more often than `--retries` allows."""
    unstarted: int = 0
    """Number of cells that were not started, as their trial could not be written."""


def _run_missing(
    ledger: TrialLedger, missing: list[Cell], pool: WorkerPool, options: SweepOptions, root: Path, console: Console
) -> _FailureCounts:
    """Run the missing cells; close the workers, and the trials that are still open, whatever happens."""
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
    """The driver's main loop: gives cells to workers, and passes on the workers' events.

    Epochs and ends of runs go to the ledger and to the display.
    """

    ledger: TrialLedger
    pool: WorkerPool
    display: ProgressDisplay
    retries: int
    """How often a crashed cell is run again."""
    root: Path
    """The folder of the data sets."""
    console: Console
    crashes: Counter[str] = field(default_factory=Counter)
    """Key of a cell -> how often it crashed."""

    def run(self, missing: list[Cell]) -> _FailureCounts:
        """Run the cells until none is left and no worker is busy."""
        waiting, failures = deque(missing), _FailureCounts()
        while waiting or self.pool.busy:
            raise_if_interrupted()
            failures.unstarted += self._start_cells(waiting)
            for event in self.pool.events() if self.pool.busy else ():
                if isinstance(event, EpochEnd):
                    self.ledger.epoch(event)
                    self.display.epoch(event)
                elif (again := self._record_end(event)) is not None:
                    waiting.append(again)
        failures.crashed = sum(count > self.retries for count in self.crashes.values())
        return failures

    def _start_cells(self, waiting: deque[Cell]) -> int:
        """Give a cell to each free worker; return the number of cells that cannot be started.

        If a trial cannot be written, `waiting` is emptied, and no further cell is started.
        """
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

    def _record_end(self, event: RunEnd) -> Cell | None:
        """Record and display a run's end; return its cell if the run crashed and is to be run again."""
        self.ledger.end(event)
        if isinstance(event.outcome, RunFailure) and not event.outcome.diverged:
            self.crashes[event.key] += 1
            if self.crashes[event.key] <= self.retries:
                self.console.print(f"{self.display.name(event)} crashed ({event.outcome.reason}); trying again")
                return self.display.requeue(event)
        self.console.print(self.display.end(event))
        return None
