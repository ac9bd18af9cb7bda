"""Compute estimates from the values of a few seeds, and correct p-values for the number of verdicts.

Values come as a mapping: seed -> value.

**Paired or pooled.** Two arms that share their seeds share the order of the minibatches and some of the noise. If their
values are correlated, the differences at the same seed vary less than the arms do. But n differences have n - 1 degrees
of freedom, and two arms have up to 2 n - 2. So pairing gives the narrower interval only above some correlation r. With
equal spreads the half-widths are t(n - 1) sqrt(1 - r) and t(2 n - 2), in units of sd sqrt(2 / n), and break even at

    r(n) = 1 - (t(2 n - 2) / t(n - 1))^2        0.58 for 3 seeds, 0.31 for 5, 0.14 for 10

The rule: the arms are paired if the correlation over the common seeds is *shown* to be above r(n) by a one-sided test
at 5 % (Fisher's z), else they are pooled (Welch 1947). It is not enough that the correlation of the sample is above
r(n): this happens by chance in a third of uncorrelated samples, and in just these the paired interval is too narrow.
Under that rule an interval of 95 % covers 93.3 % (simulated, 3 to 10 seeds, no correlation), under the rule used here
94.6 % or more at every correlation from 0 to 0.9 (`tests/evidence/test_statistics.py`). With three seeds no correlation
can be shown, so the arms are pooled. Quantities of one run (two estimators at the same weights) are no two arms: their
difference or ratio is computed run by run.

Pooling assumes that the correlation is not negative. Common noise gives a correlation that is zero or positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vaestudy.evidence.estimates import ALPHA, SCALES, ShareEstimate, SpreadEstimate, StudentEstimate

Samples = Mapping[int, float]
"""Seed -> value."""
Item = TypeVar("Item")

SEEDS = "seeds"
PAIRING_LEVEL = 0.05
"""The level of the test that the correlation is above r(n), where pairing begins to give the narrower interval."""


def mean(values: Samples, scale: str = "linear", lost: int = 0) -> StudentEstimate:
    """Return the mean over seeds by Student's t; on the log scale this is the geometric mean.

    Raises:
        ValueError: a value is not on the scale, such as 0 on the log scale.
    """
    return _student(_mean(_on_scale(list(values.values()), scale)), "one arm", scale, lost)


def difference(a: Samples, b: Samples, scale: str = "linear", lost: int = 0) -> StudentEstimate:
    """Return mean(a) - mean(b) over seeds, or on the log scale the ratio of their geometric means.

    It is paired by seed or pooled by the rule of this module. The pooled estimate uses all seeds of both arms.
    """
    common = sorted(set(a) & set(b))
    pairs = [_on_scale([arm[seed] for seed in common], scale) for arm in (a, b)]
    r = correlation(*pairs)
    if r >= least_correlation(len(common)):
        return _student(_mean(pairs[0] - pairs[1]), "paired by seed", scale, lost, r)
    x, y = (_mean(_on_scale(list(arm.values()), scale)) for arm in (a, b))
    error, df = math.hypot(x.error, y.error), float(min(x.df, y.df))
    if error > 0 and df > 0:  # Welch & Satterthwaite
        df = error**4 / (x.error**4 / x.df + y.error**4 / y.df)
    return _student(_Centre(x.value - y.value, error, df, min(x.n, y.n)), "pooled", scale, lost, r)


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Pearson's correlation; nan with fewer than three pairs, or if one of the two does not vary."""
    if len(x) < 3 or not x.std() * y.std() > 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def least_correlation(n: int) -> float:
    """Return the correlation over n common seeds from which two arms are paired; above 1 if they never are."""
    if n < 4:
        return math.inf
    wide, narrow = stats.t.ppf(1 - ALPHA, (n - 1, 2 * n - 2))
    even = math.atanh(1 - (narrow / wide) ** 2)
    return math.tanh(even + float(stats.norm.ppf(1 - PAIRING_LEVEL)) / math.sqrt(n - 3))


