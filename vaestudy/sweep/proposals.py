"""The configurations that Optuna proposes for the trials of a search, and Optuna's study of a search.

A trial that a kill left with some of its parameters is completed as if there had been no kill.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import _filter_study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.levels import Level, short_text
from vaestudy.study.search import OBJECTIVES, Search
from vaestudy.study.search_space import Choices, FloatRange, IntRange, ask_levels, candidate
from vaestudy.sweep.samplers import distribution, level_from_stored, make_pruner, make_sampler, stored

Constraints = Callable[[RunConfig], dict[str, float]]
"""A function that returns the constraints of a configuration: name -> a number that is above 0 if it is violated."""


@dataclass(frozen=True)
class Proposal:
    """The configuration of a trial."""

    name: str
    """The searched fields as text."""
    config: RunConfig | None
    """The configuration; None if it is not feasible."""
    reason: str = ""
    """Why it is not feasible."""


class Proposals:
    """The part of a search that asks the sampler for configurations.

    Args:
        search: the declaration of the search.
        base: the configuration that trials change.
        study: Optuna's study of the search.
        constraints: returns the constraints of a configuration.
    """

    def __init__(self, search: Search, base: RunConfig, study: optuna.Study, constraints: Constraints) -> None:
        self._search, self._base, self._study, self._constraints = search, base, study, constraints
        self._distributions = {name: distribution(d) for name, d in search.space.items()}

    def sampler(self, number: int) -> BaseSampler:
        """Return the sampler for a trial."""
        return make_sampler(self._search, number, self._base.epochs or 1)

    def complete(self, trial: Trial) -> Proposal:
        """Return a trial's configuration. What the trial lacks of its parameters is asked for, and stored.

        Args:
            trial: a RUNNING trial.
        """
        levels = ask_levels(self._search.space, self._base, lambda name, _: self._suggest(trial, name))
        name = ", ".join(f"{field}={short_text(value)}" for field, value in levels.items())
        trial.set_user_attr("name", name)
        try:
            config = candidate(self._base, levels)
        except BadInput as error:
            self._constrain(trial, {"undefined": 1.0})
            return Proposal(name, None, str(error))
        limits = {"undefined": 0.0} | self._constraints(config)
        self._constrain(trial, limits)
        if violated := [limit for limit, value in limits.items() if value > 0]:
            return Proposal(name, None, f"violates the limit of {violated[0]}")
        return Proposal(name, config)

    def _suggest(self, trial: Trial, name: str) -> Level:
        """Return the value of a field in a trial; the sampler proposes it if the trial has none yet."""
        dimension = self._search.space[name]
        if name in frozen_trial(self._study, trial).params:
            self._skip(trial, name)
        if isinstance(dimension, FloatRange):
            return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
        if isinstance(dimension, IntRange):
            return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
        assert isinstance(dimension, Choices)
        chosen = trial.suggest_categorical(name, [stored(level) for level in dimension.levels])
        return level_from_stored(self._search.space, name, chosen)

    def _constrain(self, trial: Trial, limits: Mapping[str, float]) -> None:
        """Set the constraints of a trial that it does not have yet."""
        known = frozen_trial(self._study, trial).constraints
        for limit, value in limits.items():
            if limit not in known:
                trial.set_constraint(limit, value)

    def _skip(self, trial: Trial, name: str) -> None:
        """Let the sampler draw again a value that a trial already has, and discard it.

        A kill between two fields leaves a trial with the first of them. A new sampler draws the others. It must first
        make the draws of the fields that are there, so that its next draws are those of the sampler that was killed.
        """
        made = self._distributions[name]
        if not made.single() and not trial._is_relative_param(name, made):
            frozen = frozen_trial(self._study, trial)
            self._study.sampler.sample_independent(_filter_study(self._study, frozen), frozen, name, made)


def frozen_trial(study: optuna.Study, trial: Trial) -> FrozenTrial:
    """Return what Optuna's storage has of a trial."""
    return study._storage.get_trial(trial._trial_id)


def open_study(storage: Any, name: str, search: Search, epochs: int) -> optuna.Study:
    """Return Optuna's study of a search; create it if it does not exist.

    Args:
        storage: Optuna's storage.
        name: the name of Optuna's study.
        search: the declaration of the search.
        epochs: the number of epochs of a run that is not pruned.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        directions=[StudyDirection[OBJECTIVES[metric].upper()] for metric in search.objectives],
        load_if_exists=True,
        sampler=RandomSampler(seed=0),
        pruner=make_pruner(search, epochs),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(list(search.objectives))
    return study
