"""The parameters of Optuna's trials: the levels of a cell in a form that never changes within a sweep.

Optuna refuses a trial whose parameter has another distribution than in the trials before it, in a database at once. So
a parameter's distribution depends on the field of `RunConfig` alone, and not on the levels that are declared:

    whole number    IntDistribution, however the level was written
    number          FloatDistribution: 1 is 1.0
    true or false   CategoricalDistribution
    name            CategoricalDistribution of all names that the field can have
    list            no parameter

If a sweep's earlier trials have another distribution, that one is kept. They may be of an earlier revision, or a name
was registered after them. A level that does not fit into it gets no parameter. Nothing is lost: the attribute `cell` of
every trial contains all levels as text.

The seed is no parameter, but the attribute `seed`. In trials of earlier revisions it is a parameter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, get_args

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from vaestudy.config.fields import choice_names
from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import Cell
from vaestudy.study.levels import Level, is_list, level_text

LARGEST_INTEGER = 2**53  # Optuna stores integers as floats, which are exact up to here


class TrialParams:
    """The distributions of a sweep's parameters, and the parameters of its cells.

    Args:
        trials: the trials that the sweep has already.
    """

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        self._earlier: dict[str, BaseDistribution] = {}
        for trial in trials:
            for name, distribution in trial.distributions.items():
                self._earlier.setdefault(name, distribution)

    def of(self, cell: Cell) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Return the parameters of a cell's trial, and their distributions."""
        params: dict[str, Any] = {}
        space: dict[str, BaseDistribution] = {}
        for name, level in cell.levels.items():
            value = level_text(level) if isinstance(level, tuple) else level
            distribution = self._distribution(name)
            if distribution is not None and holds(distribution, value):
                params[name], space[name] = value, distribution
        return params, space

    def _distribution(self, name: str) -> BaseDistribution | None:
        """Return a parameter's distribution, None if its levels are no parameter."""
        own, earlier = distribution_of(name), self._earlier.get(name)
        if earlier is None or (type(own) is type(earlier) and not isinstance(own, CategoricalDistribution)):
            return own  # numbers may get a wider range
        return earlier


def distribution_of(field: str) -> BaseDistribution | None:
    """Return the distribution that a field's type implies, None if the field's values are lists or free text."""
    info = RunConfig.model_fields[field]
    if is_list(field):
        return None
    if names := choice_names(info.metadata):
        return CategoricalDistribution(names)
    kinds = {info.annotation, *(_plain(kind) for kind in get_args(info.annotation))}
    if bool in kinds:
        return CategoricalDistribution((False, True))
    if int in kinds:
        return IntDistribution(0, LARGEST_INTEGER)
    if float in kinds:
        return FloatDistribution(-sys.float_info.max, sys.float_info.max)
    return None


def _plain(kind: Any) -> Any:
    """Return the type in an annotated type, or the type itself."""
    return kind.__origin__ if hasattr(kind, "__metadata__") else kind


def holds(distribution: BaseDistribution, value: CategoricalChoiceType | Level) -> bool:
    """Return whether a value can be stored exactly as a parameter with this distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return any(value == choice and type(value) is type(choice) for choice in distribution.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(distribution, IntDistribution):
        return distribution.low <= value <= distribution.high and value == int(value)
    return isinstance(distribution, FloatDistribution) and distribution.low <= value <= distribution.high
