"""Estimates: textbook values, coverage by simulation, and the rule that pairs or pools two arms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vaestudy.evidence import statistics
from vaestudy.evidence.estimates import ALPHA, StudentEstimate


def by_seed(values: object) -> dict[int, float]:
    return dict(enumerate(map(float, values)))  # type: ignore[call-overload]


def draws(n: int, r: float, rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
    """Two arms of n seeds with the correlation r and equal means."""
    common, a, b = rng.normal(size=(3, n))
    return by_seed(math.sqrt(r) * common + math.sqrt(1 - r) * a), by_seed(math.sqrt(r) * common + math.sqrt(1 - r) * b)


def least_coverage(N: int, level: float = 0.95) -> float:
    """The coverage of N simulated intervals that is reached with a probability of 0.9999 if they cover at `level`."""
    return float(stats.binom.ppf(1e-4, N, level)) / N


def test_mean_of_a_textbook() -> None:
    """Three values with mean 2 and standard deviation 1: 2 ± 4.3027 / sqrt 3."""
    found = statistics.mean(by_seed([1, 2, 3]))
    assert found.value == 2
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    assert found.p_above(0) == pytest.approx(stats.ttest_1samp([1, 2, 3], 0, alternative="greater").pvalue)
    assert found.p_below(2.5) == pytest.approx(stats.ttest_1samp([1, 2, 3], 2.5, alternative="less").pvalue)


def test_a_test_rejects_just_where_the_interval_ends() -> None:
    found = statistics.mean(by_seed([1, 2, 4, 7]))
    assert found.p_above(found.low) == pytest.approx(ALPHA)
    assert found.p_below(found.high) == pytest.approx(ALPHA)
    assert found.p_within(found.low, found.high) == pytest.approx(ALPHA)


def test_welch_of_scipy() -> None:
    a, b = [1.0, 2.0, 4.0, 4.5], [0.0, 9.0, 3.0]
    found = statistics.difference(by_seed(a), by_seed(b))
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found.how == "pooled"
    assert found.n == 3
    assert found.df == pytest.approx(expected.df)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_paired_of_scipy() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.9, 2.1, 2.8, 3.9, 5.2, 5.8]
    found = statistics.difference(by_seed(a), by_seed(b))
    assert found.how == "paired by seed"
    assert found.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_rel(a, b).confidence_interval(0.95)))


def test_only_common_seeds_are_paired_and_all_are_pooled() -> None:
    a = by_seed([1, 2, 3, 4, 5, 6]) | {20: 100.0}
    b = by_seed([1.1, 2.1, 3.0, 4.2, 5.1, 6.0]) | {30: -100.0}
    assert statistics.difference(a, b).n == 6
    assert statistics.difference(a, b).value == pytest.approx(-0.5 / 6)
    apart = statistics.difference(a, {seed + 50: value for seed, value in b.items()})
    assert (apart.how, apart.n) == ("pooled", 7)
    assert math.isnan(apart.correlation)


def test_three_seeds_are_never_paired() -> None:
    assert statistics.difference(by_seed([1, 2, 3]), by_seed([1, 2, 3.001])).how == "pooled"
    assert [statistics.least_correlation(n) > 1 for n in (2, 3, 4)] == [True, True, False]


@pytest.mark.parametrize(("n", "even"), [(3, 0.58), (5, 0.31), (10, 0.14)])
def test_the_break_even_is_where_the_two_intervals_are_as_wide(n: int, even: float) -> None:
    """The documented numbers: at that correlation the two half-widths are the same."""
    paired = stats.t.ppf(0.975, n - 1) * math.sqrt(1 - even)
    assert paired == pytest.approx(stats.t.ppf(0.975, 2 * n - 2), rel=0.01)
    assert statistics.least_correlation(n) > even


@pytest.mark.parametrize(("n", "r"), [(3, 0.0), (5, 0.0), (5, 0.6), (10, 0.0), (10, 0.9)])
def test_the_interval_of_a_difference_covers(n: int, r: float) -> None:
    """The rule looks at the correlation first; documented: 94.6 % at the least."""
    rng, N = np.random.default_rng(n), 1_500
    found = [statistics.difference(*draws(n, r, rng)) for _ in range(N)]
    covered = np.mean([e.low <= 0 <= e.high for e in found])
    assert covered >= least_coverage(N, 0.946)
    if (n, r) == (10, 0.9):
        assert np.mean([e.how == "paired by seed" for e in found]) > 0.9


def test_pairing_by_the_sample_correlation_alone_would_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "least_correlation", lambda n: 0.31)
    rng, N = np.random.default_rng(5), 6_000
    found = [statistics.difference(*draws(5, 0.0, rng)) for _ in range(N)]
    assert np.mean([e.low <= 0 <= e.high for e in found]) < least_coverage(N)


def test_ratios_are_positive() -> None:
    """Widely scattered ratios: on the linear scale the interval would contain negative ones."""
    values = by_seed([1, 10, 1000])
    found = statistics.mean(values, "log")
    assert found.value == pytest.approx(10 ** (4 / 3))
    assert 0 < found.low < found.value < found.high
    assert statistics.mean(values).low < 0
    ratio = statistics.difference(by_seed([2, 4]), by_seed([1, 2]), "log")
    assert ratio.value == pytest.approx(2)
    with pytest.raises(ValueError, match="log scale: 0 cannot be on it"):
        statistics.mean(by_seed([1, 0]), "log")


def test_shares_stay_between_0_and_1() -> None:
    found = statistics.mean(by_seed([0.9, 0.99, 0.999]), "logit")
    assert 0 < found.low < found.value < found.high < 1
    assert found.p_below(1.0) == 0


@pytest.mark.parametrize(
    ("count", "n", "low", "high"), [(0, 12, 0, 0.2646), (12, 12, 0.7354, 1), (3, 10, 0.0667, 0.6525)]
)
def test_limits_of_clopper_and_pearson(count: int, n: int, low: float, high: float) -> None:
    """The published limits; and the interval ends where the exact tests reject."""
    found = statistics.share(count, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    if count < n:
        assert found.p_below(found.high) == pytest.approx(ALPHA)
    if count:
        assert found.p_above(found.low) == pytest.approx(ALPHA)


def test_no_runs_show_nothing() -> None:
    found = statistics.share(0, 0)
    assert (found.low, found.high) == (0, 1)
    assert found.p_below(0.5) == found.p_above(0.5) == 1


def test_the_interval_of_a_spread_covers() -> None:
    rng, N = np.random.default_rng(3), 1_000
    found = [statistics.spread(by_seed(rng.normal(0, 2, 5))) for _ in range(N)]
    assert np.mean([e.low <= 2 <= e.high for e in found]) >= least_coverage(N)
    assert found[0].p_below(found[0].high) == pytest.approx(ALPHA)
    assert found[0].p_above(found[0].low) == pytest.approx(ALPHA)


def pairs_median(values: list[float]) -> float:
    """The median of the means of all pairs (Hodges & Lehmann)."""
    return float(np.median([(a + b) / 2 for a, b in itertools.combinations(values, 2)]))


def test_jackknife_of_a_mean_is_the_t_interval() -> None:
    values = by_seed([1.0, 2.0, 4.0, 7.0])
    found, expected = statistics.jackknife(values, lambda v: float(np.mean(v))), statistics.mean(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_jackknife_of_a_median_over_pairs_covers() -> None:
    rng, N = np.random.default_rng(4), 600
    found = [statistics.jackknife(by_seed(rng.normal(size=10)), pairs_median) for _ in range(N)]  # type: ignore[arg-type]
    assert np.mean([e.low <= 0 <= e.high for e in found]) >= least_coverage(N, 0.94)


def test_intervals_of_two_seeds_stay_finite() -> None:
    """The log scale would go beyond the largest float, and the logit beyond 0 and 1."""
    found = statistics.mean(by_seed([1e-100, 1e100]), "log")
    assert 0 <= found.low < found.value < found.high < math.inf
    found = statistics.mean(by_seed([1e-12, 1 - 1e-12]), "logit")
    assert 0 <= found.low < 1e-100
    assert found.high == 1


def test_a_jackknife_beyond_its_scale() -> None:
    with pytest.raises(ValueError, match="logit scale: 0 cannot be on it"):
        statistics.jackknife(by_seed([0.0] * 5), pairs_median, "logit")  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_seeds_show_nothing(n: int) -> None:
    for found in (statistics.mean(by_seed([5] * n)), statistics.spread(by_seed([5] * n)),
                  statistics.jackknife(by_seed([5] * n), pairs_median)):  # type: ignore[arg-type]  # fmt: skip
        assert found.p_above(0.1) == found.p_below(9) == 1
        assert math.isnan(found.low)


def test_seeds_that_agree_to_the_last_digit() -> None:
    found = statistics.mean(by_seed([10, 10, 10]))
    assert (found.p_above(9), found.p_below(9), found.p_above(10)) == (0, 1, 1)
    assert (found.p_outside(8, 9), found.p_outside(9, 11)) == (0, 1)


def literal_holm(p: list[float], alpha: float) -> set[int]:
    """The procedure as Holm states it: compare the smallest with alpha / m, the next with alpha / (m - 1), ..."""
    left, rejected = dict(enumerate(p)), set()
    while left:
        smallest = min(left, key=lambda i: left[i])
        if left[smallest] > alpha / len(left):
            break
        rejected.add(smallest)
        del left[smallest]
    return rejected


def test_holm_is_the_procedure_that_holm_states() -> None:
    rng = np.random.default_rng(6)
    for _ in range(300):
        p = list(map(float, rng.uniform(0, 0.1, rng.integers(1, 15))))
        corrected = statistics.holm(p)
        for alpha in (0.01, 0.025, 0.2):
            assert {i for i, value in enumerate(corrected) if value <= alpha} == literal_holm(p, alpha)
    assert statistics.holm([]) == []


def power_by_simulation(found: StudentEstimate, n: int, rejects: object, N: int = 2_000) -> float:
    """The share of samples of n seeds, drawn at the value and the spread that were seen, in which a test rejects."""
    rng = np.random.default_rng(7)
    sd = found.error * math.sqrt(found.n)
    return float(np.mean([rejects(statistics.mean(by_seed(rng.normal(found.centre, sd, n)))) for _ in range(N)]))  # type: ignore[operator]


@pytest.mark.parametrize("n", [4, 9])
def test_powers_are_those_of_a_simulation(n: int) -> None:
    found, error = statistics.mean(by_seed([0.1, 0.9, 0.6, 0.4])), 4 * math.sqrt(0.25 / 2_000)
    above = power_by_simulation(found, n, lambda e: e.p_above(0.2) <= ALPHA)
    below = power_by_simulation(found, n, lambda e: e.p_below(1.0) <= ALPHA)
    within = power_by_simulation(found, n, lambda e: e.p_within(0, 1) <= ALPHA)
    assert found.power_above(0.2, n) == pytest.approx(above, abs=error)
    assert found.power_below(1.0, n) == pytest.approx(below, abs=error)
    assert found.power_within(0, 1, n) == pytest.approx(within, abs=error)


def test_the_test_of_a_minimal_effect_keeps_its_level() -> None:
    """At the margin it rejects in 2.5 % of the samples, and not in more where the margin is small."""
    rng, N = np.random.default_rng(8), 2_000
    for margin in (0.05, 2.0):
        found = [statistics.mean(by_seed(rng.normal(margin, 1, 5))) for _ in range(N)]
        rejected = np.mean([e.p_outside(-margin, margin) <= ALPHA for e in found])
        assert rejected <= stats.binom.ppf(1 - 1e-4, N, ALPHA) / N


def test_powers_of_shares_and_spreads() -> None:
    none = statistics.share(0, 5)
    assert [none.power_below(0.5, n) for n in (5, 6)] == [0, 1]  # 0.5^6 is below 0.025
    assert [none.power_below(0.5, n, ALPHA / 3) for n in (6, 7)] == [0, 1]  # 0.5^7 is below 0.025 / 3
    assert [none.power_outside(0.5, 0.9, n) for n in (6, 7)] == [0, 1]  # 2 0.5^7 is below 0.025
    rng, N = np.random.default_rng(9), 4_000
    half = statistics.share(5, 10)
    rejected = [statistics.share(int(k), 20).p_below(0.8) <= ALPHA for k in rng.binomial(20, 0.5, N)]
    assert half.power_below(0.8, 20) == pytest.approx(np.mean(rejected), abs=4 * math.sqrt(0.25 / N))
    spread = statistics.spread(by_seed([1, 2, 3]))
    rejected = [statistics.spread(by_seed(x)).p_below(1.5) <= ALPHA for x in rng.normal(0, 1, (N, 12))]
    assert spread.power_below(1.5, 12) == pytest.approx(np.mean(rejected), abs=4 * math.sqrt(0.25 / N))
