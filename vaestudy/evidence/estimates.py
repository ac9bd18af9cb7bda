"""Estimates from a few seeds: a value, its 95 % interval, and the tests that a criterion uses.

There are three kinds, by what varies:

    StudentEstimate   a mean, a difference or a ratio: Student's t on a scale on which the values are about normal
    ShareEstimate     a share of runs, such as failures: the exact binomial distribution (Clopper & Pearson 1934)
    SpreadEstimate    a standard deviation over seeds: the chi-squared distribution

All tests are one-sided at ALPHA. So a test against one threshold rejects exactly if the 95 % interval excludes it, and
`p_within` and `p_outside` are at most ALPHA only if the interval lies inside or outside of the two limits. A verdict
never contradicts the interval that is printed beside it. A p-value of 1 means that there is no evidence at all, for
example because one seed shows no spread.

`power_...` is the chance that a test rejects with n seeds, if the value and the spread are those that were seen. It is
used for plans only: it says how many seeds would decide, and is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import stats

ALPHA = 0.025
"""The level of each one-sided test."""
GRID = 2_000
"""Points of the integral over the standard deviation in the power of an equivalence test."""


@dataclass(frozen=True)
class Scale:
    """A scale on which an estimate is made, so that no interval contains impossible values."""

    name: str
    to: Callable[[float], float]
    """Map a value to the scale."""
    back: Callable[[float], float]


def _logit(share: float) -> float:
    if share in (0, 1):
        return math.copysign(math.inf, share - 0.5)
    return math.log(share / (1 - share))


def _share(v: float) -> float:
    return 1 / (1 + math.exp(-v)) if v > 0 else math.exp(v) / (1 + math.exp(v))  # no overflow on either side


LARGEST_LOG = 700.0  # two seeds can have an interval that ends beyond the largest float

SCALES = {
    "linear": Scale("linear", float, float),
    "log": Scale("log", lambda v: math.log(v) if v > 0 else -math.inf, lambda v: math.exp(min(v, LARGEST_LOG))),
    "logit": Scale("logit", _logit, _share),
}


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and the tests whether the true value is above or below a threshold."""

    value: float
    low: float
    high: float
    n: int
    """The number of seeds, of the smaller arm if there are two; of a share, the number of runs."""
    over: str
    """What the interval is over."""
    how: str
    """How the interval was computed, for example "paired by seed"."""
    scale: str
    lost: int
    """The number of runs without a value, because they diverged. They are not in the estimate."""
    correlation: float
    """The correlation of two arms over their common seeds; nan if there is none."""
    rises: ClassVar[bool] = True
    """Whether the power of a test rises with each seed. That of an exact test of a share goes up and down a little."""

    def p_above(self, threshold: float) -> float:
        """Return the p-value against «the true value is at most the threshold»."""
        raise NotImplementedError

    def p_below(self, threshold: float) -> float:
        """Return the p-value against «the true value is at least the threshold»."""
        raise NotImplementedError

    def p_within(self, low: float, high: float) -> float:
        """Return the p-value against «the true value is not between low and high»: two one-sided tests (TOST)."""
        return max(self.p_above(low), self.p_below(high))

    def p_outside(self, low: float, high: float) -> float:
        """Return the p-value against «the true value is between low and high»."""
        return min(1.0, 2 * min(self.p_above(high), self.p_below(low)))

    def power_above(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        """Return the chance that `p_above` is at most alpha with n seeds."""
        raise NotImplementedError

    def power_below(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        """Return the chance that `p_below` is at most alpha with n seeds."""
        raise NotImplementedError

    def power_within(self, low: float, high: float, n: int, alpha: float = ALPHA) -> float:
        """Return the chance that `p_within` is at most alpha with n seeds, or a lower limit of this chance."""
        return max(0.0, self.power_above(low, n, alpha) + self.power_below(high, n, alpha) - 1)

    def power_outside(self, low: float, high: float, n: int, alpha: float = ALPHA) -> float:
        """Return the chance that `p_outside` is at most alpha with n seeds, or a lower limit of this chance.

        `p_outside` doubles the smaller p-value, so each test has half of alpha.
        """
        return max(self.power_above(high, n, alpha / 2), self.power_below(low, n, alpha / 2))


@dataclass(frozen=True)
class StudentEstimate(Estimate):
    """A mean, difference or ratio. `centre` and `error` are on the scale of the estimate."""

    centre: float
    error: float
    """The standard error of the centre; nan with fewer than two seeds."""
    df: float

    def _t(self, threshold: float) -> float:
        """Return (centre - threshold) / error, on the scale of the estimate."""
        gap = self.centre - SCALES[self.scale].to(threshold)
        if self.error == 0:  # all seeds agree to the last digit, as counts may
            return math.copysign(math.inf, gap) if gap else math.nan
        return gap / self.error

    def p_above(self, threshold: float) -> float:
        t = self._t(threshold)
        return float(stats.t.sf(t, self.df)) if t == t else 1.0

    def p_below(self, threshold: float) -> float:
        t = self._t(threshold)
        return float(stats.t.cdf(t, self.df)) if t == t else 1.0

    def p_outside(self, low: float, high: float) -> float:
        """Return the chance of a mean at least as far from the middle, if the true value is low or high.

        This is the test of a minimal effect (Murphy & Myors 1999): both tails, with the true value at a margin. The
        middle is that of the scale.
        """
        to = SCALES[self.scale].to
        middle, margin = (to(low) + to(high)) / 2, (to(high) - to(low)) / 2
        far = abs(self.centre - middle)
        if not self.error > 0:
            return 0.0 if self.error == 0 and far > margin else 1.0
        tails = stats.t.sf((far - margin) / self.error, self.df) + stats.t.sf((far + margin) / self.error, self.df)
        return float(min(1.0, tails))

    def _with(self, n: int) -> tuple[float, float]:
        """Return (standard error, degrees of freedom) with n seeds at the spread that was seen."""
        return self.error * math.sqrt(self.n / n), self.df * (n - 1) / (self.n - 1)

    def power_above(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        error, df = self._with(n)
        shift = (self.centre - SCALES[self.scale].to(threshold)) / error if error else math.inf
        return _power(shift, df, alpha)

    def power_below(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        error, df = self._with(n)
        shift = (SCALES[self.scale].to(threshold) - self.centre) / error if error else math.inf
        return _power(shift, df, alpha)

    def power_outside(self, low: float, high: float, n: int, alpha: float = ALPHA) -> float:
        """Return about the chance that `p_outside` is at most alpha with n seeds: its farther tail is left out."""
        return max(self.power_above(high, n, alpha), self.power_below(low, n, alpha))

    def power_within(self, low: float, high: float, n: int, alpha: float = ALPHA) -> float:
        """Return the power of the two one-sided tests: an integral over the standard deviation that n seeds show.

        Given a standard error s, both tests reject if the mean lies between low + t s and high - t s.
        """
        error, df = self._with(n)
        to = SCALES[self.scale].to
        seen = error * np.sqrt(stats.chi2.ppf((np.arange(GRID) + 0.5) / GRID, df) / df)
        reach = stats.t.ppf(1 - alpha, df) * seen
        lowest, highest = to(low) + reach, to(high) - reach
        chance = stats.norm.cdf((highest - self.centre) / error) - stats.norm.cdf((lowest - self.centre) / error)
        return float(np.clip(chance, 0, None).mean())


def _power(shift: float, df: float, alpha: float) -> float:
    """Return the power of the one-sided t test at a shift of so many standard errors: the noncentral t."""
    if not math.isfinite(shift):
        return float(shift > 0)
    found = float(stats.nct.sf(stats.t.ppf(1 - alpha, df), df, shift))
    # Far in its tails scipy's noncentral t is nan; the normal distribution is exact enough there.
    return found if found == found else float(stats.norm.sf(stats.t.ppf(1 - alpha, df) - shift))


@dataclass(frozen=True)
class ShareEstimate(Estimate):
    """A share of runs: `count` of `n`."""

    count: int
    rises: ClassVar[bool] = False

    def p_above(self, threshold: float) -> float:
        return float(stats.binom.sf(self.count - 1, self.n, threshold)) if self.n else 1.0

    def p_below(self, threshold: float) -> float:
        return float(stats.binom.cdf(self.count, self.n, threshold)) if self.n else 1.0

    def power_above(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        counts = np.arange(n + 1)
        rejects = stats.binom.sf(counts - 1, n, threshold) <= alpha
        return float(stats.binom.pmf(counts, n, self.value)[rejects].sum())

    def power_below(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        counts = np.arange(n + 1)
        rejects = stats.binom.cdf(counts, n, threshold) <= alpha
        return float(stats.binom.pmf(counts, n, self.value)[rejects].sum())


@dataclass(frozen=True)
class SpreadEstimate(Estimate):
    """A standard deviation over seeds."""

    def _ratio(self, threshold: float) -> float:
        return float((self.n - 1) * (self.value / threshold) ** 2) if self.n > 1 else math.nan

    def p_above(self, threshold: float) -> float:
        ratio = self._ratio(threshold)
        return float(stats.chi2.sf(ratio, self.n - 1)) if ratio == ratio else 1.0

    def p_below(self, threshold: float) -> float:
        ratio = self._ratio(threshold)
        return float(stats.chi2.cdf(ratio, self.n - 1)) if ratio == ratio else 1.0

    def power_above(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        limit = stats.chi2.ppf(1 - alpha, n - 1) * (threshold / self.value) ** 2 if self.value else math.inf
        return float(stats.chi2.sf(limit, n - 1))

    def power_below(self, threshold: float, n: int, alpha: float = ALPHA) -> float:
        limit = stats.chi2.ppf(alpha, n - 1) * (threshold / self.value) ** 2 if self.value else math.inf
        return float(stats.chi2.cdf(limit, n - 1))
