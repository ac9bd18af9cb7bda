"""A table as LaTeX that is pasted into a paper as it is.

It has a caption, a label, symbols in its headings, aligned decimals and its notes below it (threeparttable). A table
that does not fit the width of a page gets a smaller type or is turned; one with many rows is a longtable, which may
break over pages.

The columns that keep the books are left out: the number of seeds goes into the caption where all rows have the same,
`failed` is shown where a run failed, and the seconds of a run are shown only where they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting.escaping import latex_sentence, one_text_line
from vaestudy.reporting.latex_numbers import in_powers, padded, s_column
from vaestudy.reporting.tables.summary import Table

SYMBOLS = {"latent_dim": "$D$", "minibatch": "$M$", "samples": "$L$", "beta": r"$\beta$", "sigma": r"$\sigma$"}
"""Field of the configuration -> its symbol. Other fields are written as words."""
_FIELDS = "|".join(sorted(RunConfig.model_fields, key=len, reverse=True))
_WORDS = "|".join(name for name in RunConfig.model_fields if "_" in name)
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_MEANING = re.compile(
    rf"""\b(?P<field>{_FIELDS})=(?P<level>{_NUMBER}(?![\w.]*\w))?
       | \b(?P<word>{_WORDS})\b
       | \bIWAE[ ](?P<draws>\d+)\b
       | \bVar_(?P<over>x|eps)\b
       | \babs\((?P<size>[^()]*)\)
       | \b(?P<letter>[DML])=(?P<count>\d+)\b
       | (?<![\w.,])(?P<mean>{_NUMBER})[ ]±[ ](?P<half>{_NUMBER})
       | (?<=[ ])(?P<minus>-)(?=[ ])
       | \^(?P<power>\d+)""",
    re.VERBOSE,
)

BOOKKEEPING = ("seeds", "failed", "s/run")
"""The columns about seeds, failed runs and seconds."""
ORIGIN = "Code: "
"""How the note begins that is a comment here: the revision of the code, which no reader of a paper looks for."""
LONG = 40
"""The number of rows from which a table may break over pages."""
PORTRAIT, LANDSCAPE = 345.0, 550.0
"""The width and the height of the text of a page of the class `article`, in points."""
CHARACTER = 5.0
"""The width of a digit at ten points, in points."""
OTHER_WIDTHS = {".": 2.8, ",": 2.8, "-": 7.8, "+": 7.8, "±": 7.8, " ": 2.3, "Δ": 8.3}
"""The same for characters that are much wider or narrower."""
SIZES = {"": (1.0, 6.0), r"\small": (0.93, 5.0), r"\footnotesize": (0.85, 3.0), r"\scriptsize": (0.8, 2.5)}
"""Command -> (the width of a digit in units of the normal one, the space at each side of a column in points)."""
LEAST_READABLE = 3
"""The number of sizes that a table gets before it is turned."""
TIGHT = (r"\footnotesize", r"\scriptsize")
"""The sizes with less space around ±."""
TIGHT_GAIN = 3.3
"""What that gains for each ±, in points at the normal size."""
SI_SETUP = r"\sisetup{separate-uncertainty, table-align-uncertainty=false, retain-explicit-plus, detect-weight}"
BEST = (
    "Bold: the best of its column, told apart from every other row by the 95 % interval over seeds of the difference "
    "at the same seed."
)


@dataclass(frozen=True)
class LatexStyle:
    """What the user may choose about LaTeX."""

    siunitx: bool = False
    """Numbers are in columns of the type S of the package siunitx."""
    bookkeeping: bool = False
    """The numbers of seeds and failed runs and the seconds of a run are always columns."""


def latex_table(table: Table, title: str, notes: Sequence[str], label: str, style: LatexStyle | None = None) -> str:
    """Return a table as LaTeX.

    Args:
        table: the table.
        title: its title, for the caption.
        notes: the lines below it.
        label: what stands in `\\label`.
        style: what the user chose.
    """
    style = style or LatexStyle()
    shown, seeds = (table.shown, "") if style.bookkeeping else without_books(table.shown)
    best = {name: row for name, row in table.best.items() if name in shown}
    columns = [_column(shown[name].tolist(), best.get(str(name)), style) for name in shown]
    caption = heading(title if title.endswith((".", "?", "!")) else f"{title}.")
    caption = " ".join([caption] + [seeds] * bool(seeds) + [heading(BEST)] * bool(best))
    head = " & ".join(_head(str(name), shown) for name in shown)
    body = [" & ".join(entries) for entries in zip(*(entries for _, entries in columns), strict=True)]
    parts = _Parts(
        types="".join(kind for kind, _ in columns),
        caption=rf"\caption{{{caption}}}",
        label=rf"\label{{{label}}}",
        head=rf"{head} \\",
        rows=[rf"{_guarded(row)} \\" for row in body],
        notes=[heading(line) for line in notes if not line.startswith(ORIGIN)],
        width=len(columns),
    )
    is_long = len(body) > LONG
    place, size = _place_and_size(shown, is_long)
    packages = ["booktabs", "longtable" if is_long else "threeparttable"]
    packages += ["siunitx"] * style.siunitx + ["rotating"] * (place == "sidewaystable")
    comments = [rf"\usepackage{{{', '.join(packages)}}}", *(line for line in notes if line.startswith(ORIGIN))]
    setup = [SI_SETUP] * style.siunitx + _size_lines(size)
    lines = _long(parts, setup) if is_long else _floating(parts, place, setup)
    return "".join(f"% {one_text_line(line)}\n" for line in comments) + "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Parts:
    """The parts of a table as LaTeX."""

    types: str
    caption: str
    label: str
    head: str
    rows: list[str]
    notes: list[str]
    width: int


def without_books(shown: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return a table without the columns that keep the books, and a sentence about the seeds for the caption.

    A table that has no such columns is returned as it is.
    """
    drop, sentence = [name for name in ("s/run",) if name in shown], ""
    if "failed" in shown and set(shown["failed"]) <= {"0", ""}:
        drop.append("failed")
    if "seeds" in shown and len(counts := set(shown["seeds"]) - {""}) == 1:
        drop.append("seeds")
        count = next(iter(counts))
        sentence = "One seed." if count == "1" else f"Means over {count} seeds."
    return shown.drop(columns=drop), sentence


