"""The table of all comparisons: as cells of text, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaestudy.reporting.escaping import markdown_cell
from vaestudy.reporting.files import markdown_table
from vaestudy.reproductions.comparison import Comparison
from vaestudy.reproductions.protocol import Published

HEADINGS = (
    "protocol",
    "quantity",
    "obtained ±",
    "published ±",
    "difference",
    "inside the stated uncertainty",
    "seeds",
    "what differs from the published protocol",
)
BEGIN, END = "<!-- reproduce: begin -->", "<!-- reproduce: end -->"
"""The marks in docs/reproduce.md. The text between them is generated."""


def rows(entries: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return the cells of comparisons, one for each of HEADINGS.

    What differs from a protocol is given in its first row only.
    """
    found: list[tuple[str, ...]] = []
    named: set[str] = set()
    for entry in entries:
        differs = "as above" if entry.protocol.name in named else entry.protocol.differs
        named.add(entry.protocol.name)
        found.append((*_cells(entry), differs))
    return found


def _cells(entry: Comparison) -> tuple[str, ...]:
    """Return the cells of a comparison without the last one."""
    return (
        entry.protocol.name,
        entry.number.quantity,
        obtained_text(entry),
        published_text(entry.number),
        "" if math.isnan(entry.difference) else f"{entry.difference:+.2f}",
        f"{entry.answer}: {entry.why}" if entry.why else entry.answer,
        seeds_text(entry),
    )


def obtained_text(entry: Comparison) -> str:
    """Return the mean over seeds and the half-width of its 95 % interval, if it has one; empty without a value."""
    found = entry.obtained
    if found is None:
        return ""
    half = (found.high - found.low) / 2
    return f"{found.value:.2f} ± {half:.2f}" if half == half else f"{found.value:.2f}"


def published_text(number: Published) -> str:
    """Return the published number as text, with its allowance. It is a value, a range, or an upper limit."""
    if math.isinf(number.low):
        value = f"below {number.high:.2f}"
    else:
        value = f"{number.low:.2f}" + (f" to {number.high:.2f}" if number.high > number.low else "")
    return f"{value} ± {number.allowance:.2f}"


def seeds_text(entry: Comparison) -> str:
    """Return the number of seeds that have a value, and how many are missing or diverged."""
    there = entry.obtained.n if entry.obtained else 0
    few = there + entry.lost < entry.wanted
    return f"{there}" + f" of {entry.wanted}" * few + f" ({entry.lost} diverged)" * bool(entry.lost)


def markdown(entries: Sequence[Comparison], look: bool) -> str:
    """Return the table as Markdown, with the sources and the reasons of the allowances below.

    Args:
        entries: the comparisons.
        look: whether the runs are a look, of which nothing follows.
    """
    lines = ["**A look on other images or few epochs: not a result.**", ""] if look else []
    lines += markdown_table(HEADINGS, [[markdown_cell(text) for text in cells] for cells in rows(entries)])
    lines += ["", "Why the allowance is what it is, fixed before the runs:", ""]
    reasons = dict.fromkeys((entry.protocol.name, entry.number.allowance, entry.number.why) for entry in entries)
    lines += [f"* {name}, ± {allowance:.2f}: {why}." for name, allowance, why in reasons]
    sources = dict.fromkeys((entry.protocol.name, entry.protocol.source) for entry in entries)
    lines += ["", f"Sources: {'; '.join(f'{name}: {source}' for name, source in sources)}."]
    return "\n".join(lines) + "\n"
