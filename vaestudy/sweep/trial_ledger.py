"""Keeps Optuna's trials of a sweep consistent with its runs in MLflow.

Each cell that is run gets a run in MLflow and a trial in Optuna. The run is closed first and the trial second, so a
FINISHED run is the proof that a cell is done: a COMPLETE trial always has its record in MLflow or in the outbox. After
a kill between the two writes the trial is still RUNNING; `TrialLedger.reconcile` closes it when the next driver starts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import TrialState, create_trial

from vaestudy.run.record import EpochEnd, RunEnd, RunFailure
from vaestudy.study.declaration import Cell
from vaestudy.sweep.epoch_values import EpochValues, JournalTrials
from vaestudy.sweep.trial_params import TrialParams
from vaestudy.sweep.worker_pool import checkpoint_folder
from vaestudy.tracking.publisher import Publisher, RecordedCells
from vaestudy.training.checkpoint import CheckpointStore

WRITE_ERRORS = (OSError, StorageInternalError)  # raised by Optuna on a full disk or a lost database


def optuna_storage(address: str) -> Any:
    """Return Optuna's storage at the path of a journal file, or in the database at an address."""
    if "://" in address:
        return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
    return JournalTrials(address)


def open_trials(storage: Any, name: str, objective: str) -> optuna.Study:
    """Return Optuna's study of a sweep's cells; create it if it does not exist.

    The cells are known beforehand and are added as trials, so Optuna's sampler is never used.

    Args:
        storage: Optuna's storage.
        name: the name of Optuna's study.
        objective: the metric that is the value of a trial.
    """
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True, sampler=sampler
    )
    if study.metric_names != [objective]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([objective])
    return study


class TrialLedger:
    """The trials of a sweep in Optuna, each written together with the run of its cell in MLflow.

    MLflow is written first when a cell ends: a FINISHED run there is the proof that the cell is done.

    Args:
        trials: Optuna's study of the sweep.
        publisher: the sweep's connection to MLflow.
    """

    def __init__(self, trials: optuna.Study, publisher: Publisher) -> None:
        self.trials, self.publisher, self.sweep = trials, publisher, publisher.sweep
        self._open: dict[str, int] = {}  # key of a cell under way -> the number of its trial
        known = trials.get_trials(deepcopy=False)
        self._count, self._params = len(known), TrialParams(known)
        self._values = EpochValues(trials._storage)
        self._usable = True  # False after a failed write to Optuna
        self.ended = 0
        """Number of cells that this driver has completed: with a record, or with a divergence."""

    def reconcile(self, recorded: RecordedCells) -> set[str]:
        """Close the trials that a killed driver left RUNNING, and find the cells that are done.

        A trial whose cell has a record, in MLflow or in the outbox, becomes COMPLETE with the record's value. Any other
        becomes FAIL, and its cell is run again under a new trial.

        Args:
            recorded: the cells that have an outcome in MLflow.

        Returns:
            the keys of the cells that are done.
        """
        values = self.publisher.waiting_objectives() | recorded.objectives
        for trial in self.trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._close_trial(trial.number, values.get(trial.user_attrs.get("key", "")))
        if not recorded.known:  # MLflow is out of reach: rely on Optuna's COMPLETE trials
            complete = self.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            return set(values) | {trial.user_attrs["key"] for trial in complete}
        return set(values) | recorded.diverged

    def begin(self, cell: Cell) -> None:
        """Open a run and a trial for a cell.

        The seed is an attribute and no parameter, so that it is not among the importances of parameters.

        The trial is added as RUNNING. With Optuna's `enqueue_trial` and `ask` instead, Optuna would search all trials
        for each cell.

        Raises:
            OSError, StorageInternalError: the trial could not be written; from then on no trial is written.
        """
        key, number = cell.config.key, self._count
        run_id = self.publisher.begin(cell.name, cell.config, {"trial": str(number)})
        attributes = {"cell": cell.name, "seed": cell.config.seed, "key": key, "run_id": run_id}
        params, space = self._params.of(cell)
        trial = create_trial(state=TrialState.RUNNING, params=params, distributions=space, user_attrs=attributes)
        try:
            self.trials.add_trial(trial)
            trial_id = self.trials._storage.get_trial_id_from_study_id_trial_number(self.trials._study_id, number)
        except WRITE_ERRORS:
            self._usable = False
            raise
        self._count += 1
        self._open[key] = number
        self._values.begin(key, trial_id)

    def epoch(self, event: EpochEnd) -> None:
        """Pass on the metrics of an epoch: all to MLflow, the objective to Optuna."""
        self.publisher.epoch(event)
        if self._usable:
            try:
                self._values.add(event.key, event.epoch, event.metrics[self.sweep.objective])
            except WRITE_ERRORS:
                self._usable = False

    def end(self, event: RunEnd) -> None:
        """Close a run in MLflow, then its trial in Optuna, then delete the checkpoints of a run with a record."""
        number = self._open.pop(event.key)
        if isinstance(event.outcome, RunFailure):
            self.publisher.fail(event.key, event.outcome)
            self._write_epochs(event.key)
            self._close_trial(number, None)
            self.ended += event.outcome.diverged
        else:
            self.publisher.finish(event.key, event.outcome)
            values = [metrics[self.sweep.objective] for metrics in event.outcome.history]
            self._write_epochs(event.key, values)
            self._close_trial(number, values[-1])
            CheckpointStore(checkpoint_folder(), event.key).clear()
            self.ended += 1

    def abandon(self) -> None:
        """Close the trials that are still open as FAIL, as the sweep is being stopped."""
        for key, number in self._open.items():
            self._write_epochs(key)
            self._close_trial(number, None)
        self._open.clear()

    def _write_epochs(self, key: str, values: Sequence[float] = ()) -> None:
        """Write the objectives after epochs that have not been written, before the trial of a run is closed.

        Args:
            key: the key of the run.
            values: the objectives after all epochs, if the run has ended well.
        """
        if not self._usable:
            return
        try:
            self._values.end(key, values)
        except WRITE_ERRORS:
            self._usable = False

    def _close_trial(self, number: int, value: float | None) -> None:
        """Report a trial's value to Optuna, or its failure if the value is None or nan.

        If that cannot be written, the trial stays RUNNING, and the next driver closes it from what MLflow contains.
        """
        if not self._usable:
            return  # the last write may be incomplete; another one would damage the journal further
        try:
            if value is None or math.isnan(value):
                self.trials.tell(number, state=TrialState.FAIL)
            else:
                self.trials.tell(number, float(value))
        except WRITE_ERRORS:
            self._usable = False
