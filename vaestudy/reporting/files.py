"""Texts for readers that have a generated part, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vaestudy.errors import BadInput


def read_text(file: Path) -> str:
    """Return the text of a file.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror})") from None


def with_generated(text: str, generated: str, marks: tuple[str, str], file: str) -> str:
    """Return a text with another generated part between its marks.

    Args:
        text: the text.
        generated: the new part; it ends in a line end.
        marks: the line before the part, and the line behind it.
        file: the name of the file, for the message.

    Raises:
        BadInput: the marks are not there, once each and in this order.
    """
    first, last = marks
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise BadInput(f"{file}: must have the lines {first} and {last} once, around the generated table")
    return f"{before}{first}\n{generated}{last}{after}"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table of cells that are escaped already."""
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
