"""Text as LaTeX and as Markdown: characters with a meaning of their own there are escaped, and only they.

The text comes from levels, labels, the questions of studies and the messages of errors, so it may hold any character.
"""

from __future__ import annotations

import re

NUMBER = r"[\d.,]+(?:e\d+)?"
NUMBER_WITH_INTERVAL = re.compile(rf"[-+]?{NUMBER}( ± {NUMBER})?", re.ASCII)

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",  # in the font encoding OT1 the characters < > | are others
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "µ": r"$\mu$",  # the sign of micro, U+00B5
    "μ": r"$\mu$",  # the Greek letter, U+03BC
    "β": r"$\beta$",
    "σ": r"$\sigma$",
    "²": r"$^2$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "«": "``",  # those quotation marks need another font encoding
    "»": "''",
}
"""Character -> what stands for it in the text of a LaTeX table, in any font encoding."""

_CONTROL = {chr(code): " " for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
"""Control characters and line ends -> a space."""
_LATEX = str.maketrans(_CONTROL | LATEX)
_SPACES = str.maketrans(_CONTROL)
_MARKDOWN_CELL = re.compile(r"[\\|`*]|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_MARKDOWN_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def latex(text: str) -> str:
    """Return a heading or an entry of a table as LaTeX.

    Numbers are set in math mode, so that minus signs are not hyphens. Letters that are not in LATEX stay as they are.
    """
    if NUMBER_WITH_INTERVAL.fullmatch(text):
        text = re.sub(r"e(\d+)", r" \\times 10^{\1}", text)
        return "$" + text.replace(",", "{,}").replace("±", r"\pm") + "$"
    # At the start of a row, LaTeX would read "[" or "*" as an argument of the line end before.
    return ("{}" if text.lstrip().startswith(("[", "*")) else "") + latex_sentence(text)


def latex_sentence(text: str) -> str:
    """Return a part of a sentence as LaTeX. Numbers in it are not set in math mode."""
    return text.translate(_LATEX)


def unbroken(text: str) -> str:
    """Return a text in which no line of a web page ends before or behind a ±."""
    return text.replace(" ±", "\u00a0±").replace("± ", "±\u00a0")


def one_text_line(text: str) -> str:
    """Return the text without line ends and control characters, so that it fits behind one "%" of LaTeX."""
    return text.translate(_SPACES)


def markdown_cell(text: str) -> str:
    """Return a heading or an entry of a table as Markdown: what would end the cell or start a format is escaped."""
    return _MARKDOWN_CELL.sub(r"\\\g<0>", one_text_line(text))


def markdown_line(text: str) -> str:
    """Return a line of text as Markdown: one line, with no HTML in it; formats such as `code` stay."""
    return _MARKDOWN_TAG.sub(r"\\<", one_text_line(text))
