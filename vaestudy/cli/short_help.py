"""The help that `--help` prints of a command with many flags: all of them with their defaults, on one screen.

`--help-all` prints what each flag means.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from vaestudy.study.levels import level_text

HEADING = 10
"""The width of the column of topics."""
LONGEST_VALUE = 40
"""The number of characters to which the levels of a list are cut."""
WIDEST = 100
LONGEST_UNBROKEN = 60
"""The number of characters of a flag with its default that are kept on one line."""
LEGEND = (
    "Beside each flag stands its default, or a capital word where there is no fixed one. --help-all explains all "
    "flags, and lists those that have no meaning here."
)


@dataclass(frozen=True)
class Entry:
    """A flag in the short help."""

    topic: str
    flag: str
    value: str
    """Its default, or the placeholder of a value; empty for a flag that takes none."""
    about: str = ""
    """What it does. A flag with such a text has lines of its own."""

    @property
    def text(self) -> str:
        """Return the flag with its value."""
        return f"{self.flag} {self.value}".rstrip()


def short_help(usage: str, summary: str, entries: Iterable[Entry]) -> str:
    """Return the help text.

    Args:
        usage: how the command is called.
        summary: what it does; one paragraph.
        entries: the flags, each topic in one piece.
    """
    width = max(60, min(WIDEST, shutil.get_terminal_size().columns))
    paragraphs = [f"usage: {usage}", textwrap.fill(summary, width), textwrap.fill(LEGEND, width)]
    topics = [_topic(topic, list(group), width) for topic, group in groupby(entries, lambda entry: entry.topic)]
    return "\n\n".join([*paragraphs, "\n".join(topics)]) + "\n"


def _topic(topic: str, entries: list[Entry], width: int) -> str:
    """Return the lines of one topic."""
    lines: list[str] = []
    explained = [entry for entry in entries if entry.about]
    column = max((len(entry.text) for entry in explained), default=0) + 2
    for entry in explained:
        first, *rest = textwrap.wrap(entry.about, width - HEADING - column)
        lines += [f"{entry.text:<{column}}{first}", *(" " * column + line for line in rest)]
    flowing = "  ".join(_unbroken(entry.text) for entry in entries if not entry.about)
    # Long levels of a factor may be broken between two levels, a flag and its only value may not.
    lines += [line.replace("\u00a0", " ") for line in textwrap.wrap(flowing, width - HEADING, break_on_hyphens=False)]
    head, *rest = lines
    return "\n".join([f"{topic:<{HEADING}}{head}", *(" " * HEADING + line for line in rest)])


def _unbroken(text: str) -> str:
    """Return a text with spaces at which a line is not broken, unless it is long."""
    return text.replace(" ", "\u00a0") if len(text) <= LONGEST_UNBROKEN else text


def shown_value(value: object) -> str:
    """Return a default as help texts have it: on or off, a list with spaces, else as the names of runs have it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return " ".join(map(shown_value, value)) or "none"
    return level_text(value)


def cut(text: str, longest: int = LONGEST_VALUE) -> str:
    """Return a list of values as text; of a long one its beginning, "..." and its last value."""
    if len(text) <= longest:
        return text
    words = text.split(" ")
    begin: list[str] = []
    while words and len(" ".join([*begin, words[0], "...", words[-1]])) <= longest:
        begin.append(words.pop(0))
    return " ".join([*begin, "...", words[-1]])