def heading(text: str) -> str:
    """Return a heading or a sentence as LaTeX, with symbols in place of the names of fields."""
    if text in SYMBOLS:
        return SYMBOLS[text]
    found, end = "", 0
    for match in _MEANING.finditer(text):
        found += latex_sentence(text[end : match.start()]) + _symbol(match)
        end = match.end()
    return found + latex_sentence(text[end:])


def _symbol(match: re.Match[str]) -> str:
    """Return what stands for a name, or for a number with its interval."""
    if name := match["field"] or match["word"]:
        symbol = SYMBOLS.get(name, latex_sentence(name.replace("_", " ")))
        if match["word"]:
            return symbol
        if match["level"] is None:
            return f"{symbol}="
        level = in_powers(match["level"])
        return f"{symbol[:-1]}={level}$" if symbol.endswith("$") else f"{symbol}=${level}$"
    if match["draws"]:
        return f"IWAE$_{{{match['draws']}}}$"
    if match["over"]:
        return r"$\mathrm{Var}_{x}$" if match["over"] == "x" else r"$\mathrm{Var}_{\varepsilon}$"
    if match["letter"]:
        return f"${match['letter']}={match['count']}$"
    if match["mean"]:
        return rf"${in_powers(match['mean'])} \pm {in_powers(match['half'])}$"
    if match["minus"]:
        return "$-$"
    return f"$^{{{match['power']}}}$" if match["power"] else f"$|${latex_sentence(match['size'])}$|$"


def _column(texts: list[str], bold: int | None, style: LatexStyle) -> tuple[str, list[str]]:
    """Return the type of a column and its entries."""
    if style.siunitx and (found := s_column(texts, bold)) is not None:
        return found
    entries = padded(texts, bold)
    is_number = any(entry.startswith("$") for entry in entries)
    return ("r" if is_number else "l"), entries


