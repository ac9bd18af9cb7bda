"""Output for the user: a progress bar during long work, tables, and one line of JSON for programs.

Text is printed as it is: no part of it is taken for markup, and credentials in addresses are left out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vaestudy.runtime.credentials import without_credentials


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel. Its output passes for a terminal, but cannot be overwritten."""
    return type(sys.stderr).__module__.startswith("ipykernel")


class PlainConsole(Console):
    """A console that prints text without its credentials, and without reading it as markup."""

    def __init__(self, stderr: bool = False, width: int | None = None, quiet: bool = False) -> None:
        super().__init__(
            stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=width is None,
            quiet=quiet, force_jupyter=False, force_terminal=False if in_notebook() else None,
        )  # fmt: skip

    def print(self, *objects: Any, **options: Any) -> None:
        """Print text without the credentials of any address in it, and other objects as they are."""
        super().print(*(without_credentials(o) if isinstance(o, str) else o for o in objects), **options)


def consoles() -> tuple[Console, Console]:
    """Return two consoles: stderr for progress and remarks, stdout for results."""
    return PlainConsole(stderr=True), PlainConsole()


def progress(console: Console) -> Progress:
    """Return a progress bar for long work. It is disabled if the console is not a terminal.

    Each task needs a field `shown`: the text to the right of the bar.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_uncut(console: Console, table: Table) -> None:
    """Print a table at its natural width. A narrow terminal wraps the lines, but no text is cut off."""
    wide = PlainConsole(width=1_000)
    PlainConsole(width=max(wide.measure(table).maximum, console.width)).print(table)


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object on one line. A number that is not finite becomes null, because JSON has no such number."""
    finite = {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}
    print(json.dumps(finite))
