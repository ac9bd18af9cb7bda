"""The answer to several values of a flag that takes one. Nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaestudy.cli.flags import flag
from vaestudy.config.messages import validated_field
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.checks import NO_FACTORS
from vaestudy.study.levels import is_list


def one_value_in_study(name: str, words: Sequence[str]) -> str:
    """Return the message for several values of a flag that takes one, for a study without a search.

    Args:
        name: the flag.
        words: what follows it on the command line.
    """
    field = _field(name)
    if field in NO_FACTORS:
        return f"{_one_value(name, words)}; it cannot be a factor: {NO_FACTORS[field]}"
    if field not in RunConfig.model_fields:
        return _one_value(name, words)
    return f"{_one_value(name, words)}; as levels to compare: --factor {field}={_levels(words)}"


def one_value_in_search(name: str, words: Sequence[str]) -> str:
    """Return the message for several values of a flag that takes one, for a study with a search."""
    return f"{_one_value(name, words)}; a study with a search takes no further factors"


def one_value_in_run(name: str, words: Sequence[str]) -> str:
    """Return the message for several values of a flag that takes one, for a command that makes one run."""
    field = _field(name)
    if field in NO_FACTORS or field not in RunConfig.model_fields:
        return _one_value(name, words)
    return f"{_one_value(name, words)}; to compare levels: `vaestudy run STUDY --factor {field}={_levels(words)}`"


def _field(name: str) -> str:
    """Return the field of a flag."""
    return name.removeprefix("--").replace("-", "_")


def _one_value(name: str, words: Sequence[str]) -> str:
    return f"{name} {' '.join(words)}: one value here"


def _levels(words: Sequence[str]) -> str:
    """Return values as `--factor` takes them."""
    return ",".join(part for word in words for part in word.split(",") if part)


def several_values(values: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Return the first flag of a field whose one value is a list of values, and this list as it was given.

    A text with a comma that is valid as it is, such as a path, is one value.

    Args:
        values: name -> value of each flag as the user gave it.

    Returns:
        None if there is no such flag.
    """
    for name, value in values.items():
        if name not in RunConfig.model_fields:
            continue
        words = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        parts = [part for word in words for part in word.split(",")]
        if len(parts) > 1 and not _is_valid(name, value) and all(_is_level(name, part) for part in parts):
            return flag(name), words
    return None


def _is_valid(field: str, value: Any) -> bool:
    """Return whether a field accepts a value."""
    try:
        validated_field(RunConfig, field, value)
    except BadInput:
        return False
    return True


def _is_level(field: str, text: str) -> bool:
    """Return whether a text is a level of a field, of a list in the form 64x32."""
    return _is_valid(field, text.split("x") if is_list(field) else text)