def _guarded(row: str) -> str:
    """Return a row that does not begin with what the line end before it would take for its argument."""
    return f"{{}}{row}" if row.lstrip().startswith(("[", "*")) else row


def _place_and_size(shown: pd.DataFrame, is_long: bool) -> tuple[str, str]:
    """Return the environment and the size of type in which a table fits a page, as far as its characters tell."""
    columns = [[*_lines_of(name, shown), *map(str, shown[name])] for name in map(str, shown)]
    sizes = list(SIZES)
    tries = [("table", size, PORTRAIT) for size in (sizes if is_long else sizes[:LEAST_READABLE])]
    tries += [] if is_long else [("sidewaystable", size, LANDSCAPE) for size in sizes]
    for place, size, room in tries:
        scale, space = SIZES[size]
        width = sum(max(_width(text, size in TIGHT) for text in texts) for texts in columns)
        if scale * width + 2 * space * (len(columns) - 1) <= room:
            return place, size
    return tries[-1][0], tries[-1][1]


def _width(text: str, tight: bool = False) -> float:
    """Return about how wide a text is at ten points, in points."""
    return sum(OTHER_WIDTHS.get(character, CHARACTER) for character in text) - TIGHT_GAIN * text.count("±") * tight


def _lines_of(name: str, shown: pd.DataFrame) -> list[str]:
    """Return the lines of a heading: it is broken at spaces where it is wider than the entries below it."""
    if name in SYMBOLS:
        return ["D"]
    room = max((_width(str(text)) for text in shown[name]), default=0.0)
    lines: list[str] = []
    for word in str(name).split(" "):
        if lines and (_width(f"{lines[-1]} {word}") <= room or lines[-1] == "Δ"):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _head(name: str, shown: pd.DataFrame) -> str:
    """Return a heading in braces, in which siunitx looks for no number."""
    lines = _lines_of(name, shown)
    if len(lines) < 2:
        return f"{{{heading(name)}}}"
    stacked = r" \\ ".join(map(heading, lines))
    return rf"{{\shortstack{{{stacked}}}}}"


def _size_lines(size: str) -> list[str]:
    """Return the lines that set the size of type and the space between columns."""
    tight = [r"\medmuskip=1mu"] * (size in TIGHT)
    return [size, rf"\setlength{{\tabcolsep}}{{{SIZES[size][1]:g}pt}}", *tight] if size else []


def _floating(parts: _Parts, place: str, setup: Sequence[str]) -> list[str]:
    """Return the lines of a table on one page."""
    below = [r"\begin{tablenotes}[flushleft]\footnotesize", *(rf"\item {note}" for note in parts.notes)]
    return [
        rf"\begin{{{place}}}",
        r"\centering",
        r"\begin{threeparttable}",
        parts.caption,
        parts.label,
        *setup,
        rf"\begin{{tabular}}{{@{{}}{parts.types}@{{}}}}",
        r"\toprule",
        parts.head,
        r"\midrule",
        *parts.rows,
        r"\bottomrule",
        r"\end{tabular}",
        *([*below, r"\end{tablenotes}"] if parts.notes else []),
        r"\end{threeparttable}",
        rf"\end{{{place}}}",
    ]


def _long(parts: _Parts, setup: Sequence[str]) -> list[str]:
    """Return the lines of a table that may break over pages; its notes follow it."""
    top = [r"\toprule", parts.head, r"\midrule"]
    return [
        r"\begingroup",
        *setup,
        rf"\begin{{longtable}}{{@{{}}{parts.types}@{{}}}}",
        parts.caption,
        rf"{parts.label} \\",
        *top,
        r"\endfirsthead",
        *top,
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *parts.rows,
        r"\end{longtable}",
        *[rf"\par\noindent\footnotesize {note}" for note in parts.notes],
        r"\par\endgroup",
    ]
