"""Docstrings as cells of a Markdown table."""

from __future__ import annotations

from vaestudy.reporting.escaping import markdown_cell


def cell(text: str) -> str:
    """Return a docstring's text for a cell: text between backticks is code, and brackets are no links."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick that stands alone
        return _plain(text)
    return "".join(f"`{part.replace('|', chr(92) + '|')}`" if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    """Return a text without any code."""
    return markdown_cell(text).replace("[", r"\[")
