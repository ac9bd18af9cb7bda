"""What the user sees: progress while work lasts, one JSON line for machines."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


def consoles() -> tuple[Console, Console]:
    """(stderr for progress and remarks, stdout for results)."""
    return Console(stderr=True, highlight=False, soft_wrap=True), Console(highlight=False, soft_wrap=True)


def progress(console: Console) -> Progress:
    """A bar for long work; nothing where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_uncut(console: Console, table: Table) -> None:
    """Print a table at its natural width: a narrow terminal wraps its lines, but nothing is cut off."""
    wide = Console(width=1_000, highlight=False)
    Console(width=max(wide.measure(table).maximum, console.width), highlight=False).print(table)


def print_json(values: dict[str, Any]) -> None:
    """One object on one line; what is not finite becomes null, as JSON has no such number."""
    finite = {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}
    print(json.dumps(finite))
