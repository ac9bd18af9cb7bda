"""Bidirectional Monte Carlo: the error of annealed importance sampling itself, on images that the model draws.

Grosse, Ghahramani & Adams 2015, «Sandwiching the marginal likelihood using bidirectional Monte Carlo»; Wu et al. 2017.

For x drawn from the model the z that it was decoded from is an exact draw of the posterior p(z|x). Chains that start
there and are annealed from the posterior to the prior have weights with E[1 / w] = 1 / p(x). So
-ln (1/K sum_k 1 / w_k) is, in expectation, an upper bound on log p(x). Chains that start at the prior give the lower
bound of `ais.py`. The difference of the two, the gap, is at least the error of either, in expectation. It measures the
error on the test images as far as these resemble the model's own.

The K reverse chains of an image share the one exact draw. Each of them has E[1 / w] = 1 / p(x), so their mean has, too.

A Bernoulli draws pixels that are 0 or 1, whatever pixels it was trained on.

Shapes: N images, M images of a block, K chains, D latent dimensions, P pixels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.ais import (
    Annealed,
    ChainNoise,
    OnImages,
    anneal,
    blocks,
    in_threads,
    joined,
    summary,
    tuned_steps,
)
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.hmc import LogLikelihood, frozen, require_gradient


@dataclass(frozen=True)
class Sandwich:
    """Both bounds for each simulated image."""

    x: Tensor
    """The images, [N, P]."""
    lower: Annealed
    """From the prior to the posterior; log_px is the lower bound."""
    upper: Annealed
    """From the posterior to the prior; log_px is the upper bound."""

    @property
    def gap(self) -> Tensor:
        """The upper minus the lower bound of each image, [N], nats."""
        return self.upper.log_px - self.lower.log_px


def sandwich(
    model: VAE,
    images: int,
    options: AisOptions,
    like: Tensor,
    likelihood: Callable[[VAE], Likelihood] = lambda model: model.likelihood,
    workers: int = 1,
    on_images: OnImages = lambda images: None,
) -> Sandwich:
    """Draw images from the model, and return both bounds on their log p(x).

    Args:
        model: the VAE.
        images: N, the number of images.
        options: the settings; `ais_images` and `ais_simulated` are not used.
        like: a tensor with the type and the device of images.
        likelihood: which part of the model draws and scores x: model -> likelihood.
        workers: the number of threads; it changes no result.
        on_images: receives the number of images of each block that is done.

    Raises:
        BadInput: the likelihood has no gradient in z.
    """
    model = frozen(model)
    z, x = simulated(model, images, like, likelihood(model))
    require_gradient(model, x, likelihood(model))

    def work(block: range, stop: threading.Event) -> tuple[Annealed, Annealed]:
        part = slice(block.start, block.stop)
        target = LogLikelihood(model, x[part], likelihood(model))

        def noise(purpose: str) -> ChainNoise:
            return ChainNoise(f"simulated {purpose}", block, target, options)

        steps = tuned_steps(target, options, noise("tune"), stop)
        forward, backward = noise("forward"), noise("reverse")
        lower = summary(*anneal(target, forward.start(), steps, options, forward, stop))
        exact = z[part].expand(options.ais_chains, -1, -1)
        upper = summary(*anneal(target, exact, steps, options, backward, stop, reverse=True), sign=-1)
        on_images(len(block))
        return lower, upper

    lower, upper = zip(*in_threads(work, blocks(images, options), workers), strict=True)
    return Sandwich(x, joined(list(lower)), joined(list(upper)))


@torch.no_grad()
def simulated(model: VAE, images: int, like: Tensor, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Return (z [N, D], x [N, P]): draws of p(z) and of p(x|z). Each image has its own stream, named by its number."""
    pairs = []
    for image in range(images):
        generator = stream("score", "ais", "simulated", image, device=like.device)
        z = torch.randn((1, model.config.latent_dim), generator=generator, dtype=like.dtype, device=like.device)
        pairs.append((z, likelihood.sample(model.decode(z), generator)))
    z, x = map(torch.cat, zip(*pairs, strict=True))
    return z, x
