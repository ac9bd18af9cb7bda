"""The expected best objective after n trials, from one search of N trials.

The best of a search rises with its budget, so searches are compared at the same number of trials. The estimator is the
mean, over all subsets of n of the N trials, of the best trial in the subset (without replacement). It is unbiased for
trials that are drawn independently (Tang et al. 2020, Showing Your Work Doesn't Always Work); the estimator of
Dodge et al. 2019 draws with replacement, and is too low.

A trial that was pruned, failed, diverged or infeasible has no value. It is never the best, but counts as one of the n;
the mean is over the subsets in which at least one trial has a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

INDEPENDENT = {"RandomSampler": True, "QMCSampler": None}
"""Sampler -> whether its trials are drawn independently; None for approximately. Those of other samplers are not."""


def expected_best(values: Sequence[float], total: int, n: int) -> float:
    """Return the mean of the largest value over the subsets of n trials that contain a value.

    Args:
        values: the values of the trials that have one; larger is better.
        total: N, the number of trials, with those that have no value.
        n: the size of the subsets, from 1 to N.

    Returns:
        the mean; nan if there is no value.
    """
    if not values:
        return math.nan
    ranks = total - len(values) + np.arange(1.0, len(values) + 1)  # the trials without a value have the lowest ranks
    weights = _weights(ranks, total, n)
    return float(np.sort(np.asarray(values, dtype=float)) @ weights / weights.sum())


def standard_error(values: Sequence[float], total: int, n: int) -> float:
    """Return the jackknife's standard error of `expected_best` over repeated searches of N independent trials.

    For n = 1 and without missing values it is the standard error of a mean. It is nan for n = N: there is one subset
    only, and so nothing from which to estimate.

    Args:
        values: the values of the trials that have one.
        total: N, the number of trials.
        n: the size of the subsets.
    """
    if n >= total or len(values) < 2:
        return math.nan
    ordered = sorted(values)
    without_one = [expected_best(ordered[:i] + ordered[i + 1 :], total - 1, n) for i in range(len(ordered))]
    missing = total - len(ordered)
    estimates = np.array(without_one + [expected_best(ordered, total - 1, n)] * missing)
    return float(np.sqrt((total - 1) / total * ((estimates - estimates.mean()) ** 2).sum()))


def curve(values: Sequence[float], total: int) -> tuple[Array, Array]:
    """Return (expected best, its standard error) for n = 1, ..., N."""
    sizes = range(1, total + 1)
    means = np.array([expected_best(values, total, n) for n in sizes])
    return means, np.array([standard_error(values, total, n) for n in sizes])


def _weights(ranks: Array, total: int, n: int) -> Array:
    """Return, for each rank, the share of the subsets of n whose best trial has that rank: C(rank-1, n-1) / C(N, n)."""
    with np.errstate(invalid="ignore"):
        logs = _log_choose(ranks - 1.0, n - 1) - _log_choose(np.array(float(total)), n)
    return np.where(ranks >= n, np.exp(np.where(ranks >= n, logs, 0.0)), 0.0)


def _log_choose(n: Array, k: int) -> Array:
    """Return log C(n, k); it means nothing where n < k."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=float)


def independence_note(sampler: str) -> str:
    """Return the sentence that says how far the estimator is valid for a sampler's trials."""
    independent = INDEPENDENT.get(sampler, False)
    if independent:
        return "The trials of RandomSampler are drawn independently, as the estimator requires."
    if independent is None:
        return (
            "The trials of QMCSampler are spread evenly and not drawn independently, so the estimator is approximate, "
            "and its standard error is rather too large."
        )
    return (
        f"The estimator requires trials that are drawn independently. Those of {sampler} are not exchangeable, as "
        "later trials are chosen by earlier ones: the value describes this one search, and is no expectation."
    )
