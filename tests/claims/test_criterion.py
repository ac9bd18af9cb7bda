"""Criteria against estimates whose answer is known, and the number of seeds that they ask for against a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaestudy.claims import criterion
from vaestudy.claims.criterion import Below, Criterion, Exceeds, Within
from vaestudy.evidence import statistics
from vaestudy.evidence.estimates import ALPHA


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


CASES = [
    (Exceeds("nats", "", 0.5), (1.0, 1.1, 0.9), "holds"),
    (Exceeds("nats", "", 0.5), (0.0, 0.1, -0.1), "fails"),
    (Exceeds("nats", "", 0.5), (0.2, 0.6, 0.9), "undecided"),
    (Below("nats", "", 0.5), (0.0, 0.1, -0.1), "holds"),
    (Below("nats", "", 0.5), (1.0, 1.1, 0.9), "fails"),
    (Within("nats", "", -0.5, 0.5), (0.0, 0.1, -0.1), "holds"),
    (Within("nats", "", -0.5, 0.5), (2.0, 2.1, 1.9), "fails"),
    (Within("nats", "", -0.5, 0.5), (-2.0, -2.1, -1.9), "fails"),
    (Within("nats", "", -0.5, 0.5), (-0.5, 0.7, 0.0), "undecided"),  # contains 0, which is no equivalence
    (Exceeds("nats", "", 0.5), (9.0,), "undecided"),
    (Within("nats", "", -0.5, 0.5), (0.0,), "undecided"),
]


@pytest.mark.parametrize(("criterion", "values", "answer"), CASES)
def test_answers(criterion: Criterion, values: tuple[float, ...], answer: str) -> None:
    found = statistics.mean(by_seed(*values))
    decision = criterion.decide(found)
    assert decision.answer == answer
    if answer != "undecided":
        assert decision.more_seeds == 0
        assert min(decision.p_holds, decision.p_fails) <= 0.025
    if len(values) == 1:
        assert (decision.p_holds, decision.p_fails, decision.more_seeds) == (1, 1, None)


def test_ratios_are_equivalent_on_the_log_scale() -> None:
    """0.8 and 1.25 are as far from 1: a ratio and its inverse get the same answer."""
    margin = Within("times", "", 1 / 1.25, 1.25)
    for values in ((1.0, 1.05, 1.1), (1.2, 1.21, 1.22), (2.0, 2.1, 2.2), (1.0, 1.3, 1.6)):
        one, other = (statistics.mean(by_seed(*v), "log") for v in (values, [1 / v for v in values]))
        first, second = margin.decide(one), margin.decide(other)
        assert first.answer == second.answer
        assert first.p_holds == pytest.approx(second.p_holds)
        assert first.p_fails == pytest.approx(second.p_fails)


def test_a_stricter_level() -> None:
    found = statistics.mean(by_seed(1.0, 1.3, 0.9))
    p = Exceeds("nats", "", 0.5).decide(found).p_holds
    assert 0.0125 < p <= 0.025
    assert Exceeds("nats", "", 0.5).decide(found, alpha=0.0125).answer == "undecided"


@pytest.mark.parametrize("alpha", [ALPHA, ALPHA / 3])
@pytest.mark.parametrize("rule", [Exceeds("nats", "", 0.5), Below("nats", "", 2.0), Within("nats", "", 0.0, 2.0)])
def test_so_many_more_seeds_decide_in_four_of_five_samples(rule: Criterion, alpha: float) -> None:
    """The plan against a simulation: with the planned number at least 80 % decide, with one seed less not."""
    seen = statistics.mean(by_seed(0.2, 1.1, 1.9, 0.8))
    decision = rule.decide(seen, alpha)
    assert decision.answer == "undecided"
    assert decision.more_seeds is not None
    rng, sd, N = np.random.default_rng(1), seen.error * 2, 1_000
    tolerance = 4 * math.sqrt(0.8 * 0.2 / N)

    def decided(n: int) -> float:
        samples = rng.normal(seen.centre, sd, (N, n))
        return float(np.mean([rule.p_holds(statistics.mean(by_seed(*x))) <= alpha for x in samples]))

    assert decided(4 + decision.more_seeds) >= 0.8 - tolerance
    assert decided(4 + decision.more_seeds - 1) <= 0.8 + tolerance


def test_no_number_of_seeds_decides_what_lies_on_the_threshold() -> None:
    assert Exceeds("nats", "", 0.5).decide(statistics.mean(by_seed(0.4, 0.5, 0.6))).more_seeds is None


def test_failures() -> None:
    """No failure in 12 runs: fewer than half fail is shown, fewer than one in ten needs 36 runs."""
    none = statistics.share(0, 12)
    assert Below("%", "", 0.5).decide(none).answer == "holds"
    decision = Below("%", "", 0.1).decide(none)
    assert (decision.answer, decision.more_seeds) == ("undecided", 24)
    assert Exceeds("%", "", 0.5).decide(statistics.share(6, 6)).answer == "holds"
    assert Exceeds("%", "", 0.5).decide(statistics.share(5, 5)).answer == "undecided"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.5, "nats", "0.5 nats"), (0.05, "%", "5 %"), (0.0, "points", "0 points"), (193_402.2, "times", "193,402 times"),
     (1e9, "times", "1.0e9 times"), (0.01, "points", "1 point"), (-1.0, "nats", "-1 nat"), (1.0, "times", "1 times"),
      (-0.25, "", "-0.25"), (1e-12, "", "1e-12")],
)  # fmt: skip
def test_numbers_in_sentences(value: float, unit: str, text: str) -> None:
    assert criterion.number(value, unit) == text


def test_words() -> None:
    assert criterion.exceeds_half_a_nat().words == "above 0.5 nats"
    assert criterion.within_half_a_nat().words == "between -0.5 and 0.5 nats"
    assert Below("%", "", 0.1).words == "below 10 %"
