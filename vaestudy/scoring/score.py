"""The definitions of the numbers that a run reports, and the function `score`, which computes most of them.

Shapes: N images, K draws, P pixels (C H W, for C channels), D latent dimensions.

A number NAME of the test split is recorded as `test/NAME`. For each class C, `elbo`, `log_likelihood`, `kl`, the
number of `images` and some class scores (see below) are recorded as `test/class_C/NAME`. Four groups of numbers are
defined elsewhere: `gradient/...` in training/gradient_noise.py, `along/...` in training/milestones.py, `seconds...` in
run/execute.py, and what a run with `ais_images` has, or `vaestudy evaluate --ais` adds, in scoring/ais_scores.py.

Bounds and their parts. The unit is nats per image unless another one is given. Log-likelihoods are sums over pixels,
KL is a sum over latent dimensions, and beta = 1. z is always drawn from q(z|x) and never set to its mean.

    elbo
        E_q[log p(x|z)] - KL(q(z|x) || p(z)). A lower bound on log p(x); higher is better. The expectation is a mean
        over ELBO_DRAWS draws. KL is in closed form.
    log_likelihood
        E_q[log p(x|z)], the first part of elbo. It is no bound by itself: a higher value is better only if kl does not
        rise as much.
    kl
        KL(q(z|x) || p(z)), the second part of elbo. It is no bound by itself: a lower value is better only if
        log_likelihood does not fall as much.
    iwae_K
        log 1/K sum_k w_k with w_k = p(x|z_k) p(z_k) / q(z_k|x) (Burda et al. 2015, equation 8). A lower bound on
        log p(x), tighter for larger K; higher is better.
    ess_K
        (sum_k w_k)^2 / sum_k w_k^2, the effective number of draws among the K: from 1 to K. It is no bound. A small
        value shows that iwae_K is loose.
    bits_per_dim
        Bits per pixel; lower is better. It is computed from iwae_K with the largest K that was requested, so it is an
        upper bound on the negative log-likelihood. It is reported only for dequantised pixels (v + u) / 256. For a
        density it is 8 - iwae_K / (P ln 2) (Theis et al. 2016). For a mass on grey values it is -iwae_K / (P ln 2). P
        is 784 for MNIST; each of the three values of a place in a colour image counts. `bernoulli` is no density: its
        bits_per_dim is that of the continuous Bernoulli with the same decoder (with the normaliser added, Loaiza-Ganem
        & Cunningham 2019).
    mean_matched_bits_per_dim
        For `bernoulli` on dequantised pixels: the bits per pixel of the continuous Bernoulli that has the decoder's
        output as its *mean*, and not as its parameter. It is the other way to read such a decoder as a density.
    continuous_bernoulli_iwae_K
        For `bernoulli` on dequantised pixels: iwae_K of the continuous Bernoulli with the same decoder, with the K of
        bits_per_dim. A lower bound, in nats per image; higher is better.
    continuous_bernoulli_ess_K, mean_matched_ess_K
        For `bernoulli` on dequantised pixels: ess_K of the weights from which continuous_bernoulli_iwae_K and
        mean_matched_bits_per_dim are computed.

Fit of p(x|z) to the pixels (scoring/calibration.py). None of these numbers is a bound. z is drawn once from q(z|x) for
each image.

    mse, mae
        The mean squared and the mean absolute difference per pixel between x and E[x|z], where x is in [0, 1]. Lower
        is better. The definition is the same for every likelihood.
    decoder_at_floor
        The share of the scales of p(x|z) that are at their floor, over pixels and images. It is reported only for a
        likelihood with a learned scale. Neither direction is better.
    encoder_at_floor
        The share of the scales |sigma| of q(z|x) that are at their floor, over latent dimensions and images. It is
        reported only if the encoder has a floor. Neither direction is better.
    negative_sigma_units
        The number of latent dimensions whose sigma is negative on more than half of the images: 0 if sigma cannot be
        negative. Neither direction is better.
    two_signed_sigma_units
        The number of latent dimensions whose sigma has each of the two signs on more than 1 % of the images: 0 if
        sigma cannot be negative. Neither direction is better.
    mass_at_0, mass_near_1
        The share of grey value 0, and of grey values 250 to 255, among pixels drawn from p(x|z). `mass_at_0_data` and
        `mass_near_1_data` are the same shares among the pixels of the data. The closer the two are, the better.
        Reported only for dequantised pixels, as are the next two.
    histogram_distance
        Half the sum over the 256 grey values of |share among drawn pixels - share among the data's pixels|: 0 if the
        two histograms are equal, 1 if they are disjoint. Lower is better.
    pit_distance
        Half the sum over 20 bins of |share of the values F(x|z) in the bin - 1/20|. F is the distribution function of
        p(x|z); for `bernoulli` it is that of the continuous Bernoulli. The distance is 0 if the distribution of each
        pixel is calibrated. Lower is better.

Scores of a likelihood of the user (`Likelihood.scores`), by the same draw of z:

    own/NAME
        The mean over images of the score NAME that the likelihood computes.

Latent space and training. None of these numbers is a bound.

    active_units
        The number of latent dimensions with Cov_x(E_q[z_d]) > 0.01 (Burda et al. 2015, section 5.3). Neither direction
        is better.
    train/likelihood_over_kl
        |log_likelihood| / kl, a ratio of the means over an epoch. `train/first_likelihood_over_kl` is the same ratio
        at the first step. Neither direction is better.
    train/gradient_norm
        The Euclidean norm of the gradient of the loss in all weights, at the last step of the epoch. The loss is in
        nats, a mean or a sum over the minibatch (`reduction`). Neither direction is better.
    epochs_to_95
        The first epoch at which the ELBO has made 95 % of its rise from its first to its best value. It is the ELBO of
        valid, or of train if there is no valid split. The unit is epochs; lower is faster.

Class scores (scoring/class_probe.py), only with `class_scores`. They are computed from all test images. None of them
is a bound. Neither direction is better unless a direction is given. Shares are between 0 and 1. The classifier is a
perceptron trained on the train images. It is the same for all runs that share these images and the pixel protocol.
neighbour_purity, neighbours_C, mu_1, mu_2, recognised_... and relative_error are also reported for each class.

    neighbour_purity
        The share of an image's own class among its 10 nearest other test images. The distance is the Euclidean
        distance between the means of q(z|x). `neighbours_C`, for each class only, is the share of class C.
    mu_1, mu_2
        For each class at D=2 only: the mean over the class of the means of q(z|x). This is where the class lies in the
        latent plane.
    recognised_reconstruction, recognised_data
        The share of images whose E[x|z] the classifier assigns to the image's own class, with z drawn once from
        q(z|x); higher is better. `recognised_data` is the same share for the images themselves, the best that the
        classifier can do.
    class_entropy_prior, class_entropy_reconstruction, class_entropy_data
        The entropy of p(class|picture) by the classifier, in nats, as a mean over pictures. The pictures are E[x|z] at
        2,000 draws of z from the prior (`..._prior`), E[x|z] of the test images as above (`..._reconstruction`), or
        the test images themselves (`..._data`).
    unclear_prior, unclear_reconstruction, unclear_data
        The share of these pictures for which no class has a probability of 0.9 or more.
    two_classes_prior, two_classes_reconstruction, two_classes_data
        The share of these pictures that read as two digits at once: no class has a probability of 0.9, but the two
        most probable classes have 0.9 together. It is the mean over three classifiers that differ in their seeds.
        `two_classes_sd_...` is its standard deviation over the three classifiers.
    greyness_prior, greyness_reconstruction, greyness_data
        The mean of 4 m (1 - m) over the pixels m of these pictures: 0 if all pixels are black or white, 1 if all are
        half-way between.
    relative_error
        |x - E[x|z]|^2 / |x|^2, squared lengths over pixels, so that a thin digit counts as much as a thick one. Lower
        is better.

    X_se
        The standard error of X over the images (or draws) that were scored. It says nothing about other seeds.

The noise is fixed. It depends on what is scored and on nothing else, so scoring again gives the same digits. A request
for another K changes none of the other numbers, with one exception: bits_per_dim (and continuous_bernoulli_iwae_K)
uses the largest K.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from vaestudy.model.likelihoods.base import GREY_VALUES
from vaestudy.model.vae import VAE
from vaestudy.scoring.bounds import elbo_terms, importance_weighted, mean_and_error
from vaestudy.scoring.calibration import pixel_errors, pixel_scores

ELBO_DRAWS = 10
ACTIVE_UNIT = 0.01


@dataclass(frozen=True)
class Scores:
    """The scores of a model on one split."""

    images: int
    metrics: dict[str, float]
    kl_per_dimension: list[float] = field(default_factory=list)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    histograms: dict[str, list[float]] = field(default_factory=dict)
    """Shares of pixels: `predicted` and `observed` over the 256 grey values, `pit` over the 20 bins of F(x|z)."""
    by_image: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)
    """The bounds of each image: elbo, iwae_K and bits_per_dim -> [N], float64. Their means are in `metrics`."""
    ais_by_image: dict[str, list[float]] = field(default_factory=dict)
    """log p(x) by annealed importance sampling, and the bounds, of each image that it scored (`ais_scores.py`)."""

    def joined(
        self,
        metrics: dict[str, float],
        per_class: dict[str, dict[str, float]] | None = None,
        ais_by_image: dict[str, list[float]] | None = None,
    ) -> Scores:
        """Return these scores with further metrics: for all images, by class, and of single annealed images."""
        rows = {label: row | (per_class or {}).get(label, {}) for label, row in self.per_class.items()}
        annealed = self.ais_by_image | (ais_by_image or {})
        return replace(self, metrics=self.metrics | metrics, per_class=rows, ais_by_image=annealed)

    def to_json(self) -> dict[str, Any]:
        """Return everything but `by_image`, which is too long for text."""
        found = asdict(replace(self, by_image={}))
        del found["by_image"]
        return found


def score(model: VAE, x: Tensor, labels: Tensor | None, ks: Sequence[int]) -> Scores:
    """Return the bounds and the pixel scores of x [N, P] with labels [N] or None, and the ELBO's parts for each class.

    The class scores of class_probe.py and the scores of ais_scores.py are not included; `Scores.joined` adds them.

    Args:
        ks: the values of K for which iwae_K is computed, in any order.
    """
    b = elbo_terms(model, x, ELBO_DRAWS, "score", "elbo")
    metrics: dict[str, float] = {}
    for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
        metrics |= mean_and_error(name, values)
    metrics["active_units"] = float((b.mu.var(0) > ACTIVE_UNIT).sum()) if len(x) > 1 else math.nan
    weighted, by_image = _importance(model, x, ks)
    metrics |= weighted
    if ks and model.config.pixels == "dequantised":
        K = max(ks)
        bits, by_image["bits_per_dim"] = _bits_per_dim(model, x, K, metrics, by_image[f"iwae_{K}"])
        metrics |= bits
    pixels, histograms = pixel_scores(model, x)
    metrics |= pixels
    per_class: dict[str, dict[str, float]] = {}
    for label in [] if labels is None else labels.unique().tolist():
        mine = labels == label
        row: dict[str, float] = {"images": float(mine.sum())}
        for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
            row |= mean_and_error(name, values[mine])
        per_class[str(label)] = row
    return Scores(
        len(x), metrics, b.kl_per_dimension.mean(0).tolist(), per_class, histograms, {"elbo": b.elbo} | by_image
    )


def image_scores(model: VAE, x: Tensor, ks: Collection[int]) -> dict[str, Tensor]:
    """Return the scores that are means over images, for each image of x [N, P]: name -> [N], float64.

    The noise is that of `score`, so the means of [N] are the numbers that `score` returns.

    Args:
        ks: the values of K for which iwae_K is computed.
    """
    b = elbo_terms(model, x, ELBO_DRAWS, "score", "elbo")
    found = {"elbo": b.elbo, "log_likelihood": b.log_likelihood, "kl": b.kl}
    for K in sorted(set(ks)):
        found[f"iwae_{K}"], found[f"ess_{K}"] = importance_weighted(model, x, K)
    if model.config.pixels == "dequantised" and (own := max(model.config.iwae, default=0)) in ks:
        found |= _image_bits(model, x, own, found[f"iwae_{own}"])
    return found | pixel_errors(model, x)


def _image_bits(model: VAE, x: Tensor, K: int, log_px: Tensor) -> dict[str, Tensor]:
    """Return for each image the scores that `_bits_per_dim` gives as means.

    Args:
        model: the model.
        x: dequantised images, [N, P].
        K: the number of draws.
        log_px: iwae_K of each image, [N].
    """
    likelihood = model.likelihood
    further: dict[str, Tensor] = {}
    nats_per_bit = x.shape[1] * math.log(2)
    if likelihood.normalised is not likelihood:
        log_px, further[f"continuous_bernoulli_ess_{K}"] = importance_weighted(model, x, K, likelihood.normalised)
        further[f"continuous_bernoulli_iwae_{K}"] = log_px
    if (other := likelihood.with_same_mean) is not None:
        matched, further[f"mean_matched_ess_{K}"] = importance_weighted(model, x, K, other)
        further["mean_matched_bits_per_dim"] = math.log2(GREY_VALUES) - matched / nats_per_bit
    offset = 0.0 if likelihood.spec.family == "mass" else math.log2(GREY_VALUES)
    return further | {"bits_per_dim": offset - log_px / nats_per_bit}


def score_importance(model: VAE, x: Tensor, ks: Iterable[int]) -> dict[str, float]:
    """Return iwae_K, its standard error and ess_K for each K."""
    return _importance(model, x, ks)[0]


def _importance(model: VAE, x: Tensor, ks: Iterable[int]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return (iwae_K, its standard error and ess_K for each K; iwae_K of each image of x [N, P]: name -> [N])."""
    metrics: dict[str, float] = {}
    by_image: dict[str, Tensor] = {}
    for K in sorted(set(ks)):
        log_px, size = importance_weighted(model, x, K)
        metrics |= mean_and_error(f"iwae_{K}", log_px) | {f"ess_{K}": size.mean().item()}
        by_image[f"iwae_{K}"] = log_px
    return metrics, by_image


