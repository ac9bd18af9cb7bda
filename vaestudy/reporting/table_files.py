"""One table of a study as files: CSV with all digits, Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from vaestudy.reporting.escaping import markdown_cell, markdown_line, unbroken
from vaestudy.reporting.latex_table import LatexStyle, latex_table
from vaestudy.reporting.places import without_places
from vaestudy.reporting.tables.summary import Table

STYLE = (
    "<style>body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}td{white-space:nowrap}</style>"
)


def table_files(
    name: str, table: Table, title: str, notes: Sequence[str], label: str = "", style: LatexStyle | None = None
) -> dict[str, bytes]:
    """Return the files of a table: path -> content.

    Args:
        name: the files' name without its ending.
        table: the table.
        title: its title.
        notes: the lines below it. Paths in them are cut to their last name.
        label: what LaTeX's label says behind "tab:" [default: `name`].
        style: what the user chose about LaTeX.
    """
    lines = [without_places(line) for line in notes]
    label = "tab:" + re.sub("[^A-Za-z0-9.]+", "-", label or name).strip("-.")
    contents = {
        "csv": table.full.to_csv(index=False),
        "md": _markdown(table, title, lines),
        "tex": latex_table(table, title, lines, label, style),
        "html": _page(table, title, lines),
    }
    return {f"tables/{name}.{ending}": content.encode() for ending, content in contents.items()}


def _markdown(table: Table, title: str, notes: Sequence[str]) -> str:
    """Return a table as Markdown."""
    cells = table.shown.rename(columns=markdown_cell).map(markdown_cell)
    head = f"# {markdown_line(title)}\n\n{cells.to_markdown(index=False, disable_numparse=True)}\n\n"
    return head + "".join(f"* {markdown_line(line)}\n" for line in notes)


def _page(table: Table, title: str, notes: Sequence[str]) -> str:
    """Return a table as a web page."""
    shown = table.shown.rename(columns=unbroken).map(unbroken).to_html(index=False, border=0)
    lines = "".join(f"<li>{html.escape(unbroken(line))}</li>" for line in notes)
    name = html.escape(title)
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>{STYLE}'
    return f"{head}<h1>{name}</h1>{shown}<ul>{lines}</ul></html>\n"
