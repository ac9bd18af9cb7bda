"""Criteria: what an estimate must show for a part of a claim to hold, and what it must show for it to fail.

A criterion is fixed before the data: it names a number, its unit, and a reason for this number that does not depend on
our results. It holds or fails only if a one-sided test shows so (`evidence/estimates.py`); else it is undecided.

    criterion           holds if shown to be     fails if shown to be
    Exceeds(t)          above t                  below t
    Below(t)            below t                  above t
    Within(low, high)   between low and high     outside
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vaestudy.evidence.estimates import Estimate

Answer = Literal["holds", "fails", "undecided"]

POWER = 0.8
"""The chance of a decision for which more seeds are planned."""
MOST_SEEDS = 100
"""The largest number of seeds that is planned for an arm."""


@dataclass(frozen=True)
class Decision:
    """The answer of a criterion to an estimate."""

    answer: Answer
    p_holds: float
    """The p-value against «it does not hold»."""
    p_fails: float
    """The p-value against «it does not fail»."""
    more_seeds: int | None
    """How many more seeds an arm needs for a decision with a chance of POWER, if the value and the spread stay as they
    are; 0 if it is decided, None if MOST_SEEDS are not enough or the spread is not known."""
    reason: str = ""
    """Why there is no estimate; empty if there is one."""


@dataclass(frozen=True)
class Criterion:
    """What decides a part of a claim."""

    unit: str
    why: str
    """Why this number, in one sentence."""

    @property
    def words(self) -> str:
        """Return what must be shown, such as "above 0.5 nats"."""
        raise NotImplementedError

    def p_holds(self, found: Estimate) -> float:
        """Return the p-value against «it does not hold»."""
        raise NotImplementedError

    def p_fails(self, found: Estimate) -> float:
        """Return the p-value against «it does not fail»."""
        raise NotImplementedError

    def power(self, found: Estimate, n: int, alpha: float) -> float:
        """Return the chance that n seeds decide at the level alpha, if value and spread are those that were seen."""
        raise NotImplementedError

    def decide(self, found: Estimate, alpha: float | None = None) -> Decision:
        """Return the decision.

        Args:
            found: the estimate.
            alpha: the level of each of the two tests [default: ALPHA].
        """
        from vaestudy.evidence.estimates import ALPHA

        level = ALPHA if alpha is None else alpha
        holds, fails = self.p_holds(found), self.p_fails(found)
        answer: Answer = "holds" if holds <= level else "fails" if fails <= level else "undecided"
        return Decision(answer, holds, fails, 0 if answer != "undecided" else self._more_seeds(found, level))

    def _more_seeds(self, found: Estimate, alpha: float) -> int | None:
        """Return how many more seeds would decide, see `Decision.more_seeds`."""
        if found.n < 2 or not found.high > found.low:
            return None
        candidates = range(found.n + 1, MOST_SEEDS + 1)
        if found.rises:
            first = bisect.bisect_left(candidates, POWER, key=lambda n: self.power(found, n, alpha))
            return candidates[first] - found.n if first < len(candidates) else None
        return next((n - found.n for n in candidates if self.power(found, n, alpha) >= POWER), None)


@dataclass(frozen=True)
class _OneSided(Criterion):
    """A criterion with one threshold."""

    threshold: float


@dataclass(frozen=True)
class Exceeds(_OneSided):
    """The value is above a threshold."""

    @property
    def words(self) -> str:
        return f"above {number(self.threshold, self.unit)}"

    def p_holds(self, found: Estimate) -> float:
        return found.p_above(self.threshold)

    def p_fails(self, found: Estimate) -> float:
        return found.p_below(self.threshold)

    def power(self, found: Estimate, n: int, alpha: float) -> float:
        return max(found.power_above(self.threshold, n, alpha), found.power_below(self.threshold, n, alpha))


@dataclass(frozen=True)
class Below(_OneSided):
    """The value is below a threshold."""

    @property
    def words(self) -> str:
        return f"below {number(self.threshold, self.unit)}"

    def p_holds(self, found: Estimate) -> float:
        return found.p_below(self.threshold)

    def p_fails(self, found: Estimate) -> float:
        return found.p_above(self.threshold)

    def power(self, found: Estimate, n: int, alpha: float) -> float:
        return max(found.power_above(self.threshold, n, alpha), found.power_below(self.threshold, n, alpha))


@dataclass(frozen=True)
class Within(Criterion):
    """The value is between two limits: an equivalence test."""

    low: float
    high: float

    @property
    def words(self) -> str:
        return f"between {number(self.low)} and {number(self.high, self.unit)}"

    def p_holds(self, found: Estimate) -> float:
        return found.p_within(self.low, self.high)

    def p_fails(self, found: Estimate) -> float:
        return found.p_outside(self.low, self.high)

    def power(self, found: Estimate, n: int, alpha: float) -> float:
        inside = found.power_within(self.low, self.high, n, alpha)
        return max(inside, found.power_outside(self.low, self.high, n, alpha))


def number(value: float, unit: str = "") -> str:
    """Return a number for a sentence: three significant digits, or more of a large whole number; with its unit.

    A ratio has the unit "times". The units "%", of a share, and "points", of a difference of shares, show 100 times the
    value.
    """
    shown = factor_of(unit) * value
    if abs(shown) >= 1e7:
        text = f"{shown:.1e}".replace("e+0", "e").replace("e+", "e")
    else:
        text = f"{shown:,.0f}" if abs(shown) >= 1000 else f"{shown:.3g}"
    return f"{text} {unit_of(text, unit)}".rstrip()


def unit_of(text: str, unit: str) -> str:
    """Return the unit of a number that is shown as this text: "nat" after 1 and "nats" after others."""
    return unit[:-1] if text.lstrip("+-") == "1" and unit in COUNTABLE else unit


def factor_of(unit: str) -> int:
    """Return by which factor a value is larger in its unit."""
    return 100 if unit in ("%", "points") else 1


COUNTABLE = ("nats", "points", "units")
"""Units that have a singular. ("times" has none.)"""

HALF_A_NAT = 0.5
HALF_A_NAT_WHY = (
    "Two public reproductions of one protocol (Burda et al. 2015, k=1) differ by more than a nat, so a reader could "
    "not reproduce a difference below half a nat."
)
QUARTER = 1.25
QUARTER_WHY = "80 to 125 % is the usual margin within which two skewed quantities count as equivalent (bioequivalence)."


def exceeds_half_a_nat() -> Exceeds:
    """Return the criterion that a gain is large enough to be reproduced by others."""
    return Exceeds("nats", HALF_A_NAT_WHY, HALF_A_NAT)


def within_half_a_nat() -> Within:
    """Return the criterion that two arms are equivalent."""
    return Within("nats", HALF_A_NAT_WHY, -HALF_A_NAT, HALF_A_NAT)


def a_quarter_more() -> Exceeds:
    """Return the criterion that a ratio is relevantly above 1."""
    return Exceeds("times", QUARTER_WHY, QUARTER)
