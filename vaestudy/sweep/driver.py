"""A declared study -> trials -> runs. The only importer of optuna, and the only one that asks and tells it.

One driver holds a sweep's lock. For each cell that has no finished run it opens a run and a trial, hands the
configuration to a worker, and at its end first finishes the run in MLflow and only then tells Optuna: so a finished run
is the one proof that a cell is done, and a driver that died in between is made good by the next.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from rich.console import Console

from vaestudy.cli.flags import choices
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.console import progress
from vaestudy.runtime.paths import cores, database_file, database_uri, mlruns, public, slug
from vaestudy.runtime.signals import check, whole
from vaestudy.study.declaration import Cell, Sweep, show
from vaestudy.sweep.progress import Board
from vaestudy.sweep.trial_storage import Books, DatabaseBooks, JournalBooks, generation
from vaestudy.sweep.worker_pool import Cluster, DaskPool, Done, Epoch, Failure, InlinePool, Pool, checkpoints
from vaestudy.tracking.publisher import Delivery
from vaestudy.training.checkpoint import Keeper

optuna.logging.set_verbosity(optuna.logging.WARNING)
LARGEST = 2**31 - 1
UNWRITTEN = (OSError, StorageInternalError)  # how a full disk or a lost database shows


@dataclass(frozen=True)
class Crew:
    """Who does the work: processes here (None: one a core; 0: this one), or a cluster; how often a cell is retried."""

    workers: int | None = None
    cluster: Cluster | None = None
    retries: int = 1

    def pool(self, runs: int) -> Pool:
        if self.workers == 0 and self.cluster is None:
            return InlinePool()
        count = cores() if self.workers is None else self.workers
        return DaskPool(min(count, runs), self.cluster)


@dataclass(frozen=True)
class Outcome:
    """How a study's execution went, and its way to the tracker."""

    delivery: Delivery
    crashed: int
    waiting: int
    """Results that the tracker has not taken yet."""
    unstarted: int
    """Cells that were not begun, as their trial could not be written."""


def conduct(
    sweep: Sweep, wanted: list[Cell], uri: str, storage: str | None, root: Path, crew: Crew, console: Console
) -> Outcome:
    """Run the cells of `wanted` that have no finished run yet.

    Raises:
        BadInput: another driver holds this sweep, its base configuration is not the one it was begun with, or the
            place for Optuna's trials cannot be used.
    """
    study, stem = sweep.study.name, sweep.stem
    books: Books = DatabaseBooks(storage, study) if storage else JournalBooks(_folder(uri) / study)
    with books.held(stem):
        name = generation(books.names(stem), stem, sweep.fresh)
        if (remark := books.mend(name)) is not None:
            console.print(remark, style="yellow")
        delivery = Delivery(uri, sweep, name, lambda line: console.print(line, style="yellow"))
        before = delivery.known()
        ledger = Ledger(_trials(*books.address(name)), delivery)
        finished = ledger.reconcile(before)
        missing = [cell for cell in wanted if cell.config.key not in finished]
        console.print(f"{study} on {sweep.base.dataset}: {len(wanted)} runs, {len(wanted) - len(missing)} done")
        try:
            crashed, unstarted = _drive(ledger, missing, root, crew, console) if missing else (0, 0)
        except BaseException:
            delivery.close("KILLED")
            done = len(wanted) - len(missing) + ledger.ended
            line = f"stopped: {done} of {len(wanted)} runs are done, {len(wanted) - done} are left; to go on from here:"
            console.print(line, style="yellow")
            console.print(f"  {shlex.join(sys.orig_argv)}", style="yellow")
            raise
        delivery.close("FINISHED")
        return Outcome(delivery, crashed, len(delivery.spooled()), unstarted)


def _folder(uri: str) -> Path:
    """Where the sweeps tracked at `uri` keep their journals: a sweep and its runs must not be parted."""
    base = mlruns() / "optuna"
    return base if uri == database_uri(mlruns() / "mlflow.db") else base / slug(public(str(database_file(uri) or uri)))


def _trials(address: str, name: str) -> optuna.Study:
    """Optuna's study of a sweep. Trials are added, so its sampler is never asked."""
    storage: Any = (
        optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        if "://" in address
        else JournalStorage(JournalFileBackend(address))
    )
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True, sampler=sampler
    )


