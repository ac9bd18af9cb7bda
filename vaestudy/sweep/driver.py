"""A declared study -> trials -> runs. The only importer of optuna, and the only one that asks and tells it.

One driver holds a sweep's lock. For each cell that has no finished run it opens a run and a trial, hands the
configuration to a worker, and at its end first finishes the run in MLflow and only then tells Optuna: so a finished run
is the one proof that a cell is done, and a driver that died in between is made good by the next.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

import optuna
from rich.console import Console

from vaestudy.run.record import Epoch, Failure
from vaestudy.runtime.console import progress
from vaestudy.runtime.paths import cores, database_file, database_uri, mlruns, public, slug
from vaestudy.runtime.signals import check, whole
from vaestudy.study.declaration import Cell
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.progress import Board
from vaestudy.sweep.trial_ledger import UNWRITTEN, Ledger, _trials
from vaestudy.sweep.trial_storage import Books, DatabaseBooks, JournalBooks, generation
from vaestudy.sweep.worker_pool import Cluster, DaskPool, InlinePool, Pool
from vaestudy.tracking.publisher import Delivery

optuna.logging.set_verbosity(optuna.logging.WARNING)


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
