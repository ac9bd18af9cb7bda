"""Optuna's samplers, pruners and distributions, made from the declaration of a search.

**Seeds.** A sampler is made anew for each trial, with a seed that is derived from the seed of the search and the
trial's number. So a search that was killed proposes the same configurations as one that was not. Optuna's samplers keep
what else they need in the storage. Only the quasi-random sequence of `QMCSampler` has one seed for all trials: its
points must be of one sequence.
"""

from __future__ import annotations

import binascii
import hashlib
import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.pruners._successive_halving import _is_trial_promotable_to_next_rung
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from vaestudy.study.levels import Level, level_text
from vaestudy.study.search import Search
from vaestudy.study.search_space import FloatRange, IntRange, Space

# The driver never trains an infeasible configuration. So this sampler may ignore constraints, and needs no warning.
warnings.filterwarnings("ignore", message="Constraints have been set, but CmaEsSampler", category=UserWarning)

STARTUP_TRIALS = 10
"""The largest number of random trials before a sampler or the median pruner uses what it has seen."""

REDUCTION = 3
"""The factor by which Hyperband reduces the number of trials from one rung to the next."""


def make_sampler(search: Search, number: int, epochs: int) -> BaseSampler:
    """Return the sampler for one trial.

    Args:
        search: the declaration of the search.
        number: the trial's number.
        epochs: the number of epochs of a run that is not pruned.
    """
    seed = _seed(search.seed, number)
    conditional = any(dimension.when for dimension in search.space.values()) or "likelihood" in search.space
    few = _startup_trials(search, epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match search.sampler:
            case "TPESampler":
                return optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, group=conditional, constant_liar=True, n_startup_trials=few
                )
            case "GPSampler":
                return optuna.samplers.GPSampler(
                    seed=seed,
                    n_startup_trials=few,
                    independent_sampler=RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                )
            case "CmaEsSampler":
                return optuna.samplers.CmaEsSampler(
                    seed=seed, independent_sampler=RandomSampler(seed=seed), warn_independent_sampling=False
                )
            case "QMCSampler":
                return NumberedQMC(
                    number,
                    seed=_seed(search.seed, 0),
                    scramble=True,
                    independent_sampler=RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                )
            case "NSGAIISampler":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=_population(search, epochs))
    return RandomSampler(seed=seed)


def _full_trials(search: Search, epochs: int) -> int:
    """Return the number of trials that are in the budget if none is pruned."""
    return search.trials or max(1, (search.epochs or 0) // (epochs * search.seeds))


def _startup_trials(search: Search, epochs: int) -> int:
    """Return the number of random trials at the beginning: a quarter of the budget, 2 to `STARTUP_TRIALS`."""
    return min(STARTUP_TRIALS, max(2, _full_trials(search, epochs) // 4))


def _population(search: Search, epochs: int) -> int:
    """Return the size of a generation: such that there are about five generations, and 10 to 50 trials in each."""
    return min(50, max(10, _full_trials(search, epochs) // 5))


def _seed(seed: int, number: int) -> int:
    """Return the seed of a trial's sampler."""
    return int.from_bytes(hashlib.sha256(f"sampler/{seed}/{number}".encode()).digest()[:4], "big")


def make_pruner(search: Search, epochs: int) -> BasePruner:
    """Return the pruner of a search.

    Args:
        search: the declaration of the search.
        epochs: the number of epochs of a run that is not pruned.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match search.pruner:
            case "HyperbandPruner":
                return SeededHyperband(search.seed, epochs)
            case "MedianPruner":
                return MedianPruner(n_startup_trials=_startup_trials(search, epochs), n_warmup_steps=1)
            case "WilcoxonPruner":
                return WilcoxonPruner(p_threshold=0.1)
    return NopPruner()


class NumberedQMC(optuna.samplers.QMCSampler):
    """Optuna's quasi-random sampler, which here gives each trial the point of the sequence with the trial's number.

    Optuna's own sampler gives the points in turn. With it, a trial that was killed before its point was stored would
    get the next point.

    Args:
        number: the trial's number. The first trial is drawn at random: Optuna learns the space from it.
        settings: the arguments of Optuna's sampler.
    """

    def __init__(self, number: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._number = number

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the space of the sequence: that of the first trial, and never that of this trial itself."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        others = [other for other in study.get_trials(deepcopy=False, states=states) if other.number != trial.number]
        return super().infer_relative_search_space(study, trial) if others else {}

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        """Return the number of a trial's point."""
        return max(self._number - 1, 0)


class SeededHyperband(HyperbandPruner):
    """Optuna's Hyperband, with brackets that depend on the seed of the search and not on the study's name.

    Optuna hashes the study's name and the trial's number. Then the same search under another name, such as that of the
    next generation of a sweep, would prune other trials.

    It may be asked twice after the same epoch, by a driver that was killed before it had carried out the answer and by
    the next one. Optuna notes that the trial has reached a rung before it answers, and would then let the trial go on.

    Args:
        seed: the seed of the search.
        epochs: the number of epochs of a run that is not pruned.
    """

    def __init__(self, seed: int, epochs: int) -> None:
        super().__init__(min_resource=1, max_resource=epochs, reduction_factor=REDUCTION)
        self._seed = seed

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Return whether the pruner ends a trial. If it is asked again for the same epoch, it gives the same answer."""
        if (key := self._rung_of_last_epoch(study, trial)) is None:
            return super().prune(study, trial)
        bracket = self._get_bracket_id(study, trial)
        mine = [other for other in study.get_trials(deepcopy=False) if self._get_bracket_id(study, other) == bracket]
        reached = [other.system_attrs[key] for other in mine if key in other.system_attrs]
        return not _is_trial_promotable_to_next_rung(trial.system_attrs[key], reached, REDUCTION, study.direction)

    def _rung_of_last_epoch(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> str | None:
        """Return the rung that a trial has reached by its last epoch, if Optuna has noted it."""
        rungs = sum(key.startswith("completed_rung_") for key in trial.system_attrs)
        at = REDUCTION ** (self._get_bracket_id(study, trial) + rungs - 1)
        return f"completed_rung_{rungs - 1}" if rungs and trial.last_step == at else None

    def _get_bracket_id(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> int:
        """Return the bracket of a trial.

        The brackets are made here if they are not yet: the sampler asks for a trial's bracket, too, and in a driver
        that goes on with a search it asks first.
        """
        if not self._pruners:
            self._try_initialization(study)
        rest = binascii.crc32(f"{self._seed}_{trial.number}".encode()) % self._total_trial_allocation_budget
        for bracket, budget in enumerate(self._trial_allocation_budgets):
            rest -= budget
            if rest < 0:
                return bracket
        raise AssertionError("the budgets of the brackets sum to the total")


def distribution(dimension: Any) -> BaseDistribution:
    """Return Optuna's distribution of a dimension. A choice that is a list is stored as text."""
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return CategoricalDistribution([stored(level) for level in dimension.levels])


def stored(level: Level) -> Any:
    """Return a level as Optuna stores it."""
    return level_text(level) if isinstance(level, tuple) else level


def level_from_stored(space: Space, field: str, value: Any) -> Level:
    """Return the level that Optuna stored as a value of a parameter."""
    dimension = space[field]
    if isinstance(dimension, FloatRange | IntRange):
        level: Level = value
        return level
    return next(level for level in dimension.levels if stored(level) == value and type(stored(level)) is type(value))
