"""The levels of factors: their types, their text, and the combinations of them that a study runs.

A level is a value of its factor's field of `RunConfig`, validated by that field. So a level has one type, whether it is
declared as 1, 1.0 or np.float64(1), or is text from the command line.
"""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vaestudy.config.compatibility import OPTION_DEFAULTS, has_option
from vaestudy.config.messages import expected_values, validated_field
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput

Level = int | float | str | bool | tuple[int, ...]
Levels = dict[str, tuple[Level, ...]]


def level_text(value: Any) -> str:
    """Return a level as text; it is the same in names, tables and file names.

    Different levels of one factor have different texts: a float that six digits do not give exactly has all its digits.
    """
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    if isinstance(value, float):
        value += 0.0  # -0.0 is the same level as 0.0
        short = f"{value:g}"
        return short if float(short) == value else repr(float(value))
    return str(value)


def short_text(value: Any) -> str:
    """Return a level as text for reading: a float with three digits, others as `level_text`."""
    return f"{value:.3g}" if isinstance(value, float) else level_text(value)


def is_list(field: str) -> bool:
    """Return whether the values of a field of `RunConfig` are tuples."""
    return isinstance(RunConfig.model_fields[field].default, tuple)


def level_of(field: str, value: Any) -> Level:
    """Return a declared level as a value of its field.

    Raises:
        BadInput: the field does not accept the value.
    """
    if not isinstance(value, bool | int | float) and isinstance(value, numbers.Real):  # a number of numpy
        value = int(value) if isinstance(value, numbers.Integral) else float(value)
    if value is None or (isinstance(value, bool) and RunConfig.model_fields[field].annotation is not bool):
        raise BadInput(f"{field} {value}: must be {expected_values(RunConfig, field)}")
    level: Level = validated_field(RunConfig, field, value)
    return level


def level_from_text(field: str, text: str, name: Callable[[str], str]) -> Level:
    """Return the level that a text from the command line stands for.

    A level of a field whose values are tuples is written as `level_text` prints it: 32 or 64x32.

    Args:
        field: the factor.
        text: one level as text.
        name: maps a field to the name that the user knows, e.g. to a flag.

    Raises:
        BadInput: the field does not accept the value.
    """
    try:
        level: Level = validated_field(RunConfig, field, text.split("x") if is_list(field) else text, name)
    except BadInput:
        if not is_list(field):
            raise
        expected = expected_values(RunConfig, field)
        raise BadInput(f"{name(field)} {text}: a level must be {expected}, joined by x: 32 or 64x32") from None
    return level


def combinations(
    likelihood: str, levels: Mapping[str, tuple[Level, ...]], leave_out: Iterable[dict[str, Level]] = ()
) -> list[dict[str, Level]]:
    """Return the combinations of levels, without the combinations that match an entry of `leave_out`.

    A likelihood is combined only with the levels of options that it has; any other option keeps its default.

    Args:
        likelihood: the likelihood of combinations that give none.
        levels: the levels of each factor.
        leave_out: levels of some factors each; combinations that have these levels are left out.
    """
    found: dict[tuple[Level, ...], dict[str, Level]] = {}
    rules = list(leave_out)
    for values in itertools.product(*levels.values()):
        wanted = settled(likelihood, dict(zip(levels, values, strict=True)))
        if not any(rule.items() <= wanted.items() for rule in rules):
            found.setdefault(tuple(wanted.values()), wanted)
    return list(found.values())


def settled(likelihood: str, levels: dict[str, Level]) -> dict[str, Level]:
    """Return the levels with every option that their likelihood does not have at its default."""
    name = str(levels.get("likelihood", likelihood))
    return {n: level if has_option(name, n) else OPTION_DEFAULTS[n] for n, level in levels.items()}
