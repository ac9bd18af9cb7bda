"""Create command-line flags from the fields of a pydantic model: their names, docstrings, defaults and limits.

So there is no second list of the flags. argparse only splits the arguments, and pydantic alone decides which values are
valid. A flag, a file and Python code therefore follow the same rules.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel

from vaestudy.config.fields import Choice, choice_of, item_metadata
from vaestudy.config.messages import expected_values, field_schema
from vaestudy.errors import BadInput, unknown_name


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that reports each mistake as one line with the valid choices.

    A flag that was not given does not appear in the result.
    """

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        self._choices: list[tuple[argparse.Action, str, Choice, str]] = []

    def name_in_help(self, action: argparse.Action, before: str, choice: Choice, after: str) -> None:
        """Let the help text of a flag list the names of a choice, between the texts `before` and `after`.

        The names are read when the help is printed: to know them all, the users' own files are imported.
        """
        self._choices.append((action, before, choice, after))

    def format_help(self) -> str:
        """Return the help text, with the valid names of each flag."""
        for action, before, choice, after in self._choices:
            action.help = f"{before}. One of: {', '.join(choice.names)}{after}"
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raise `BadInput`; argparse calls this method for its own errors."""
        raise BadInput(message)

    def parse(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the flags and arguments that were given: name -> value.

        Raises:
            BadInput: a flag is unknown, or a flag has no value.
        """
        known, rest = self.parse_known_args(list(arguments))
        if rest:
            flags = [option for option in self._option_string_actions if option.startswith("--")]
            unknown = rest[0].split("=")[0]
            kind = "flag" if unknown.startswith("-") else "argument"
            raise BadInput(unknown_name(kind, unknown, flags))
        return vars(known)


def flag(field: str) -> str:
    """Return a field's name as a flag, e.g. "--latent-dim"."""
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
        parser: the parser that gets the flags.
        model: the model whose fields become flags. A field's docstring is the help text of its flag.
        title: the heading of these flags in the help text.
        leave: fields that get no flag.
        defaults: field -> default value for the help text, in place of the model's.
        switches: whether a field of type bool gets only `--name`, and no `--no-name`.
    """
    group = parser.add_argument_group(title)
    for name, field in model.model_fields.items():
        if name in leave:
            continue
        text = (field.description or "").rstrip(".").replace("%", "%%")
        choice = choice_of(field.metadata) or choice_of(item_metadata(field.annotation))
        default = (defaults or {}).get(name, field.default)
        shown, default_text = " ".join(map(str, default)) if isinstance(default, tuple) else default, ""
        if shown not in (None, "") and "[default" not in text and not (switches and field.annotation is bool):
            default_text = f" [default: {shown}]"
        if field.annotation is bool and switches:
            kind: dict[str, Any] = {"action": "store_true"}
        elif field.annotation is bool:
            kind = {"action": argparse.BooleanOptionalAction}
        else:
            kind = {"metavar": "NAME" if choice else _metavar(model, name)}
            kind |= {"nargs": "+"} if isinstance(field.default, tuple) else {}
        action = group.add_argument(flag(name), help=text + default_text, **kind)
        if choice is not None:
            parser.name_in_help(action, text, choice, default_text)


def _metavar(model: type[BaseModel], name: str) -> str:
    """Return the placeholder for a flag's value in the help text: NAME, N, X or the field's own."""
    schema = field_schema(model, name)
    if "metavar" in schema:
        return str(schema["metavar"])
    expected = expected_values(model, name)
    return "N" if "whole" in expected else "X" if "number" in expected else "NAME"


def split_lists(values: dict[str, Any]) -> dict[str, Any]:
    """Split the values of flags that accept several values at commas: "32,16" and "32 16" give the same list."""
    return {
        name: [part for given in value for part in given.split(",") if part] if isinstance(value, list) else value
        for name, value in values.items()
    }
