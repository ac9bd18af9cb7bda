"""The space of a search: for each field of `RunConfig` that is searched, the values that it may take.

A space is plain data, and this file imports nothing slow. A dimension is a range of numbers or a list of choices. A
dimension with `when` is conditional: it is only asked for if earlier dimensions, or the base configuration, have
certain values. An option that only some likelihoods have (`config/compatibility.py`) is only asked for there, without
`when`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vaestudy.config.compatibility import AIS_DEFAULTS, OPTION_DEFAULTS, has_option
from vaestudy.config.messages import expected_values, library_message
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.levels import Level, level_of, level_text

EDGE = 0.05
"""A value is at a range's edge if it lies in the outer 5 % of the range, measured on the range's own scale."""

NOT_SEARCHED = {
    "seed": "it is not a choice; `seeds` is the number of seeds of a trial",
    "dataset": "trials on different data sets cannot be compared",
    "data_digest": "trials on different data sets cannot be compared",
    "subset": "trials on different subsets cannot be compared",
    "valid_size": "trials that are scored on different validation images cannot be compared",
    "pixels": "trials on different pixel protocols cannot be compared",
    "epochs": "it is what a trial may spend; the base sets it",
    "figures": "it changes no score",
    "iwae": "it changes no training",
    "class_scores": "it changes no training",
    **dict.fromkeys(AIS_DEFAULTS, "it changes no training"),
    "test_scores": "it changes no training",
    "milestones": "it changes no training",
    "gradient_images": "it changes no training",
    "gradient_estimators": "it changes no training",
    "threads": "it changes no score",
    "device": "it changes no score",
}
"""Field of `RunConfig` that cannot be searched -> the reason."""


class Dimension(BaseModel):
    """What all dimensions of a space have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    when: dict[str, tuple[Level, ...]] = {}
    """Field -> values. The dimension is asked for only if each of these fields has one of these values."""

    @model_validator(mode="wrap")
    @classmethod
    def _declared(cls, data: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        """Validate the fields, and report the first mistake of a declaration as one line."""
        if info.context is not None:
            return handler(data)
        try:
            return handler(data)
        except ValidationError as error:
            first = error.errors()[0]
            field, value = str(first["loc"][0]), first["input"]
            if first["type"] == "extra_forbidden":
                raise BadInput(unknown_name(f"field of {cls.__name__}", field, cls.model_fields)) from None
            if first["type"] == "missing":
                raise BadInput(f"{cls.__name__}: {field} is missing") from None
            raise BadInput(f"{cls.__name__} {field} {value!r}: {library_message(first)}") from None


class FloatRange(Dimension):
    """All numbers from `low` to `high`."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Whether the range is uniform in the number's logarithm."""

    @property
    def text(self) -> str:
        """Return the range as text."""
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def is_edge(self, value: Any) -> bool:
        """Return whether a value lies in the outer `EDGE` of the range."""
        return _near_an_end(float(value), self.low, self.high, self.log)


class IntRange(Dimension):
    """All whole numbers from `low` to `high`."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Whether the range is uniform in the number's logarithm."""

    @property
    def text(self) -> str:
        """Return the range as text."""
        return f"{self.low} to {self.high}{' (log)' if self.log else ''}"

    def is_edge(self, value: Any) -> bool:
        """Return whether a value is an end of the range, or lies in its outer `EDGE`."""
        return _near_an_end(float(value), self.low, self.high, self.log)


class Choices(Dimension):
    """Some values of a field."""

    kind: Literal["choices"] = "choices"
    levels: tuple[Level, ...] = ()

    def __init__(self, *levels: Any, **fields: Any) -> None:
        super().__init__(**({"levels": levels} if levels else {}) | fields)

    @property
    def text(self) -> str:
        """Return the choices as text."""
        return ", ".join(map(level_text, self.levels))

    def is_edge(self, value: Any) -> bool:
        """Return whether a value is the smallest or the largest choice. Only choices of three or more numbers have
        edges."""
        numbers = [level for level in self.levels if isinstance(level, int | float) and not isinstance(level, bool)]
        return len(numbers) == len(self.levels) > 2 and value in (min(numbers), max(numbers))


AnyDimension = Annotated[FloatRange | IntRange | Choices, Field(discriminator="kind")]
Space = dict[str, AnyDimension]

DEFAULT_SPACE: Space = {
    "learning_rate": FloatRange(low=1e-4, high=3e-2, log=True),
    "minibatch": Choices(20, 50, 100, 200, 500),
    "samples": Choices(1, 2, 5, 10),
    "hidden": Choices((128,), (256,), (512,), (256, 256)),
    "activation": Choices("relu", "tanh"),
    "optimizer_epsilon": FloatRange(low=1e-10, high=1e-2, log=True),
    "schedule": Choices("constant", "cosine"),
    "latent_dim": IntRange(low=2, high=64, log=True),
    "init_sigma": FloatRange(low=0.01, high=1.0, log=True),
    "likelihood_sigma": FloatRange(low=0.02, high=0.5, log=True),
}
"""The ranges of `--tune`, by field."""


def _near_an_end(value: float, low: float, high: float, log: bool) -> bool:
    """Return whether a value lies in the outer `EDGE` of a range, on its linear or logarithmic scale."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    margin = EDGE * (high - low)
    return value <= low + margin or value >= high - margin


class Asking(Protocol):
    """What gives values for dimensions, e.g. a trial of Optuna."""

    def __call__(self, field: str, dimension: FloatRange | IntRange | Choices) -> Level:
        """Return a value for one field."""


def ask_levels(space: Space, base: RunConfig, ask: Asking) -> dict[str, Level]:
    """Return a value for each dimension that is asked for, in the order of the space.

    Args:
        space: the space of a search.
        base: the configuration from which fields have their values that are not searched.
        ask: gives the value of one field.
    """
    values: dict[str, Level] = {}
    for field, dimension in space.items():
        if is_asked(field, dimension, base, values):
            values[field] = ask(field, dimension)
    return values


def is_asked(field: str, dimension: Dimension, base: RunConfig, values: Mapping[str, Level]) -> bool:
    """Return whether a dimension has a meaning beside the values of earlier dimensions."""
    if not has_option(str(values.get("likelihood", base.likelihood)), field):
        return False
    return all(values.get(name, getattr(base, name)) in allowed for name, allowed in dimension.when.items())


def candidate(base: RunConfig, values: Mapping[str, Level], **fixed: Any) -> RunConfig:
    """Return the configuration of a trial: the base with some fields changed.

    An option of the base that the trial's likelihood does not have is set to its default.

    Raises:
        BadInput: the fields are not valid together.
    """
    likelihood = str(values.get("likelihood", base.likelihood))
    unset = {field: default for field, default in OPTION_DEFAULTS.items() if not has_option(likelihood, field)}
    return base.with_changes(**unset | dict(values) | fixed)


def searched_levels(space: Space, config: RunConfig) -> dict[str, Level]:
    """Return the values that a trial with this configuration was asked for, in the order of the space."""
    return ask_levels(space, config, lambda field, _: getattr(config, field))


def require_space(space: Mapping[str, Any], base: RunConfig, part: str = "space") -> Space:
    """Return a space with each value as a value of its field.

    Args:
        space: field -> its dimension.
        base: the base configuration.
        part: the name of the space in messages.

    Raises:
        BadInput: the space is empty; a field does not exist or cannot be searched; or a range or a choice is not valid.
    """
    if not space:
        raise BadInput(f"{part}: is empty; give one or more fields, such as learning_rate")
    found: Space = {}
    for field, dimension in space.items():
        if field not in RunConfig.model_fields:
            raise BadInput(f"{part}: {unknown_name('field', field, searchable())}")
        if field in NOT_SEARCHED:
            raise BadInput(f"{part} {field}: cannot be searched: {NOT_SEARCHED[field]}")
        later = [name for name in space if name not in found]
        found[field] = _with_valid_values(f"{part} {field}", field, dimension, later)
    return found


def searchable() -> list[str]:
    """Return the fields of `RunConfig` that can be searched."""
    return [field for field in RunConfig.model_fields if field not in NOT_SEARCHED]


def _with_valid_values(head: str, field: str, dimension: Any, later: list[str]) -> FloatRange | IntRange | Choices:
    """Return a dimension with each value as a value of its field.

    Args:
        head: the beginning of a message.
        field: the field that is searched.
        dimension: its declared dimension.
        later: the field itself, and those that are asked for after it.

    Raises:
        BadInput: the dimension is not valid.
    """
    if not isinstance(dimension, FloatRange | IntRange | Choices):
        raise BadInput(f"{head}: must be a FloatRange, an IntRange or Choices, not {dimension!r}")
    when = {name: _condition(head, name, values, later) for name, values in dimension.when.items()}
    if isinstance(dimension, Choices):
        levels = tuple(level_of(field, level) for level in dimension.levels)
        texts = [level_text(level) for level in levels]
        if not texts:
            raise BadInput(f"{head}: has no choice; give one or more")
        if twice := [text for text in texts if texts.count(text) > 1]:
            raise BadInput(f"{head}: the choice {twice[0]} is given twice; its choices are {', '.join(texts)}")
        return dimension.model_copy(update={"levels": levels, "when": when})
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInput(f"{head} {low:g} to {high:g}: the lower bound must be below the upper bound")
    if dimension.log and low <= 0:
        raise BadInput(f"{head} {low:g} to {high:g}: a range on a logarithmic scale must begin above 0")
    _require_numbers(head, field, dimension)
    bounds = {"low": level_of(field, low), "high": level_of(field, high)}
    return dimension.model_copy(update={**bounds, "when": when})


def _require_numbers(head: str, field: str, dimension: FloatRange | IntRange) -> None:
    """Raise unless a field's values are numbers of the kind that a range gives.

    Raises:
        BadInput: they are not.
    """
    kind = expected_values(RunConfig, field)
    if not kind.startswith(("a whole number", "a finite number")):
        raise BadInput(f"{head}: its values are no numbers; give them by Choices")
    if kind.startswith("a whole number") and isinstance(dimension, FloatRange):
        raise BadInput(f"{head}: its values are whole numbers; give the range by IntRange")
    if kind.startswith("a finite number") and isinstance(dimension, IntRange):
        raise BadInput(f"{head}: its values need not be whole numbers; give the range by FloatRange")


def _condition(head: str, name: str, values: Iterable[Any], later: list[str]) -> tuple[Level, ...]:
    """Return the values of a condition, each as a value of its field.

    Raises:
        BadInput: the field does not exist or is asked for later, or a value is not valid.
    """
    if name not in RunConfig.model_fields:
        raise BadInput(f"{head}: when: {unknown_name('field', name, RunConfig.model_fields)}")
    if name in later:
        raise BadInput(f"{head}: when {name}: {name} is asked for later; put it before {head.split()[-1]}")
    return tuple(level_of(name, value) for value in values)
