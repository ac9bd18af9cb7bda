"""The difference over seeds and images: a literal twin of its formulas, its coverage, and degenerate matrices."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from vaestudy.reporting.mixed_difference import BOTH, IMAGES, SEEDS, MixedDifference, mixed_difference
from vaestudy.reporting.runs_frame import interval


def literal(d: list[list[float]]) -> tuple[float, float, float, tuple[float, float, float]]:
    """Return (value, standard error, degrees of freedom, the three variances), sum by sum."""
    S, n = len(d), len(d[0])
    mean = math.fsum(v for row in d for v in row) / (S * n)
    by_seed = [math.fsum(row) / n for row in d]
    by_image = [math.fsum(d[s][i] for s in range(S)) / S for i in range(n)]
    ss_s = sum(n * (m - mean) ** 2 for m in by_seed)
    ss_i = sum(S * (m - mean) ** 2 for m in by_image)
    ss_total = sum((v - mean) ** 2 for row in d for v in row)
    ms_s, ms_i = ss_s / (S - 1), ss_i / (n - 1)
    ms_e = (ss_total - ss_s - ss_i) / ((S - 1) * (n - 1))
    var_e, var_s, var_i = ms_e, max(0.0, (ms_s - ms_e) / n), max(0.0, (ms_i - ms_e) / S)
    squared = var_s / S + var_i / n + var_e / (S * n)
    # Satterthwaite: the squared error as a sum of mean squares with factors; each has its degrees of freedom.
    s, i = float(var_s > 0), float(var_i > 0)
    factors = ((s, ms_s, S - 1), (i, ms_i, n - 1), (1 - s - i, ms_e, (S - 1) * (n - 1)))
    below = sum((factor * ms / (S * n)) ** 2 / df for factor, ms, df in factors)
    return mean, math.sqrt(squared), squared**2 / below, (var_s, var_i, var_e)


def drawn(S: int, n: int, sd: tuple[float, float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return d [S, n] around 1 with these standard deviations of seeds, images and the rest."""
    a, b, e = rng.normal(0, sd[0], (S, 1)), rng.normal(0, sd[1], (1, n)), rng.normal(0, sd[2], (S, n))
    return 1 + a + b + e


@pytest.mark.parametrize("case", ["both", "no seeds", "no images", "neither"])
def test_it_is_its_literal_twin(case: str) -> None:
    rng = np.random.default_rng(3)
    d = drawn(4, 6, (2.0, 3.0, 0.5), rng)
    if case in ("no seeds", "neither"):  # equal means, as of no random matrix: the estimate is negative
        d = d - d.mean(1, keepdims=True)
    if case in ("no images", "neither"):
        d = d - d.mean(0, keepdims=True)
    found = mixed_difference(d)
    value, error, df, variances = literal(d.tolist())
    assert found.zeroed == {"both": (), "no seeds": (SEEDS,), "no images": (IMAGES,), "neither": (SEEDS, IMAGES)}[case]
    assert found.over == BOTH
    assert found.value == pytest.approx(value, abs=1e-14)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert found.df == pytest.approx(df, rel=1e-12)
    parts = (found.seed_variance, found.image_variance, found.residual_variance)
    assert parts == pytest.approx(variances, rel=1e-10)
    assert found.half == pytest.approx(stats.t.ppf(0.975, df) * error, rel=1e-12)
    assert (found.seeds, found.images) == d.shape


def test_by_hand() -> None:
    """d = [[1, 3], [5, 11]]: the mean squares are 36, 16 and 4, so the squared error is (36 + 16 - 4) / 4 = 12."""
    found = mixed_difference(np.array([[1.0, 3.0], [5.0, 11.0]]))
    assert found.value == 5
    assert (found.seed_variance, found.image_variance, found.residual_variance) == (16, 6, 4)
    assert found.error == pytest.approx(math.sqrt(12))
    assert found.df == pytest.approx(48**2 / (36**2 + 16**2 + 4**2))


