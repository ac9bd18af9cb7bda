"""The probability that one arm ends above another, over seeds, with a bootstrap interval.

Agarwal et al. (2021), «Deep reinforcement learning at the edge of the statistical precipice», section 4.3: P(X > Y) is
estimated by the Mann-Whitney statistic, the share of all pairs (a seed of X, a seed of Y) in which X is above, where a
tie counts one half. The interval is the percentile bootstrap that draws the seeds of each arm anew.

It answers another question than the difference of the means: how often would one run of X be better than one run of Y?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

MIN_SEEDS = 5
"""The smallest number of seeds of each arm. With fewer the bootstrap has too few different draws."""
DRAWS = 10_000
CONFIDENCE = 0.95
SEED = 0
"""Of the bootstrap. The same values give the same interval in every digit."""
COLUMNS = ("improvement", "improvement_low", "improvement_high")
"""The columns of a table's numbers: the probability and the ends of its interval."""
HEADING = "P(better)"
NOTE = (
    "P(better): the probability that a run of the row has a better {name} than a run of the baseline (Mann-Whitney), "
    "with the 95 % interval of a bootstrap over seeds. Only finished runs count. No interval: all pairs of runs agree."
)


@dataclass(frozen=True)
class Improvement:
    """The probability that one arm ends above another."""

    probability: float
    low: float | None
    """The lower end of the 95 % interval over seeds; None if one arm is above in every pair.

    Every draw of such seeds gives the same share. The bootstrap then has no width, and knows nothing of other seeds.
    """
    high: float | None


def improvement(better: Sequence[float], worse: Sequence[float]) -> Improvement | None:
    """Return P(better > worse) over seeds with its interval; None if an arm has fewer than `MIN_SEEDS` values.

    Args:
        better: a score of the seeds of one arm, [m]; higher is better.
        worse: the score of the seeds of the other arm, [n]. The two need not have the same seeds.

    Raises:
        ValueError: a value is nan.
    """
    if min(len(better), len(worse)) < MIN_SEEDS:
        return None
    x, y = np.asarray(better, dtype=float), np.asarray(worse, dtype=float)
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("a value is nan; leave runs without a score out")
    wins = np.sign(x[:, None] - y[None, :]) / 2 + 0.5  # [m, n]: 1 if x is above, 1/2 at a tie, 0 if y is
    probability = float(wins.mean())
    if probability in (0.0, 1.0):
        return Improvement(probability, None, None)
    random = np.random.default_rng(SEED)
    # How often each seed is drawn, [DRAWS, m] and [DRAWS, n]: a draw's share is the mean of `wins` with these weights.
    of_x = random.multinomial(len(x), np.full(len(x), 1 / len(x)), DRAWS) / len(x)
    of_y = random.multinomial(len(y), np.full(len(y), 1 / len(y)), DRAWS) / len(y)
    shares = np.einsum("dm,mn,dn->d", of_x, wins, of_y, optimize=True)
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Improvement(probability, float(low), float(high))


def numbers(row: Sequence[float], baseline: Sequence[float], sign: int) -> dict[str, float]:
    """Return the `COLUMNS` of a row of a table; empty if an arm has too few seeds.

    Args:
        row: the metric of the finished runs of the row.
        baseline: that of the baseline.
        sign: 1 if a higher value is better, -1 if a lower one is.
    """
    found = improvement([sign * value for value in row], [sign * value for value in baseline])
    if found is None:
        return {}
    ends = (np.nan if end is None else end for end in (found.low, found.high))
    return dict(zip(COLUMNS, (found.probability, *ends), strict=True))


def texts(table: pd.DataFrame) -> list[str]:
    """Return the column `HEADING` of a table as text, from its numbers."""
    rows = table[list(COLUMNS)].itertuples(index=False)
    return ["" if p != p else f"{p:.2f}" if low != low else f"{p:.2f} [{low:.2f}, {high:.2f}]" for p, low, high in rows]
