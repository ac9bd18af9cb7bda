"""TODO"""

from __future__ import annotations

import math
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from vaestudy.config.fields import choice_names
from vaestudy.config.run_config import RunConfig
from vaestudy.run.record import RunEnd, RunFailure
from vaestudy.study.declaration import Cell, level_text
from vaestudy.sweep.trial_storage import TrialLocation
from vaestudy.sweep.worker_pool import checkpoint_folder
from vaestudy.tracking.publisher import Publisher, RecordedCells
from vaestudy.training.checkpoint import CheckpointStore

LARGEST_INTEGER = 2**31 - 1

WRITE_ERRORS = (OSError, StorageInternalError)  # how a full disk or a lost database shows


def open_trials(location: TrialLocation) -> optuna.Study:
    """Return Optuna's study of a sweep, made if need be. Trials are added, so its sampler is never asked."""
    storage: Any = (
        optuna.storages.RDBStorage(location.address, engine_kwargs={"pool_pre_ping": True})
        if "://" in location.address
        else JournalStorage(JournalFileBackend(location.address))
    )
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(
        storage=storage, study_name=location.study, direction="maximize", load_if_exists=True, sampler=sampler
    )


class TrialLedger:
    """The two books, Optuna's trials and MLflow's runs, kept in step: MLflow first, as a finished run is the proof."""

    def __init__(self, trials: optuna.Study, publisher: Publisher) -> None:
        self.trials, self.publisher, self.sweep = trials, publisher, publisher.sweep
        self._open: dict[str, int] = {}
        self._count = len(trials.get_trials(deepcopy=False))
        self._usable = True
        self.ended = 0
        """Cells that came to an end since this driver began: a record, or a divergence."""

    def reconcile(self, recorded: RecordedCells) -> set[str]:
        """Make good what a driver that died left behind; the keys of the cells that need no run."""
        values = self.publisher.waiting_objectives() | recorded.objectives
        for trial in self.trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._tell(trial.number, values.get(trial.user_attrs.get("key", "")))
        if not recorded.known:  # MLflow is out of reach: Optuna's word must do
            complete = self.trials.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            return set(values) | {trial.user_attrs["key"] for trial in complete}
        return set(values) | recorded.diverged

    def begin(self, cell: Cell) -> None:
        """Open a run and a trial for a cell.

        The trial is added as RUNNING: to enqueue and ask for it would have Optuna look through all trials each time.
        """
        key, number = cell.config.key, self._count
        attributes = {"key": key, "run_id": self.publisher.begin(cell.name, cell.config, {"trial": str(number)})}
        params = {name: plain_level(value) for name, value in self._params(cell).items()}
        space = self._space(cell)
        trial = create_trial(state=TrialState.RUNNING, params=params, distributions=space, user_attrs=attributes)
        try:
            self.trials.add_trial(trial)
        except WRITE_ERRORS:
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
        space: dict[str, BaseDistribution] = {"seed": IntDistribution(0, LARGEST_INTEGER)}
        for name, value in cell.levels.items():
            if isinstance(value, int) and not isinstance(value, bool):
                space[name] = IntDistribution(0, LARGEST_INTEGER)
            elif isinstance(value, float):
                space[name] = FloatDistribution(-LARGEST_INTEGER, LARGEST_INTEGER)
            else:
                declared = self.sweep.study.factors[name] + self.sweep.study.full.get(name, ())
                names = choice_names(RunConfig.model_fields[name].metadata)
                space[name] = CategoricalDistribution(names or [plain_level(level) for level in declared])
        return space

    def end(self, event: RunEnd) -> None:
        """Close a run in MLflow, then its trial in Optuna."""
        number = self._open.pop(event.key)
        if isinstance(event.outcome, RunFailure):
            self.publisher.fail(event.key, event.outcome)
            self._tell(number, None)
            self.ended += event.outcome.diverged
        else:
            self.publisher.finish(event.key, event.outcome)
            self._tell(number, event.outcome.history[-1][self.sweep.objective])
            CheckpointStore(checkpoint_folder(), event.key).clear()
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
        except WRITE_ERRORS:
            self._usable = False


def plain_level(value: Any) -> Any:
    return level_text(value) if isinstance(value, tuple) else value
