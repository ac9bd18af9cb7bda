"""The expected best after n trials: against all subsets, against simulation, and against the biased estimator."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vaestudy.reporting.search.expected_best import curve, expected_best, independence_note, standard_error

VALUES = [3.0, -1.0, 4.0, 1.0, 5.0]
MISSING = 2
TOTAL = len(VALUES) + MISSING


@pytest.mark.parametrize("n", range(1, TOTAL + 1))
def test_the_mean_over_all_subsets(n: int) -> None:
    """Subsets of n of the trials, two of which have no value; those with no value at all are left out."""
    subsets = itertools.combinations([*VALUES, *[None] * MISSING], n)
    bests = [max(known) for subset in subsets if (known := [value for value in subset if value is not None])]
    assert expected_best(VALUES, TOTAL, n) == pytest.approx(np.mean(bests), rel=1e-12)


def test_it_is_above_the_estimator_with_replacement() -> None:
    ordered, N, n = sorted(VALUES), len(VALUES), 3
    biased = sum(v * ((i / N) ** n - ((i - 1) / N) ** n) for i, v in enumerate(ordered, start=1))
    assert expected_best(VALUES, N, n) > biased + 0.1


def test_a_thousand_trials_do_not_overflow() -> None:
    values = np.linspace(0, 1, 1000)
    assert expected_best(list(values), 1000, 500) == pytest.approx(1 - 1 / 999 * (500 / 501), rel=1e-6)


def test_the_ends_of_the_curve() -> None:
    means, errors = curve(VALUES, TOTAL)
    assert means[0] == pytest.approx(np.mean(VALUES))
    assert means[-1] == 5.0
    assert (np.diff(means) > 0).all()
    assert math.isnan(errors[-1])
    assert np.isfinite(errors[:-1]).all()
    assert math.isnan(expected_best([], 3, 1))


def test_the_error_of_one_draw_is_that_of_a_mean() -> None:
    expected = np.std(VALUES, ddof=1) / math.sqrt(len(VALUES))
    assert standard_error(VALUES, len(VALUES), 1) == pytest.approx(expected, rel=1e-12)


def test_the_error_is_the_spread_over_repeated_searches() -> None:
    """The mean of the squared error agrees with the variance of the estimate over 400 searches of 30 trials."""
    draws = np.random.default_rng(0).normal(size=(400, 30))
    estimates = [expected_best(list(search), 30, 4) for search in draws]
    squares = [standard_error(list(search), 30, 4) ** 2 for search in draws[:100]]
    # Relative errors: sqrt(2 / 399) of the variance, and that of the mean of the squares.
    spread = math.hypot(math.sqrt(2 / 399), np.std(squares) / np.mean(squares) / 10)
    assert np.mean(squares) / np.var(estimates, ddof=1) == pytest.approx(1, abs=4 * spread)


def test_what_is_said_of_samplers() -> None:
    assert "independently, as" in independence_note("RandomSampler")
    assert "approximate" in independence_note("QMCSampler")
    assert "not exchangeable" in independence_note("TPESampler")
