"""The probability of improvement, against all pairs and against the exact distribution of the bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vaestudy.reporting.improvement import DRAWS, MIN_SEEDS, improvement

X = [0.1, 0.9, 1.4, 2.0, 3.0]
Y = [0.0, 0.9, 1.0, 1.5, 1.6]


def test_it_is_the_share_of_pairs_with_ties_as_one_half() -> None:
    found = improvement(X, Y)
    pairs = [1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(X, Y)]
    assert found is not None
    assert found.probability == pytest.approx(sum(pairs) / len(pairs), abs=1e-15)


def test_the_interval_is_that_of_all_draws_of_seeds() -> None:
    found = improvement(X, Y)
    draws = np.array(list(itertools.product(range(len(X)), repeat=len(X))))  # all 3,125 draws of the seeds of an arm
    wins = (np.array(X)[:, None] > np.array(Y)[None, :]) + 0.5 * (np.array(X)[:, None] == np.array(Y)[None, :])
    counts = np.stack([(draws == seed).mean(1) for seed in range(len(X))], 1)
    shares = np.sort((counts @ wins @ counts.T).ravel())
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    for end, wanted in ((found.low, 0.025), (found.high, 0.975)):
        share = (shares < end - 1e-9).mean(), (shares <= end + 1e-9).mean()
        error = 4 * (wanted * (1 - wanted) / DRAWS) ** 0.5
        assert share[0] - error <= wanted <= share[1] + error


def test_exchanged_arms_give_the_complement() -> None:
    one, other = improvement(X, Y), improvement(Y, X)
    assert one is not None
    assert other is not None
    assert one.probability + other.probability == pytest.approx(1, abs=1e-15)


def test_arms_without_overlap_have_no_interval() -> None:
    found = improvement([6.0, 7.0, 8.0, 9.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0, 5.5])
    assert found is not None
    assert (found.probability, found.low, found.high) == (1.0, None, None)


def test_few_seeds_have_no_answer() -> None:
    assert improvement(X[: MIN_SEEDS - 1], Y) is None
    assert improvement(X, Y[: MIN_SEEDS - 1]) is None


def test_a_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        improvement([*X[1:], float("nan")], Y)