def _bits_per_dim(
    model: VAE, x: Tensor, K: int, known: dict[str, float], log_px: Tensor
) -> tuple[dict[str, float], Tensor]:
    """Return (bits_per_dim and its standard error, bits_per_dim of each image [N]) for dequantised x [N, P].

    Args:
        known: metrics that contain iwae_K and its standard error. For `bernoulli` they are not used: the bound of the
            continuous Bernoulli is computed here and returned too, and so are the bits per pixel of the one with the
            same mean, and the effective number of draws of both.
        log_px: iwae_K of each image, [N].
    """
    likelihood, bound = model.likelihood, f"iwae_{K}"
    further: dict[str, float] = {}
    if likelihood.normalised is not likelihood:
        log_px, size = importance_weighted(model, x, K, likelihood.normalised)
        bound = f"continuous_bernoulli_{bound}"
        known = mean_and_error(bound, log_px)
        further = known | {f"continuous_bernoulli_ess_{K}": size.mean().item()}
    nats_per_bit = x.shape[1] * math.log(2)
    if (other := likelihood.with_same_mean) is not None:
        matched, size = importance_weighted(model, x, K, other)
        bits = math.log2(GREY_VALUES) - matched / nats_per_bit
        further |= mean_and_error("mean_matched_bits_per_dim", bits) | {f"mean_matched_ess_{K}": size.mean().item()}
    offset = 0.0 if likelihood.spec.family == "mass" else math.log2(GREY_VALUES)
    metrics = further | {
        "bits_per_dim": offset - known[bound] / nats_per_bit,
        "bits_per_dim_se": known[f"{bound}_se"] / nats_per_bit,
    }
    return metrics, offset - log_px / nats_per_bit


def epochs_to_95(history: Sequence[dict[str, float]]) -> float:
    """Return the first epoch with 95 % of the rise of the ELBO, on valid or, without a valid split, on train."""
    name = "valid/elbo" if "valid/elbo" in history[0] else "train/elbo"
    values = [metrics[name] for metrics in history]
    goal = values[0] + 0.95 * (max(values) - values[0])
    return float(next(epoch for epoch, value in enumerate(values, start=1) if value >= goal))
