"""The scores of annealed importance sampling: log p(x) and how far the bounds are below it, on the same images.

Each name ends in the settings: temperatures x chains x images, e.g. `500x10x1000` (`AisOptions.label`). All scores but
`bdmc_gap` are means over the first so many test images. All have a standard error over images, X_se.

A run with `ais_images` computes them when it ends; `vaestudy evaluate RUN --ais` adds them to any run.

    ais_A
        log p(x) by annealed importance sampling: a stochastic lower bound (`ais.py`). Nats per image, higher is better.
    ess_ais_A
        (sum w)^2 / sum w^2 over the chains of an image: from 1 to the number of chains. A value near 1 shows that one
        chain decides the estimate.
    acceptance_ais_A
        The acceptance probability of the transitions. The step sizes aim at 0.65.
    looseness_elbo_A, looseness_iwae_K_A
        ais_A minus the bound, image by image. Nats per image. It is a lower bound on how loose the bound is, up to the
        error of both.
    ess_iwae_K_A
        The effective number of the draws of iwae_K on these images, from 1 to K, as `ess_ais_A` for chains.
    approximation_gap_A, amortisation_gap_A
        The two parts of log p(x) - ELBO (`inference_gap.py`), nats per image: what the best Gaussian of each image
        leaves, at most, and what the encoder's Gaussian lacks of the best one, at least.
    bdmc_gap_A
        The upper minus the lower bound on log p(x) of images that the model draws (`bdmc.py`). Nats per image: the
        error of ais_A on such images is at most this, in expectation. The number of images in A is that of the drawn
        images.
    bits_per_dim_ais_A
        Of dequantised pixels: bits per pixel from ais_A, as `bits_per_dim` from iwae_K (`score.py`). Lower is better.

For `bernoulli` on dequantised pixels, all but the two parts of log p(x) - ELBO and bits_per_dim_ais are
also reported of the continuous Bernoulli with the same decoder, as continuous_bernoulli_X. bits_per_dim_ais is computed
from that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from vaestudy.model.likelihoods.base import GREY_VALUES, Likelihood
from vaestudy.model.vae import VAE
from vaestudy.runtime.paths import cores
from vaestudy.scoring.ais import OnImages, annealed
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.bdmc import sandwich
from vaestudy.scoring.bounds import Metrics, elbo_terms, importance_weighted, mean_and_error
from vaestudy.scoring.inference_gap import optimised_elbos
from vaestudy.scoring.score import ELBO_DRAWS

OfModel = Callable[[VAE], Likelihood]
IMPLIED = "continuous_bernoulli_"


@dataclass(frozen=True)
class AisScores:
    """The scores of annealed importance sampling, as means and of each image."""

    metrics: Metrics
    """The scores that are listed at the top of this file."""
    by_image: dict[str, Tensor]
    """`elbo`, `iwae_K` and `ais` of each image, [N], nats; of the density that a Bernoulli implies, with the prefix."""


def ais_scores(
    model: VAE,
    x: Tensor,
    options: AisOptions,
    ks: Collection[int],
    on_images: OnImages = lambda images: None,
) -> AisScores:
    """Return the scores of a model.

    Args:
        model: the VAE.
        x: all images of the split, [N, P]; the first `ais_images` are scored.
        options: the settings.
        ks: the K of the importance-weighted bounds whose looseness is reported.
        on_images: receives how many images are done, several times; `work_in_images` says how many they will be.

    Raises:
        BadInput: the likelihood has no gradient in z.
    """
    x = x[: options.ais_images]
    label = options.label(len(x))
    found, by_image = _of_likelihood(model, x, options, ks, lambda model: model.likelihood, "", on_images)
    log_px = by_image["ais"]
    if options.ais_split:
        elbos = optimised_elbos(model, x, on_images=on_images)
        found |= mean_and_error(f"approximation_gap_{label}", log_px - elbos.optimised)
        found |= mean_and_error(f"amortisation_gap_{label}", elbos.optimised - elbos.encoder)
    if model.config.pixels == "dequantised":
        if likelihoods_scored(model) > 1:
            further, of_density = _of_likelihood(
                model, x, options, ks, lambda model: model.likelihood.normalised, IMPLIED, on_images
            )
            log_px = of_density[f"{IMPLIED}ais"]
            found, by_image = found | further, by_image | of_density
        offset = 0.0 if model.likelihood.spec.family == "mass" else math.log2(GREY_VALUES)
        found |= mean_and_error(f"bits_per_dim_ais_{label}", offset - log_px / (x.shape[1] * math.log(2)))
    return AisScores(found, by_image)


def work_in_images(model: VAE, images: int, options: AisOptions) -> int:
    """Return how many images `ais_scores` reports as done, if the split has so many images."""
    images = min(images, options.ais_images)
    return likelihoods_scored(model) * (images + options.ais_simulated) + images * options.ais_split


def likelihoods_scored(model: VAE) -> int:
    """Return how many likelihoods `ais_scores` anneals: two, if a Bernoulli implies a density of dequantised pixels."""
    return 2 if model.config.pixels == "dequantised" and _implies_density(model) else 1


def _implies_density(model: VAE) -> bool:
    """Return whether the likelihood is no density, but implies one."""
    return model.likelihood.normalised is not model.likelihood


def _of_likelihood(
    model: VAE,
    x: Tensor,
    options: AisOptions,
    ks: Collection[int],
    likelihood: OfModel,
    prefix: str,
    on_images: OnImages,
) -> tuple[Metrics, dict[str, Tensor]]:
    """Return two things for one likelihood: its scores, and the log p(x) and bounds of each image of x [N, P].

    Args:
        likelihood: which part of the model scores x: model -> likelihood.
        prefix: the beginning of the names.
        model, x, options, ks, on_images: as those of `ais_scores`.
    """
    workers = options.ais_workers or cores()
    result = annealed(model, x, options, likelihood, workers, on_images)
    label = options.label(len(x))
    found = mean_and_error(f"{prefix}ais_{label}", result.log_px)
    found |= mean_and_error(f"{prefix}ess_ais_{label}", result.ess)
    if options.ais_temperatures > 2:  # with two there are no transitions
        found |= mean_and_error(f"{prefix}acceptance_ais_{label}", result.acceptance)
    p = likelihood(model)
    bounds = {"elbo": elbo_terms(model, x, ELBO_DRAWS, "score", "elbo", likelihood=p).elbo}
    for K in sorted(set(ks)):
        bounds[f"iwae_{K}"], ess = importance_weighted(model, x, K, p)
        found |= mean_and_error(f"{prefix}ess_iwae_{K}_{label}", ess)
    for name, bound in bounds.items():
        found |= mean_and_error(f"{prefix}looseness_{name}_{label}", result.log_px - bound)
    if simulated := options.ais_simulated:
        gap = sandwich(model, simulated, options, x, likelihood, workers, on_images).gap
        found |= mean_and_error(f"{prefix}bdmc_gap_{options.label(simulated)}", gap)
    return found, {f"{prefix}{name}": values for name, values in (bounds | {"ais": result.log_px}).items()}
