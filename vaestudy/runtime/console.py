"""Output for the user: a progress bar during long work, tables, and one line of JSON for programs."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


def consoles() -> tuple[Console, Console]:
    """Return two consoles: stderr for progress and remarks, stdout for results.

    They print text as it is: brackets, as in E[x|z], are no markup.
    """
    return (
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False),
        Console(soft_wrap=True, highlight=False, markup=False, emoji=False),
    )


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
    wide = Console(width=1_000, highlight=False, markup=False, emoji=False)
    width = max(wide.measure(table).maximum, console.width)
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object on one line. A number that is not finite becomes null, because JSON has no such number."""
    finite = {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}
    print(json.dumps(finite))
