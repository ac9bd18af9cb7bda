"""The rule that adds seeds, against the interval that it predicts and against simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.support.studies import toy
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.seeds_needed import next_seeds, seeds_needed, widest_difference


def half_width(values: np.ndarray) -> float:
    """Return the half-width of the 95 % interval of the values, as the tables have it."""
    return interval(pd.Series(values))[1]


def test_the_seeds_needed_give_the_width_that_is_asked_for() -> None:
    """A sample of n values with the same standard deviation has an interval that is just narrow enough."""
    values = np.array([0.0, 1.0, 5.0])
    needed = seeds_needed(half_width(values), 3, wanted=1.0, most=1_000)

    def of(count: int) -> float:
        sample = np.linspace(0, 1, count)
        return half_width(sample / sample.std(ddof=1) * values.std(ddof=1))

    assert of(needed) <= 1 < of(needed - 1)


def test_one_value_asks_for_a_second() -> None:
    assert seeds_needed(math.inf, 1, wanted=1.0, most=30) == 2


def test_a_width_that_no_number_of_seeds_reaches_asks_for_the_most() -> None:
    assert seeds_needed(1.0, 3, wanted=1e-9, most=30) == 30


def test_seeds_are_added_one_by_one_up_to_twice_as_many_and_to_the_cap() -> None:
    assert next_seeds(0.9, 3, wanted=1.0, now=3, most=30) == 3
    assert next_seeds(1.0, 3, wanted=1.0, now=3, most=30) == 3
    assert next_seeds(1.01, 3, wanted=1.0, now=3, most=30) == 4
    assert next_seeds(100.0, 3, wanted=1.0, now=3, most=30) == 6
    assert next_seeds(100.0, 3, wanted=1.0, now=20, most=30) == 30
    assert next_seeds(100.0, 30, wanted=1.0, now=30, most=30) == 30


def table(**columns: list[float]) -> pd.DataFrame:
    """Return the numbers of a table of `toy`, whose first metric is test/elbo."""
    return pd.DataFrame({"latent_dim": [2, 3, 5]} | {name.replace("__", "/"): v for name, v in columns.items()})


def test_the_widest_difference_is_that_of_a_cell_with_runs() -> None:
    numbers = table(test__elbo_diff=[math.nan, 1.0, math.nan], test__elbo_diff_ci95=[math.nan, 0.5, math.nan])
    assert widest_difference(numbers.assign(seeds=[3, 2, 0]), toy()) == (0.5, 2)
    one = table(test__elbo_diff=[math.nan, 1.0, 2.0], test__elbo_diff_ci95=[math.nan, 0.5, math.nan])
    assert widest_difference(one.assign(seeds=[3, 3, 1]), toy()) == (math.inf, 1)
    none = table(test__elbo_diff=[math.nan] * 3, test__elbo_diff_ci95=[math.nan] * 3).assign(seeds=[3, 0, 0])
    assert math.isnan(widest_difference(none, toy())[0])


@pytest.mark.parametrize(("begin", "least"), [(3, 0.90), (5, 0.92)])
def test_the_interval_after_the_rule_covers_what_the_note_says(begin: int, least: float) -> None:
    """Simulate studies whose difference is 0, with standard deviations around the width that is asked for."""
    random, studies = np.random.default_rng(7), 1_500
    for deviation in (0.5, 1.5):
        covered = 0
        for _ in range(studies):
            values, n = random.normal(0, deviation, 30), begin
            while (more := next_seeds(half_width(values[:n]), n, wanted=1.0, now=n, most=30)) > n:
                n = more
            covered += abs(values[:n].mean()) <= half_width(values[:n])
        error = math.sqrt(least * (1 - least) / studies)
        assert least - 3 * error <= covered / studies <= 0.95 + 3 * error