def test_seeds_alone_give_the_interval_over_seeds() -> None:
    """If d does not vary over images, the interval is that of the column Δ."""
    by_seed = np.array([1.0, 2.0, 4.0])
    found = mixed_difference(np.repeat(by_seed[:, None], 50, axis=1))
    assert (found.value, found.half) == pytest.approx(interval(pd.Series(by_seed)), rel=1e-9)


RUNS, SLACK = 1_500, 4.0


@pytest.mark.parametrize(
    ("S", "sd", "least", "exact"),
    [
        (3, (1.0, 0.0, 0.1), 0.95, True),  # seeds alone matter: Student's t with 2 degrees of freedom
        (3, (0.0, 2.0, 1.0), 0.95, True),  # images alone matter
        (3, (0.3, 1.0, 1.0), 0.92, False),
        (3, (0.3, 2.0, 1.0), 0.92, False),
        (5, (0.3, 2.0, 1.0), 0.94, False),
        (5, (0.1, 0.0, 1.0), 0.94, False),
    ],
)
def test_the_interval_covers_at_its_rate(S: int, sd: tuple[float, float, float], least: float, exact: bool) -> None:
    """The tolerance is four standard errors of the simulated share."""
    rng = np.random.default_rng(5)
    found = [mixed_difference(drawn(S, 40, sd, rng)) for _ in range(RUNS)]
    covered = float(np.mean([abs(f.value - 1) <= f.half for f in found]))
    error = SLACK * math.sqrt(least * (1 - least) / RUNS)
    assert covered >= least - error
    if exact:
        assert covered <= least + error


def test_the_variances_are_right_on_average() -> None:
    rng, sd = np.random.default_rng(6), (0.7, 1.1, 0.9)
    found = [mixed_difference(drawn(6, 20, sd, rng)) for _ in range(600)]
    for name, expected in zip(("seed_variance", "image_variance", "residual_variance"), sd, strict=True):
        values = np.array([getattr(f, name) for f in found])
        assert abs(values.mean() - expected**2) < 4 * values.std() / math.sqrt(len(values))


class TestDegenerate:
    def test_one_seed_is_over_images(self) -> None:
        d = np.random.default_rng(1).normal(size=(1, 30))
        found = mixed_difference(d)
        assert found.over == IMAGES
        assert found.error == pytest.approx(d.std(ddof=1) / math.sqrt(30))
        assert (found.value, found.half) == pytest.approx(interval(pd.Series(d[0])))
        assert self.parts(found) == [True, True, True]

    def test_one_image_is_over_seeds(self) -> None:
        found = mixed_difference(np.array([[1.0], [2.0], [3.0]]))
        assert found.over == SEEDS
        assert (found.value, found.half) == pytest.approx(interval(pd.Series(np.array([1.0, 2.0, 3.0]))))

    def test_one_of_each_has_no_interval(self) -> None:
        found = mixed_difference(np.array([[2.5]]))
        assert (found.value, found.over) == (2.5, "")
        assert math.isnan(found.half)

    def test_equal_arms_differ_by_nothing(self) -> None:
        found = mixed_difference(np.zeros((3, 20)))
        assert (found.value, found.error, found.half, found.zeroed) == (0.0, 0.0, 0.0, ())
        assert self.parts(found) == [False, False, False]

    @pytest.mark.parametrize("d", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)])
    def test_no_matrix(self, d: NDArray[np.float64]) -> None:
        with pytest.raises(ValueError, match="must be"):
            mixed_difference(d)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_not_finite(self, value: float) -> None:
        with pytest.raises(ValueError, match="not finite"):
            mixed_difference(np.array([[0.0, value], [1.0, 2.0]]))

    @staticmethod
    def parts(found: MixedDifference) -> list[bool]:
        """Return which of the three variances are unknown."""
        return [math.isnan(v) for v in (found.seed_variance, found.image_variance, found.residual_variance)]
