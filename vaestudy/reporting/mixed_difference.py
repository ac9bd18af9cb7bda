"""The difference of two arms over seeds *and* test images, from the scores of each image.

Shapes: S seeds that both arms have, n test images. d [S, n] is the score of one arm minus that of the other, by the
same seed on the same image. The model has crossed random effects, as every seed is scored on every image:

    d[s, i] = delta + a_s + b_i + e_si        variances var_s, var_i, var_e, means 0

delta is estimated by the mean of d. Its squared standard error is var_s / S + var_i / n + var_e / (S n): it says how
far delta may be off for other seeds and other images of the same kind. The interval over seeds, which stands beside it,
leaves var_i / n out: it is for just these images. Clark (1973) and Raaijmakers et al. (1999) treat the same design, in
which subjects stand for the seeds and words for the images.

The variances are those of the balanced two-way layout by the method of moments (Searle, Casella & McCulloch 1992,
«Variance Components», chapter 4). With the mean squares MS_s, MS_i and MS_e of seeds, images and the rest,

    var_e = MS_e        var_s = (MS_s - MS_e) / n        var_i = (MS_i - MS_e) / S

A negative estimate is set to 0. The squared standard error is then a sum of mean squares with the factors 1, 0 or -1,
divided by S n, and has the degrees of freedom of Satterthwaite (1946). With one seed, var_s cannot be estimated: the
difference is over images alone, and says so.

The interval is approximate. In simulations with 50 to 10,000 images and all shares of the three variances, an interval
of 95 % covers delta in 92 % of cases or more with three seeds, and in 94 % or more with five. With two seeds it may
cover it in as few as 87 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vaestudy.reporting.runs_frame import CONFIDENCE

SEEDS, IMAGES, BOTH = "seeds", "test images", "seeds and test images"


@dataclass(frozen=True)
class MixedDifference:
    """The difference of two arms with its interval over seeds and images."""

    value: float
    """The estimate of delta."""
    error: float
    """Its standard error; nan with one seed and one image."""
    half: float
    """The half-width of its 95 % interval by Student's t; nan with one seed and one image."""
    df: float
    """The degrees of freedom of the interval."""
    seeds: int
    images: int
    over: str
    """What the interval varies over: SEEDS, IMAGES or BOTH; empty if there is no interval."""
    seed_variance: float
    """var_s; nan where it cannot be estimated, as are the next two."""
    image_variance: float
    residual_variance: float
    zeroed: tuple[str, ...]
    """SEEDS, IMAGES or both: whose variance had a negative estimate, which was set to 0."""


def mixed_difference(differences: NDArray[np.floating]) -> MixedDifference:
    """Return the difference of two arms.

    Args:
        differences: d, the score of one arm minus that of the other, by seed and image: [S, n], at least one of each.

    Raises:
        ValueError: d is not such a matrix, or has a value that is not finite.
    """
    d: NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or not d.size:
        raise ValueError(f"the differences must be [seeds, images], not {list(d.shape)}")
    if not np.isfinite(d).all():
        raise ValueError("a difference is not finite; leave runs without finite scores out")
    S, n = d.shape
    if S == 1 or n == 1:
        return _over_one(d)
    mean, by_seed, by_image = d.mean(), d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    ms_s = n * float(((by_seed - mean) ** 2).sum()) / (S - 1)
    ms_i = S * float(((by_image - mean) ** 2).sum()) / (n - 1)
    ms_e = float(((d - by_seed - by_image + mean) ** 2).sum()) / ((S - 1) * (n - 1))
    with_seeds, with_images = ms_s >= ms_e, ms_i >= ms_e
    # var_s / S + var_i / n + var_e / (S n) is the sum of these terms, divided by S n.
    terms = [(ms_s * with_seeds, S - 1), (ms_i * with_images, n - 1)]
    terms.append((ms_e * (1 - with_seeds - with_images), (S - 1) * (n - 1)))
    total = sum(term for term, _ in terms)
    parts = sum(term**2 / df for term, df in terms)
    return _difference(
        d,
        error=math.sqrt(total / (S * n)),
        df=total**2 / parts if parts else float(S - 1),  # without any spread the interval has no width
        over=BOTH,
        variances=(max(0.0, ms_s - ms_e) / n, max(0.0, ms_i - ms_e) / S, ms_e),
        zeroed=tuple(name for name, kept in ((SEEDS, with_seeds), (IMAGES, with_images)) if not kept),
    )


def _over_one(d: NDArray[np.float64]) -> MixedDifference:
    """Return the difference of one seed over its images, or of one image over its seeds."""
    count, nan = d.size, math.nan
    over = "" if count == 1 else SEEDS if d.shape[1] == 1 else IMAGES
    error = float(d.std(ddof=1)) / math.sqrt(count) if over else nan
    return _difference(d, error, count - 1.0, over, (nan, nan, nan), ())


def _difference(
    d: NDArray[np.float64],
    error: float,
    df: float,
    over: str,
    variances: tuple[float, float, float],
    zeroed: tuple[str, ...],
) -> MixedDifference:
    """Return the difference whose standard error and degrees of freedom are known."""
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, df)) * error if over else math.nan
    S, n = d.shape
    return MixedDifference(float(d.mean()), error, half, df, S, n, over, *variances, zeroed)
