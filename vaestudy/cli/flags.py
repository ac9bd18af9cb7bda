"""Command-line flags made from a model's fields: their names, docstrings, defaults and limits. No second list.

argparse splits the words; pydantic alone decides what a value may be, so a flag, a file and Python code obey one rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel

from vaestudy.config.fields import choice_names, item_metadata
from vaestudy.config.messages import expected_values, field_schema
from vaestudy.errors import BadInput, unknown_name


class Parser(argparse.ArgumentParser):
    """argparse, but each mistake is one line that lists what is valid."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """The flags that were given, and no others.

        Raises:
            BadInput: an unknown flag, or a flag without its value.
        """
        known, rest = self.parse_known_args(list(words))
        if rest:
            flags = [option for option in self._option_string_actions if option.startswith("--")]
            word = rest[0].split("=")[0]
            kind = "flag" if word.startswith("-") else "argument"
            raise BadInput(unknown_name(kind, word, flags))
        return vars(known)


def flag(field: str) -> str:
    """A field's name as a flag."""
    return "--" + field.replace("_", "-")


def add_fields(
    parser: Parser,
    model: type[BaseModel],
    title: str,
    *,
    leave: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
    switches: bool = False,
) -> None:
    """Add a flag for each field of `model`.

    Args:
        parser: where the flags are added.
        model: the fields' docstrings, defaults and limits are the flags'.
        title: the heading in the help text.
        leave: fields that get no flag.
        defaults: defaults to show in place of the model's.
        switches: whether a yes-or-no field has only `--name`, and no `--no-name`.
    """
    group = parser.add_argument_group(title)
    for name, field in model.model_fields.items():
        if name in leave:
            continue
        text = (field.description or "").rstrip(".").replace("%", "%%")
        names = choice_names(field.metadata) or choice_names(item_metadata(field.annotation))
        if names:
            text += f". One of: {', '.join(names)}"
        default = (defaults or {}).get(name, field.default)
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        if shown is not None and "[default" not in text and not (switches and field.annotation is bool):
            text += f" [default: {shown}]"
        if field.annotation is bool and switches:
            group.add_argument(flag(name), action="store_true", help=text)
        elif field.annotation is bool:
            group.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=text)
        elif isinstance(field.default, tuple):
            group.add_argument(flag(name), nargs="+", metavar=_metavar(model, name, names), help=text)
        else:
            group.add_argument(flag(name), metavar=_metavar(model, name, names), help=text)


def _metavar(model: type[BaseModel], name: str, names: tuple[str, ...]) -> str:
    """Return the word that stands for a flag's value in the help text."""
    if names:
        return "NAME"
    schema = field_schema(model, name)
    if "metavar" in schema:
        return str(schema["metavar"])
    expected = expected_values(model, name)
    return "N" if "whole" in expected else "X" if "number" in expected else "NAME"


def split_lists(values: dict[str, Any]) -> dict[str, Any]:
    """Words given to a flag that takes several, with commas as good as spaces."""
    return {
        name: [part for word in value for part in word.split(",") if part] if isinstance(value, list) else value
        for name, value in values.items()
    }
