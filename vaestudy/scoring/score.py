"""Every number that is ever reported, defined once.

Shapes: N images, K draws, D latent dimensions. All bounds are nats per image, sums over dimensions, at beta = 1, with
z drawn from q(z|x) and never set to its mean.

    elbo            E_q[log p(x|z)] - KL(q(z|x) || p(z)), the expectation by ELBO_DRAWS draws, KL in closed form
    log_likelihood  E_q[log p(x|z)], its first part; no bound by itself
    kl              KL(q(z|x) || p(z)), its second part; no bound by itself
    iwae_K          log 1/K sum_k w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x): a bound that is tighter the larger K
    ess_K           (sum w)^2 / sum w^2, the effective number of the K draws; a small one says that iwae_K is loose
    bits_per_dim    8 - iwae_K / (784 ln 2), bits per pixel, of dequantised pixels (v + u) / 256 alone and from the
                    largest K asked for (Theis et al. 2016); of a mass on grey levels -iwae_K / (784 ln 2). For
                    `bernoulli`, which is no density, it is that of the continuous Bernoulli with the same decoder
                    (the normaliser added, Loaiza-Ganem & Cunningham 2019)
    continuous_bernoulli_iwae_K    that Bernoulli's bound in nats, K as for bits_per_dim
    mse, mae        mean squared and absolute difference per pixel of x and E[x|z], z drawn once from q(z|x): no bound,
                    and the same for every likelihood
    decoder_at_floor, encoder_at_floor    share of scales that their floor holds, over pixels or units and images
    negative_sigma_units, two_signed_sigma_units    units whose sigma is negative on most images, and units whose sigma
                    has either sign on at least 1 % of them; 0 of what cannot be negative
    mass_at_0, mass_near_1    share of level 0, and of levels 250 to 255, among pixels drawn from p(x|z) at such z;
                    `..._data` is the share among the data's. Of dequantised pixels, as are the next two
    histogram_distance    half the sum of |drawn - data's| shares over the 256 levels: 0 the same, 1 disjoint
    pit_distance    half the sum over 20 bins of the deviation of F(x|z) from uniform, F the distribution function of
                    p(x|z) (for `bernoulli` that of its continuous kin): 0 where each pixel's distribution is calibrated
    active_units    dimensions with Cov_x(E_q[z_d]) > 0.01 (Burda et al. 2015, section 5.3); a count
    train/likelihood_over_kl    |log_likelihood| / kl, means over an epoch; `first_...`: at the first step
    train/gradient_norm    Euclidean norm of the loss's gradient in all weights, at the epoch's last step
    epochs_to_95    the first epoch whose valid ELBO (else train's) has made 95 % of its rise from the first to the best

With `class_scores`, of all test images and of each class (`classes.py`), higher is no better unless it says so:

    neighbour_purity    share of an image's own class among its 10 nearest other test images, by Euclidean distance of
                    the means of q(z|x); neighbours_C, of each class: the share of class C
    mu_1, mu_2      of each class at D=2: the mean of those means, where the class lies in the latent plane
    recognised_reconstruction    share of images whose E[x|z], z drawn once from q(z|x), a classifier takes for the
                    image's own class; higher is better. `..._data`: of the images themselves, what it can do at best.
                    The classifier is a perceptron of the same train images, the same for all runs
    class_entropy_prior    the entropy of p(class|picture) by that classifier, in nats, mean over E[x|z] at 2,000 z from
                    the prior; `..._reconstruction`, `..._data`: of E[x|z] and of the images as above
    unclear_prior, unclear_reconstruction, unclear_data    share of these for which no class has a probability of 0.9
    greyness_prior, greyness_reconstruction, greyness_data    mean of 4 m (1 - m) over their pixels m: 0 where all are
                    black or white, 1 where all are half-way
    relative_error    |x - E[x|z]|^2 / |x|^2, squared lengths over pixels: a thin digit counts as much as a fat one;
                    lower is better

    X_se            the standard error of X over the images (or draws) scored: it says nothing about other seeds

The noise is fixed: it depends on what is scored and on nothing else, so scoring again gives the same digits, and asking
for another K moves none of the others, but for bits_per_dim, which goes with the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from vaestudy.model.likelihoods.base import GREY_VALUES
from vaestudy.model.vae import VAE
from vaestudy.scoring.bounds import elbo_terms, importance_weighted, mean_and_error
from vaestudy.scoring.calibration import pixel_scores

ELBO_DRAWS = 10
ACTIVE_UNIT = 0.01


@dataclass(frozen=True)
class Scores:
    """What is known of a model on one split."""

    images: int
    metrics: dict[str, float]
    kl_per_dimension: list[float] = field(default_factory=list)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    histograms: dict[str, list[float]] = field(default_factory=dict)
    """Of pixels: `predicted` and `observed` shares of the 256 grey levels, `pit` of F(x|z)'s 20 bins."""

    def joined(self, metrics: dict[str, float], per_class: dict[str, dict[str, float]]) -> Scores:
        """These and further ones."""
        rows = {label: row | per_class.get(label, {}) for label, row in self.per_class.items()}
        return replace(self, metrics=self.metrics | metrics, per_class=rows)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def score(model: VAE, x: Tensor, labels: Tensor, ks: Sequence[int]) -> Scores:
    """All of the above for x [N, P] with labels [N]."""
    b = elbo_terms(model, x, ELBO_DRAWS, "score", "elbo")
    metrics: dict[str, float] = {}
    for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
        metrics |= mean_and_error(name, values)
    metrics["active_units"] = float((b.mu.var(0) > ACTIVE_UNIT).sum()) if len(x) > 1 else math.nan
    metrics |= score_importance(model, x, ks)
    metrics |= bits_per_dim(model, x, max(ks), metrics) if ks else {}
    pixels, histograms = pixel_scores(model, x)
    metrics |= pixels
    per_class: dict[str, dict[str, float]] = {}
    for label in labels.unique().tolist():
        mine = labels == label
        row: dict[str, float] = {"images": float(mine.sum())}
        for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
            row |= mean_and_error(name, values[mine])
        per_class[str(label)] = row
    return Scores(len(x), metrics, b.kl_per_dimension.mean(0).tolist(), per_class, histograms)


