"""Estimates with their intervals as text, and the sentences of criteria and of parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vaestudy.claims.criterion import Criterion, Decision, factor_of, number, unit_of

if TYPE_CHECKING:
    from vaestudy.evidence.estimates import Estimate

MOST_DECIMALS = 6
LARGE = 10_000
"""Above this, numbers are given with three significant digits."""


def interval_text(found: Estimate, unit: str, sign: str = "") -> str:
    """Return an estimate as "5.0 nats (95 %: 4.4 to 5.6)"; of shares, "12 % (95 %: 3 to 30)".

    The decimals show two significant digits of the interval's half-width.
    """
    factor = factor_of(unit)
    value, low, high = (factor * v for v in (found.value, found.low, found.high))
    if not high > low:
        extra = ", the same for each seed" if found.n > 1 and high == low else ", one seed" if found.n == 1 else ""
        return f"{number(found.value, unit)}{extra}"
    decimals = min(MOST_DECIMALS, max(0, 1 - math.floor(math.log10((high - low) / 2))))

    def text(v: float, sign: str = "") -> str:
        return number(v) if abs(v) >= LARGE else f"{v:{sign},.{decimals}f}"

    shown = text(value, sign)
    return f"{shown} {unit_of(shown, unit)} (95 %: {text(low, sign)} to {text(high, sign)})".replace("  ", " ")


def part_sentence(says: str, unit: str, found: Estimate | None, decision: Decision, runs: int) -> str:
    """Return the answer of a part, without a full stop, from so many runs."""
    if found is None:
        return f"not measured: {decision.reason}"
    text = says.format(value=interval_text(found, unit), signed=interval_text(found, unit, "+"))
    return f"{text}; {found.lost} of {runs} runs did not survive" if found.lost else text


def criterion_sentence(criterion: Criterion) -> str:
    """Return what a criterion asks, with its reason."""
    return f"It holds if the value is shown to be {criterion.words}. {criterion.why}"
