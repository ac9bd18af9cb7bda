"""The page of every metric: the names that the package knows, with what the glossary says of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vaestudy.study.metrics import METRICS, PARTS

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
HEAD = """# Every metric

A run can record these metrics, and a study can name them in its tables and as its objective. The list is that of
`vaestudy/study/metrics.py`; the meaning is that of the [glossary](../glossary.md), which also has the metrics of a
sweep's own run and the tags and parameters.

`<...>` stands for a part that varies:
"""


@dataclass(frozen=True)
class Meaning:
    """What the glossary says of a metric."""

    section: str
    text: str
    unit: str
    file: str


def page() -> str:
    """Return the page as Markdown.

    Raises:
        KeyError: the glossary does not define a metric.
    """
    meanings = glossary()
    lines = [HEAD]
    lines += [f"* `<{name}>`: {_possible(pattern)}" for name, pattern in PARTS.items()]
    section = ""
    for name in METRICS:
        meaning = meanings[name]
        if meaning.section != section:
            section = meaning.section
            lines += ["", f"## {section}", "", "| metric | meaning | unit | computed in |", "| --- | --- | --- | --- |"]
        lines.append(
            f'| <a id="{anchor(name)}"></a>`{name}` | {meaning.text} | {meaning.unit} | {_linked(meaning.file)} |'
        )
    return "\n".join(lines) + "\n"


def anchor(name: str) -> str:
    """Return the anchor of a metric."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")


def glossary() -> dict[str, Meaning]:
    """Return what the glossary says: name of a metric -> its meaning. The cells are Markdown."""
    return dict(_rows(GLOSSARY.read_text(encoding="utf-8")))


def _rows(text: str) -> Iterator[tuple[str, Meaning]]:
    """Return the rows of the tables of metrics."""
    section, inside = "", False
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        inside = bool(cells) and (inside or cells[0] == "metric")
        if inside and cells[0] != "metric" and not cells[0].startswith("---"):
            yield cells[0].strip("`"), Meaning(section, cells[1], cells[2], cells[3])


def _possible(pattern: str) -> str:
    """Return what may stand in place of a part: a number, or one of several words."""
    return "a number" if pattern == r"\d+" else ", ".join(f"`{word}`" for word in pattern.split("|"))


def _linked(cell: str) -> str:
    """Return a cell with a link to each file that it names."""

    def link(found: re.Match[str]) -> str:
        path = f"vaestudy/{found[1]}"
        return f"[`{found[1]}`](../../{path})" if (ROOT / path).is_file() else found[0]

    return re.sub(r"`([\w/]+\.py)`", link, cell)