class Ledger:
    """The two books, Optuna's trials and MLflow's runs, kept in step: MLflow first, as a finished run is the proof."""

    def __init__(self, trials: optuna.Study, delivery: Delivery) -> None:
        self.trials, self.delivery, self.sweep = trials, delivery, delivery.sweep
        self._open: dict[str, int] = {}
        self._count = len(trials.get_trials(deepcopy=False))
        self._usable = True
        self.ended = 0
        """Cells that came to an end since this driver began: a record, or a divergence."""

    def reconcile(self, known: tuple[dict[str, float], set[str]] | None) -> set[str]:
        """Make good what a driver that died left behind; the keys of the cells that need no run."""
        values, diverged = known or ({}, set())
        values = self.delivery.spooled() | values
        for trial in self.trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._tell(trial.number, values.get(trial.user_attrs.get("key", "")))
        if known is None:  # MLflow is out of reach: Optuna's word must do
            complete = self.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            return set(values) | {trial.user_attrs["key"] for trial in complete}
        return set(values) | diverged

    def begin(self, cell: Cell) -> None:
        """Open a run and a trial for a cell.

        The trial is added as RUNNING: to enqueue and ask for it would have Optuna look through all trials each time.
        """
        key, number = cell.config.key, self._count
        attributes = {"key": key, "run_id": self.delivery.begin(cell.name, cell.config, {"trial": str(number)})}
        params = {name: _plain(value) for name, value in self._params(cell).items()}
        space = self._space(cell)
        trial = create_trial(state=TrialState.RUNNING, params=params, distributions=space, user_attrs=attributes)
        try:
            self.trials.add_trial(trial)
        except UNWRITTEN:
            self._usable = False
            raise
        self._count += 1
        self._open[key] = number

    @staticmethod
    def _params(cell: Cell) -> dict[str, Any]:
        return {**cell.levels, "seed": cell.config.seed}

    def _space(self, cell: Cell) -> dict[str, BaseDistribution]:
        """Distributions that hold for all trials of the sweep, whichever levels each execution asks for.

        Optuna refuses a set of choices that changes, so numbers are given a range without end.
        """
        space: dict[str, BaseDistribution] = {"seed": IntDistribution(0, LARGEST)}
        for name, value in cell.levels.items():
            if isinstance(value, int) and not isinstance(value, bool):
                space[name] = IntDistribution(0, LARGEST)
            elif isinstance(value, float):
                space[name] = FloatDistribution(-LARGEST, LARGEST)
            else:
                declared = self.sweep.study.factors[name] + self.sweep.study.full.get(name, ())
                names = choices(RunConfig.model_fields[name].metadata)
                space[name] = CategoricalDistribution(names or [_plain(level) for level in declared])
        return space

    def end(self, event: Done) -> None:
        """Close a run in MLflow, then its trial in Optuna."""
        number = self._open.pop(event.key)
        if isinstance(event.outcome, Failure):
            self.delivery.fail(event.key, event.outcome)
            self._tell(number, None)
            self.ended += event.outcome.diverged
        else:
            self.delivery.finish(event.key, event.outcome)
            self._tell(number, event.outcome.history[-1][self.sweep.objective])
            Keeper(checkpoints(), event.key).clear()
            self.ended += 1

    def abandon(self) -> None:
        """Tell Optuna of what is still open, as the work is being stopped."""
        for number in self._open.values():
            self._tell(number, None)
        self._open.clear()

    def _tell(self, number: int, value: float | None) -> None:
        """Tell Optuna how a trial ended. What cannot be written is made good by the next driver, from MLflow."""
        if not self._usable:
            return  # after a write that failed midway another would only tear the journal further
        try:
            if value is None or math.isnan(value):
                self.trials.tell(number, state=TrialState.FAIL)
            else:
                self.trials.tell(number, float(value))
        except UNWRITTEN:
            self._usable = False


def _plain(value: Any) -> Any:
    return show(value) if isinstance(value, tuple) else value


def _drive(ledger: Ledger, missing: list[Cell], root: Path, crew: Crew, console: Console) -> tuple[int, int]:
    """Keep the crew busy until no cell is missing: (cells that crashed more often than they may, cells not begun)."""
    pool = crew.pool(len(missing))
    with whole():
        try:
            with progress(console) as bar:
                return _serve(ledger, missing, root, crew.retries, pool, Board(bar, missing, ledger.sweep), console)
        finally:
            pool.close()
            ledger.abandon()


def _serve(
    ledger: Ledger, missing: list[Cell], root: Path, retries: int, pool: Pool, board: Board, console: Console
) -> tuple[int, int]:
    waiting, crashes, unstarted = deque(missing), Counter[str](), 0
    while waiting or pool.busy:
        check()
        while waiting and pool.busy < pool.count:
            cell = waiting.popleft()
            try:
                ledger.begin(cell)
            except UNWRITTEN as error:
                unstarted = len(waiting) + 1
                line = f"trials cannot be written ({error}); no further run is started, {unstarted} are left"
                console.print(line, style="red")
                waiting.clear()
                break
            pool.submit(cell.config, root)
            board.begin(cell)
        for event in pool.news() if pool.busy else ():
            if isinstance(event, Epoch):
                ledger.delivery.epoch(event)
                board.epoch(event)
                continue
            ledger.end(event)
            if isinstance(event.outcome, Failure) and not event.outcome.diverged:
                crashes[event.key] += 1
                if crashes[event.key] <= retries:
                    console.print(f"{board.name(event)} crashed ({event.outcome.reason}); trying again")
                    waiting.append(board.again(event))
                    continue
            console.print(board.end(event))
    return sum(count > retries for count in crashes.values()), unstarted
