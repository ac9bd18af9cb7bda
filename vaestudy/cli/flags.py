"""Create command-line flags from the fields of a pydantic model: their names, docstrings, defaults and limits.

So there is no second list of the flags. argparse only splits the arguments, and pydantic alone decides which values are
valid. A flag, a file and Python code therefore follow the same rules.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel

from vaestudy.cli.short_help import Entry, cut, short_help, shown_value
from vaestudy.config.fields import Choice, choice_of, item_metadata
from vaestudy.config.messages import expected_values, field_schema
from vaestudy.errors import BadInput, unknown_name

HELP = ("-h", "--help")
HELP_ALL = "--help-all"
MOST_LISTED = 12
"""The largest number of flags that a message about an unknown one lists."""
DEFAULT_IN_TEXT = re.compile(r"\s*\[default: [^\]]*\]")
"""What a docstring says of a default that depends on something."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A formatter of help texts that does not break a name at a hyphen."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that reports each mistake as one line with the valid choices.

    A flag that was not given does not appear in the result.
    """

    def __init__(self, prog: str, description: str, summary: str = "") -> None:
        """Args:
        prog: the command.
        description: what it does.
        summary: what it does in one paragraph, for a command with so many flags that `--help` prints a short help of
            them, and only `--help-all` explains all. Without it both print the same.
        """
        super().__init__(
            prog=prog,
            usage=f"{prog} [FLAGS]" if summary else None,
            description=description if summary else textwrap.fill(description, 78),
            formatter_class=_Formatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            add_help=False,
        )
        short, long = (
            ("Show the flags that matter here, with their defaults", "Show all flags, and say what they mean")
            if summary
            else ("Show this", "")
        )
        self.add_argument(*HELP, action="store_true", help=short)
        self.add_argument(HELP_ALL, action="store_true", help=long or argparse.SUPPRESS)
        self._summary = summary
        self._choices: list[tuple[argparse.Action, str, Choice, str]] = []
        self._entries: list[Entry] = []
        self._one_value: Callable[[str, Sequence[str]], str] | None = None

    def name_in_help(self, action: argparse.Action, before: str, choice: Choice, after: str) -> None:
        """Let the help text of a flag list the names of a choice, between the texts `before` and `after`.

        The names are read when the help is printed: to know them all, the users' own files are imported.
        """
        self._choices.append((action, before, choice, after))

    def add_entry(self, entry: Entry) -> None:
        """Add a flag to the short help."""
        self._entries.append(entry)

    def group(self, title: str) -> argparse._ArgumentGroup:
        """Return the group of flags with this title."""
        found = next((group for group in self._action_groups if group.title == title), None)
        return found or self.add_argument_group(title)

    def answer_second_values(self, message: Callable[[str, Sequence[str]], str]) -> None:
        """Let `message` (flag, its values -> a line) answer a flag that takes one value and got several."""
        self._one_value = message

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

        If help is asked for, print it and exit.

        Raises:
            BadInput: a flag is unknown, or a flag has no value.
        """
        given = list(arguments)
        if wants_help(given):
            all_of_it = HELP_ALL in given or not self._summary
            text = self.format_help() if all_of_it else short_help(f"{self.prog} [FLAGS]", self._summary, self._entries)
            print(text, end="")
            self.exit(0)
        known, rest = self.parse_known_args(given)
        if rest:
            raise BadInput(self._unknown(given, rest[0]))
        return vars(known)

    def _unknown(self, arguments: list[str], first: str) -> str:
        """Return the message for the first argument that nothing takes."""
        several = self._second_values(arguments)
        if several is not None and self._one_value is not None and not first.startswith("--"):
            return self._one_value(*several)
        name = first.split("=")[0]
        flags = [option for option in self._option_string_actions if option.startswith("--")]
        if not name.startswith("--no-"):
            flags = [option for option in flags if not option.startswith("--no-")]
        kind = "flag" if name.startswith("-") else "argument"
        return unknown_name(kind, name, flags, "--help" if len(flags) > MOST_LISTED else "")

    def _second_values(self, arguments: list[str]) -> tuple[str, list[str]] | None:
        """Return the first flag that takes one value and is followed by several, with these; None if there is none."""
        name, values = "", list[str]()
        for word in [*arguments, "--"]:
            if not word.startswith("-") or re.match(r"-[0-9.]", word):
                values.append(word)
                continue
            action = self._option_string_actions.get(name)
            if action is not None and action.nargs is None and len(values) > 1:
                return name, values
            name, _, joined = word.partition("=")
            values = [joined] if joined else []
        return None


def wants_help(arguments: Iterable[str]) -> bool:
    """Return whether a command line asks for help."""
    return any(argument in (*HELP, HELP_ALL) for argument in arguments)


def flag(field: str) -> str:
    """Return a field's name as a flag, e.g. "--latent-dim"."""
    return "--" + field.replace("_", "-")


def add_fields(
    parser: Parser,
    model: type[BaseModel],
    topic: str,
    *,
    only: Iterable[str] | None = None,
    leave: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
    switches: bool = False,
    explain: Iterable[str] = (),
    unused: Mapping[str, str] | None = None,
) -> None:
    """Add a flag for each field of `model`.

    Args:
        parser: the parser that gets the flags.
        model: the model whose fields become flags. A field's docstring is the help text of its flag.
        topic: the heading of these flags in the help text.
        only: the fields that get a flag, in their order [default: all].
        leave: fields that get no flag.
        defaults: field -> default value for the help text, in place of the model's.
        switches: whether a field of type bool gets only `--name`, and no `--no-name`.
        explain: fields of which the short help says what they do.
        unused: field -> what makes it meaningless. Such fields are left out of the short help.
    """
    for name in only or model.model_fields:
        if name in leave:
            continue
        field = model.model_fields[name]
        is_bool = field.annotation is bool
        default = (defaults or {}).get(name, field.default)
        text = (field.description or "").rstrip(".").replace("%", "%%")
        shown = "" if default in (None, "") or (is_bool and switches) else shown_value(default)
        if shown and default != field.default:  # the docstring's default is that of the model
            text = DEFAULT_IN_TEXT.sub("", text)
        elif "[default" in text or default == ():
            shown = ""
        why = (unused or {}).get(name, "")
        after = f" [default: {shown}{f'; not for {why}' * bool(why)}]" if shown else f" [not for {why}]" * bool(why)
        choice = choice_of(field.metadata) or choice_of(item_metadata(field.annotation))
        metavar = "NAME" if choice else _metavar(model, name)
        if is_bool:
            kind: dict[str, Any] = {"action": "store_true" if switches else argparse.BooleanOptionalAction}
        else:
            kind = {"metavar": metavar} | ({"nargs": "+"} if isinstance(field.default, tuple) else {})
        action = parser.group(topic).add_argument(flag(name), help=text + after.replace("%", "%%"), **kind)
        if choice is not None:
            parser.name_in_help(action, text, choice, after)
        if not why:
            placeholder = "" if is_bool else metavar
            about = _first_sentence(text) if name in explain else ""
            parser.add_entry(Entry(topic, flag(name), cut(shown) or placeholder, about))


def _first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, up to a colon and without a default."""
    return DEFAULT_IN_TEXT.sub("", re.split(r"(?<=\w)\. |: ", text)[0]).replace("%%", "%")


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
