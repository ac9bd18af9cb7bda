"""The entries of one column of a LaTeX table: numbers whose decimals and intervals stand below each other.

There are two ways. Without a package, every entry is set in math mode and what it lacks against the widest one is added
as `\\phantom`. With siunitx the column is of the type `S`, and its format reserves the places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vaestudy.reporting.escaping import latex

_PLAIN = r"\d[\d,]*(?:\.\d+)?|\.\d+"
_POWER = re.compile(r"([-+]?\d+(?:\.\d+)?)e([-+]?)0*(\d+)", re.ASCII)
_ENTRY = re.compile(rf"([-+]?)({_PLAIN})(?: ± ({_PLAIN}))?", re.ASCII)


@dataclass(frozen=True)
class Number:
    """A number of a table, with the half-width of its interval if it has one. All parts are text."""

    sign: str
    value: str
    half: str

    @classmethod
    def read(cls, text: str) -> Number | None:
        """Return the number that an entry is; None if it is another text or has an exponent."""
        found = _ENTRY.fullmatch(text)
        return None if found is None else cls(found[1], found[2].replace(",", ""), (found[3] or "").replace(",", ""))

    @property
    def whole(self) -> str:
        """Return the digits before the decimal point."""
        return self.value.partition(".")[0]

    @property
    def decimals(self) -> int:
        """Return the number of digits behind the decimal point."""
        return len(self.value.partition(".")[2])


def numbers_of(texts: Sequence[str]) -> list[Number | None] | None:
    """Return the numbers of a column, None for an empty entry; None if an entry is no number or all are empty."""
    found = [Number.read(text) if text else None for text in texts]
    known = [number for number in found if number]
    return found if known and len(known) == len([text for text in texts if text]) else None


def padded(texts: Sequence[str], bold: int | None = None) -> list[str]:
    """Return a column for the type `r`. Entries of a column with another text than numbers are escaped only.

    Args:
        texts: the entries.
        bold: the position of the entry that is set bold.
    """
    numbers = numbers_of(texts)
    if numbers is None:
        return [rf"\textbf{{{_other(text)}}}" if row == bold else _other(text) for row, text in enumerate(texts)]
    known = [number for number in numbers if number]
    decimals = max(number.decimals for number in known)
    halves = [number.half for number in known if number.half]
    widest = max(halves, key=lambda half: (len(half.partition(".")[0]), len(half)), default="")
    return [
        _in_math(number, decimals, widest, halves, row == bold) if number else "" for row, number in enumerate(numbers)
    ]


def _other(text: str) -> str:
    """Return an entry of a column that is not all numbers; 1e-05 is written as a power of ten."""
    return f"${in_powers(text)}$" if _POWER.fullmatch(text) else latex(text)


def in_powers(number: str) -> str:
    """Return a number as it is written in math mode: 1e-05 becomes 1 \\times 10^{-5}."""
    power = _POWER.fullmatch(number)
    return rf"{power[1]} \times 10^{{{power[2].strip('+')}{power[3]}}}" if power else number


def _in_math(number: Number, decimals: int, widest: str, halves: Sequence[str], bold: bool) -> str:
    """Return a number in math mode, with phantoms for what it lacks.

    Args:
        number: the number.
        decimals: the largest number of decimals of the column.
        widest: the half-width with the most digits before its point; empty if no entry has one.
        halves: all half-widths of the column.
        bold: whether it is set bold.
    """
    text = number.sign + _grouped(number.value)
    lacking = decimals - number.decimals
    tail = _phantom("." * (not number.decimals) + "0" * lacking) if lacking else ""
    if number.half:
        whole, _, fraction = number.half.partition(".")
        before = _phantom("0" * (len(widest.partition(".")[0]) - len(whole)))
        most = max(len(half.partition(".")[2]) for half in halves)
        less = most - len(fraction)
        behind = _phantom("." * (not fraction) + "0" * less) if less else ""
        tail += rf" \pm {before}{_grouped(number.half)}{behind}"
    elif widest:
        tail += rf"\phantom{{{{}} \pm {_grouped(widest)}}}"
    return rf"$\mathbf{{{text}{tail}}}$" if bold else f"${text}{tail}$"


def _grouped(number: str) -> str:
    """Return a number with a comma between thousands, from five digits on."""
    whole, point, fraction = number.partition(".")
    return (f"{int(whole):,}".replace(",", "{,}") if len(whole) > 4 else whole) + point + fraction


def _phantom(text: str) -> str:
    return rf"\phantom{{{text}}}" if text else ""


def s_column(texts: Sequence[str], bold: int | None = None) -> tuple[str, list[str]] | None:
    """Return the type of a siunitx column and its entries; None if the column does not fit one.

    A column fits if all its entries are numbers, and each half-width has as many decimals as its number: siunitx counts
    the digits of a half-width in units of the last decimal. It leaves a half-width of zero out.

    Args:
        texts: the entries.
        bold: the position of the entry that is set bold.
    """
    numbers = numbers_of(texts)
    known = [number for number in numbers or () if number]
    intervals = [number for number in known if number.half]
    if numbers is None or any(n.decimals != len(n.half.partition(".")[2]) or not float(n.half) for n in intervals):
        return None
    signs = {number.sign for number in known}
    decimals = max(number.decimals for number in known)
    form = f"{'+' if '+' in signs else '-' if '-' in signs else ''}{max(len(n.whole) for n in known)}"
    form += f".{decimals}" if decimals else ""
    if digits := [n.half.replace(".", "").lstrip("0") + "0" * (decimals - n.decimals) for n in intervals]:
        form += f"({max(1, *(len(text) for text in digits))})"
    entries = [_for_siunitx(number, row == bold) if number else "" for row, number in enumerate(numbers)]
    return f"S[table-format={form}]", entries


def _for_siunitx(number: Number, bold: bool) -> str:
    text = number.sign + number.value + (f" +- {number.half}" if number.half else "")
    return rf"\bfseries {text}" if bold else text
