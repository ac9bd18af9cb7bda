"""The page of every flag: the parsers that the commands make, as tables."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from cells import cell

from vaestudy import RunConfig, Study
from vaestudy.cli.flags import HELP, HELP_ALL, Parser
from vaestudy.cli.main import COMMANDS
from vaestudy.cli.study import study_main
from vaestudy.config.messages import expected_values
from vaestudy.config.presets import PRESETS
from vaestudy.reporting.escaping import markdown_cell
from vaestudy.reporting.files import markdown_table
from vaestudy.sweep.search_flags import SearchFlags, TuneFlags
from vaestudy.sweep.sweep_options import SweepOptions

MODELS = (RunConfig, SweepOptions, SearchFlags, TuneFlags)
"""The models whose fields are flags; they know the limits of a value."""
HEAD = """# Every flag

This page is made of the command line itself. `vaestudy COMMAND --help-all` prints the same.

* A command is `vaestudy COMMAND`. `vaestudy --project DIR COMMAND` names another project
  ([projects.md](../projects.md)).
* Flags that take several values take them after spaces or commas: `--iwae 1 100`, `--iwae 1,100`.
* A mistake in the input gives one line and exit code 2; nothing is written then.
"""
HELP_FLAGS = {option.strip("-").replace("-", "_") for option in (*HELP, HELP_ALL)}
EXAMPLE = Study(
    name="example",
    doc="An example.",
    base=RunConfig(),
    factors={"latent_dim": (2, 10)},
    baseline={"latent_dim": 2},
)
"""A study whose command line is shown. Others differ in their factors."""


class _Made(BaseException):
    """A parser has been made."""

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self.parser = parser


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for name, command in COMMANDS.items():
        parts += _command(f"vaestudy {name}", name, command)
        parts += _presets() if name == "train" else []
    parts += _command("A study: vaestudy run STUDY, python studies/STUDY.py", "study", _example_study)
    return "\n".join(parts)


def parser_of(command: Callable[[list[str]], int]) -> Parser | None:
    """Return the parser that a command makes; None if it makes none.

    The command is called, and left where it would read its arguments.
    """

    def parse(self: Parser, arguments: Sequence[str]) -> dict[str, Any]:
        raise _Made(self)

    with mock.patch.object(Parser, "parse", parse), contextlib.redirect_stdout(io.StringIO()):
        try:
            command(["--help"])
        except _Made as made:
            return made.parser
    return None


def _example_study(arguments: list[str]) -> int:
    """Run the command line of the example."""
    return study_main(EXAMPLE, arguments)


def _command(title: str, name: str, command: Callable[[list[str]], int]) -> list[str]:
    """Return the section of a command."""
    parser = parser_of(command)
    if parser is None:
        return [f"## {title}", "", f"{_sentence(command.__doc__)} See [A study](#study).", ""]
    parser.format_help()  # it fills in the names that a flag may have
    lines = [f'<a id="{name}"></a>', "", f"## {title}", "", _sentence(parser.description), ""]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest not in HELP_FLAGS]
        if actions:
            heading = (group.title or "").partition(" (")[0]
            lines += [f"### {heading[:1].upper()}{heading[1:]}", ""]
            lines += [*markdown_table(("flag", "meaning", "values"), [_row(name, action) for action in actions]), ""]
    return lines


def _row(command: str, action: argparse.Action) -> tuple[str, str, str]:
    """Return the cells of a flag or an argument."""
    shown = ", ".join(option + _takes(action) for option in action.option_strings) or str(action.metavar or action.dest)
    text = cell((action.help or "").replace("%%", "%"))
    return f'<a id="{command}-{action.dest}"></a>`{shown}`', text, markdown_cell(_values(action))


def _takes(action: argparse.Action) -> str:
    """Return what a flag takes, for its place after the flag."""
    if action.nargs == 0:
        return ""
    return f" {action.metavar or action.dest.upper()}" + (" ..." if action.nargs == "+" else "")


def _values(action: argparse.Action) -> str:
    """Return the limits of a flag's value; empty if its help lists the names, or if it has none."""
    for model in MODELS:
        if action.dest in model.model_fields and action.nargs != 0 and action.metavar in ("N", "X"):
            return expected_values(model, action.dest)
    return ""


def _presets() -> Iterator[str]:
    """Return the lines of the table of presets."""
    yield from ("### Presets", "", "`--preset NAME` changes these defaults:", "")
    rows = [
        (f"`{name}`", ", ".join(f"`{field}` {markdown_cell(_text(value))}" for field, value in fields.items()))
        for name, fields in PRESETS.items()
    ]
    yield from markdown_table(("preset", "fields"), rows)
    yield ""


def _text(value: object) -> str:
    """Return the value of a field as text."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _sentence(text: str | None) -> str:
    """Return a text with a capital letter and a full stop."""
    line = " ".join((text or "").split())
    return f"{line[:1].upper()}{line[1:].rstrip('.')}."
