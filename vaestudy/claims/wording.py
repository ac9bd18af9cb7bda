"""Estimates with their intervals as text, and the sentences of criteria and of parts.

Numbers are rounded by their uncertainty. Value and interval have the same decimals: as many as show two significant
digits of the interval's half-width, or fewer, if three significant digits of the numbers and one of the half-width
remain.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from vaestudy.claims.criterion import Below, Criterion, Exceeds, Within, factor_of, number, unit_of

if TYPE_CHECKING:
    from vaestudy.evidence.estimates import Estimate

MOST_DECIMALS = 6
HUGE = 1e7
"""From here on, numbers are given as powers of ten."""
WIDE = 10
"""If the ends of an interval on the log scale have a larger ratio, its numbers have decimals of their own."""
WORDS = re.compile(r"\{(\w+)\|(\w+)\}")
"""The form `{higher|lower}` in a sentence. The first word is used for an amount above 0, the second below 0."""


def interval_text(found: Estimate, unit: str, bare: bool = False) -> str:
    """Return an estimate as "5.02 nats (95 %: 4.57 to 5.48)"; of shares, "12 % (95 %: 3 to 30)".

    Args:
        found: the estimate.
        unit: its unit.
        bare: leave "95 %: " out.
    """
    if not found.high > found.low:
        return number(found.value, unit) + _no_interval(found)
    value, low, high = _texts(found, unit)
    return f"{value} {unit_of(value, unit)}{_brackets(f'{low} to {high}', bare)}"


def compared_text(found: Estimate, unit: str, above: str, below: str, bare: bool = False) -> str:
    """Return an estimate without its sign, as "5.02 nats higher (95 %: 4.57 to 5.48)".

    If the interval contains 0, each end has its word: "0.17 nats higher (95 %: 0.09 lower to 0.43 higher)".

    Args:
        found: the estimate.
        unit: its unit.
        above: the word for an estimate above 0.
        below: the word for an estimate below 0.
        bare: leave "95 %: " out.
    """

    def word(v: float) -> str:
        return above if v >= 0 else below

    if not found.high > found.low:
        return f"{number(abs(found.value), unit)} {word(found.value)}{_no_interval(found)}"
    value, low, high = (text.lstrip("-") for text in _texts(found, unit))
    ends = f"{low} {word(found.low)} to {high} {word(found.high)}"
    if word(found.low) == word(found.high):
        ends = f"{low} to {high}" if found.low >= 0 else f"{high} to {low}"
    return f"{value} {unit_of(value, unit)} {word(found.value)}{_brackets(ends, bare)}"


def _no_interval(found: Estimate) -> str:
    """Return why an estimate has no interval; empty if it was not made of seeds."""
    if found.n == 1:
        return ", one seed"
    return ", the same for each seed" if found.n > 1 and found.high == found.low else ""


def _brackets(ends: str, bare: bool) -> str:
    return f" ({ends})" if bare else f" (95 %: {ends})"


def _texts(found: Estimate, unit: str) -> tuple[str, str, str]:
    """Return the value and the ends of an interval as text, rounded by the rule at the top of this file."""
    value, low, high = (factor_of(unit) * v for v in (found.value, found.low, found.high))
    if found.scale == "log" and 0 < low * WIDE < high:
        a, b, c = (_rounded(v, 1 - _magnitude(v)) for v in (value, low, high))
        return a, b, c
    half, largest = (high - low) / 2, max(abs(value), abs(low), abs(high))
    of_half, of_number = 1 - _magnitude(half), 2 - _magnitude(largest)
    decimals = max(min(of_half, of_number), of_half - 1)
    if decimals < 0:  # whole numbers keep three significant digits
        decimals = max(decimals, min(of_number, 0))
    a, b, c = (_rounded(v, decimals) for v in (value, low, high))
    return a, b, c


def _magnitude(v: float) -> int:
    """Return the power of ten of the first significant digit."""
    return math.floor(math.log10(v))


def _rounded(v: float, decimals: int) -> str:
    """Return a number with this number of decimals; with -2, it is rounded to hundreds."""
    if abs(v) >= HUGE:
        return number(v)
    shown = min(decimals, MOST_DECIMALS)
    return f"{round(v, shown) + 0.0:,.{max(shown, 0)}f}"  # + 0.0: without it, -0.0 keeps its sign


def part_sentence(says: str, unit: str, found: Estimate, runs: int, bare: bool = False) -> str:
    """Return the answer of a part, without a full stop.

    Args:
        says: the sentence, see `Part.says`.
        unit: the unit of the estimate.
        found: the estimate.
        runs: the number of runs that it was made of.
        bare: leave "95 %: " out of intervals.
    """
    words = WORDS.search(says)
    text = compared_text(found, unit, words[1], words[2], bare) if words else interval_text(found, unit, bare)
    sentence = says.replace(words[0] if words else "{value}", text)
    return f"{sentence}; {found.lost} of {runs} runs did not survive" if found.lost else sentence


def asked_text(criterion: Criterion, says: str) -> str:
    """Return what a criterion asks, with the words of the sentence `says`, such as "more than 0.5 nats higher"."""
    words = WORDS.search(says)
    if words is None:
        return criterion.words
    above, below = words.groups()
    match criterion:
        case Exceeds(threshold=limit):
            return _beyond(limit, criterion.unit, above, below)
        case Below(threshold=limit):
            return _beyond(-limit, criterion.unit, below, above)
        case Within(low=low, high=high) if low == -high:
            return f"less than {number(high, criterion.unit)} {above} or {below}"
    return criterion.words


def _beyond(limit: float, unit: str, above: str, below: str) -> str:
    """Return what it is to be above a limit."""
    if limit == 0:
        return above
    amount = number(abs(limit), unit)
    return f"more than {amount} {above}" if limit > 0 else f"less than {amount} {below}"
