"""The work that `vaestudy article` and `vaestudy reproduce` share: missing runs, and what they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console

from vaestudy.cli.evidence_request import EvidenceRequest
from vaestudy.data.datasets import find_dataset
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.missing import Cost, missing_runs
from vaestudy.evidence.needs import Need, SweepNeeds
from vaestudy.reporting.costs import shown_minutes
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.run import execute
from vaestudy.runtime.addresses import database_file
from vaestudy.runtime.paths import cores
from vaestudy.study.plan import Plan
from vaestudy.sweep.driver import run_sweep
from vaestudy.sweep.shared_pool import SharedPool
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.sweep.worker_pool import WorkersLost
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.training import memory


def tracker_of(request: EvidenceRequest) -> Tracker | None:
    """Return the tracker; None if nothing is tracked yet, or only committed runs are asked for."""
    if request.locations is None:
        return None
    database = database_file(request.locations.tracking_uri)
    if database is not None and not database.exists():
        return None
    return Tracker(request.locations.tracking_uri)


class EvidenceWork(Protocol):
    """What a command works on: a request, and the runs that are there for it."""

    @property
    def request(self) -> EvidenceRequest: ...

    @property
    def err(self) -> Console: ...

    @property
    def evidence(self) -> Evidence: ...

    @property
    def chosen_needs(self) -> list[Need]:
        """Return the cells that the request of the user needs."""

    def collect(self) -> None:
        """Read again which runs are there."""


def run_missing(work: EvidenceWork) -> bool:
    """Run what the chosen parts lack, and collect the runs again; return whether all of it is there now.

    Raises:
        BadInput: the data set is not there, the runs do not fit into memory, or another driver works on a sweep.
    """
    missing = missing_runs(work.chosen_needs, work.evidence)
    if not missing:
        return True
    complete = _run_sweeps(missing, work.request, work.err)
    try:
        work.collect()
    except TrackerUnavailable as error:
        work.err.print(f"the runs cannot be read back: {error}", style="red")
        return False
    return complete


def _run_sweeps(missing: Sequence[SweepNeeds], request: EvidenceRequest, err: Console) -> bool:
    """Run the missing cells of some sweeps, one sweep after another.

    Returns:
        whether the outcome of each cell is in MLflow.

    Raises:
        BadInput: the data set is not there, the runs do not fit into memory, or another driver works on a sweep.
    """
    assert request.locations is not None
    if (note := find_dataset(request.dataset, request.locations.data_root)[1]) is not None:
        err.print(note, style="yellow")
    configs = [cell.config for entry in missing for cell in entry.cells]
    memory.require_memory(configs, min(at_once(request.options), len(configs)))
    studies = dict.fromkeys(entry.sweep.study.name for entry in missing)
    err.print(f"{len(configs)} runs are missing: {', '.join(studies)}")
    workers, complete = SharedPool(len(configs)), True
    try:
        for entry in missing:
            complete = _run(entry, request, err, workers) and complete
    finally:
        workers.close()
    return complete


def _run(entry: SweepNeeds, request: EvidenceRequest, err: Console, workers: SharedPool) -> bool:
    """Run the missing cells of a sweep by the machinery of studies; return whether each has an outcome in MLflow."""
    sweep = entry.sweep
    assert request.locations is not None
    execute.require_device(sweep.base.device)
    plan = Plan(sweep.study, sweep.base, {}, 0, tuple(entry.cells))
    try:
        outcome = run_sweep(sweep, plan, request.options, request.locations, err, workers.lend)
    except (WorkersLost, TrackerUnavailable) as error:
        err.print(f"study {sweep.study.name}: {error}", style="red")
        return False
    problems = {
        f"{outcome.unstarted} runs were not started; the same command goes on once there is room": outcome.unstarted,
        f"{outcome.waiting} results wait on disk for the tracker; `vaestudy sync` delivers them": outcome.waiting,
        f"{outcome.crashed} runs crashed; their traceback.txt in MLflow says why": outcome.crashed,
    }
    for line, count in problems.items():
        if count:
            err.print(f"study {sweep.study.name}: {line}", style="red")
    return not any(problems.values())


def at_once(options: SweepOptions) -> int:
    """Return the number of runs that are executed at the same time."""
    return cores() if options.workers is None else max(1, options.workers)


def minutes(total: Cost, options: SweepOptions) -> str:
    """Return the minutes that runs take and the source of this number, as text. It is empty if there are no runs."""
    if not total.basis:
        return ""
    return f"{shown_minutes(total.seconds / at_once(options) / 60)} ({', '.join(total.basis)})"


@contextmanager
def refusing_mixtures(what: str) -> Iterator[None]:
    """Turn the error for runs that must not be compared into one line.

    Args:
        what: what the runs do not give, such as "no verdict".

    Raises:
        BadInput: runs are of several data sets, or must not be compared for another reason.
    """
    try:
        yield
    except Incomparable as error:
        raise BadInput(f"the runs that are there give {what}: {error}") from None