def share(count: int, n: int, over: str = "runs") -> ShareEstimate:
    """Return the share count / n with its exact 95 % interval (Clopper & Pearson 1934); nan if n is 0."""
    low = float(stats.beta.ppf(ALPHA, count, n - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - ALPHA, count + 1, n - count)) if count < n else 1.0
    value = count / n if n else math.nan
    return ShareEstimate(value, low, high, n, over, "exact", "share", 0, math.nan, count)


def spread(values: Samples, lost: int = 0) -> SpreadEstimate:
    """Return the standard deviation over seeds; its interval is exact for normal values (chi-squared)."""
    x = _on_scale(list(values.values()), "linear")
    n = len(x)
    if n < 2:
        return SpreadEstimate(math.nan, math.nan, math.nan, n, SEEDS, "chi-squared", "log", lost, math.nan)
    sd = float(x.std(ddof=1))
    low, high = (sd * math.sqrt((n - 1) / stats.chi2.ppf(q, n - 1)) for q in (1 - ALPHA, ALPHA))
    return SpreadEstimate(sd, low, high, n, SEEDS, "chi-squared", "log", lost, math.nan)


def jackknife(
    items: Mapping[int, Item], statistic: Callable[[Sequence[Item]], float], scale: str = "linear", lost: int = 0
) -> StudentEstimate:
    """Return a statistic of all seeds with its leave-one-seed-out interval (Tukey 1958), by Student's t.

    This is for statistics of dependent parts, such as the median over all pairs of seeds. The jackknife is wrong for
    the median of single values. It is right for a median over pairs, which changes smoothly as each seed is in many
    pairs (Shao & Wu 1989).

    Args:
        items: seed -> what the statistic takes for this seed.
        statistic: the function of all items, and of all but one.
        scale: the scale of the interval.
        lost: the number of runs that have no item.

    Raises:
        ValueError: a value of the statistic is not on the scale.
    """
    everything, n = list(items.values()), len(items)
    centre = float(_on_scale([statistic(everything)], scale)[0]) if n > 1 else math.nan
    if n < 4:  # without one seed of three there is a single pair
        return _student(_Centre(centre, math.nan, math.nan, n), "jackknife", scale, lost)
    without = _on_scale([statistic(everything[:i] + everything[i + 1 :]) for i in range(n)], scale)
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return _student(_Centre(centre, error, n - 1, n), "jackknife", scale, lost)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values with the correction for testing all of them together (Holm 1979), in the same order.

    The k-th smallest of m is multiplied by m - k + 1; none becomes smaller than one before it, or larger than 1.
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def _on_scale(values: Sequence[float], scale: str) -> NDArray[np.float64]:
    """Return values on a scale.

    Raises:
        ValueError: a value is not finite there.
    """
    found = np.array([SCALES[scale].to(value) for value in values], dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{scale} scale: {values[int(np.argmin(np.isfinite(found)))]:g} cannot be on it")
    return found


@dataclass(frozen=True)
class _Centre:
    """A value on the scale of its estimate, with what Student's t needs."""

    value: float
    error: float
    """Its standard error; nan with fewer than two seeds."""
    df: float
    n: int
    """The number of seeds."""


def _mean(x: NDArray[np.float64]) -> _Centre:
    """Return the mean of values [n]; nan where there are too few of them."""
    n = len(x)
    error = float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return _Centre(float(x.mean()) if n else math.nan, error, n - 1, n)


def _student(of: _Centre, how: str, scale: str, lost: int, r: float = math.nan) -> StudentEstimate:
    """Return the estimate of a centre, with its interval by Student's t, both mapped back from the scale."""
    half = float(stats.t.ppf(1 - ALPHA, of.df)) * of.error if of.error == of.error and of.df > 0 else math.nan
    back = SCALES[scale].back
    value, low, high = (back(v) if v == v else math.nan for v in (of.value, of.value - half, of.value + half))
    return StudentEstimate(
        value, low, high, of.n, SEEDS, how, scale, lost, r, centre=of.value, error=of.error, df=of.df
    )