def score_importance(model: VAE, x: Tensor, ks: Iterable[int]) -> dict[str, float]:
    """iwae_K, its standard error and ess_K for each K."""
    metrics: dict[str, float] = {}
    for K in sorted(set(ks)):
        log_px, size = importance_weighted(model, x, K)
        metrics |= mean_and_error(f"iwae_{K}", log_px) | {f"ess_{K}": size.mean().item()}
    return metrics


def bits_per_dim(model: VAE, x: Tensor, K: int, known: dict[str, float]) -> dict[str, float]:
    """bits_per_dim and its standard error where x [N, P] is dequantised, from L_K, `known` or scored here."""
    if model.config.pixels != "dequantised":
        return {}
    likelihood, bound, further = model.likelihood, f"iwae_{K}", {}
    if likelihood.normalised is not likelihood:
        log_px, _ = importance_weighted(model, x, K, likelihood.normalised)
        bound = f"continuous_bernoulli_{bound}"
        known = further = mean_and_error(bound, log_px)
    nats_per_bit = x.shape[1] * math.log(2)
    offset = 0.0 if likelihood.spec.family == "mass" else math.log2(GREY_VALUES)
    return further | {
        "bits_per_dim": offset - known[bound] / nats_per_bit,
        "bits_per_dim_se": known[f"{bound}_se"] / nats_per_bit,
    }


def epochs_to_95(history: Sequence[dict[str, float]]) -> float:
    """The first epoch that has 95 % of the rise of the bound, valid's or else train's."""
    name = "valid/elbo" if "valid/elbo" in history[0] else "train/elbo"
    values = [metrics[name] for metrics in history]
    goal = values[0] + 0.95 * (max(values) - values[0])
    return float(next(epoch for epoch, value in enumerate(values, start=1) if value >= goal))
