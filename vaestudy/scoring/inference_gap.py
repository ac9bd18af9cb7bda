"""The gap between log p(x) and the ELBO, split into the part of the family of q and the part of the encoder.

Cremer, Li & Duvenaud 2018, «Inference suboptimality in variational autoencoders», section 2. With q*(z|x) the best
Gaussian with a diagonal covariance for one image,

    log p(x) - ELBO(q)  =  log p(x) - ELBO(q*)   the approximation gap: no such Gaussian is the posterior
                        +  ELBO(q*) - ELBO(q)    the amortisation gap: the encoder does not give the best one

q* is found by Adam from the encoder's q(z|x), image by image. The gradient is that through z alone («sticking the
landing», Roeder et al. 2017): it has no noise where q is the posterior. The search begins again from its result, in
units of the new sigma, until the mean ELBO of the block of images rises by less than 0.05 nats, at most ten times.
An encoder that is off by many sigma needs more than one search. All ELBOs that are compared are scored with noise of
their own, the same for q* and q. So q* gains nothing from having been fitted to the noise of its search.

A search can end before it has found the best Gaussian. So the approximation gap is at most, and the amortisation gap at
least, what is reported, up to the error of log p(x) and the noise of the scores.

Shapes: N images, M images of a block, L draws, D latent dimensions, P pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE, Posterior
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.hmc import frozen

# Each block of images has its own noise stream: another size would change the noise, and so the results.
IMAGES_PER_BLOCK = 50

STEPS = 300
"""The number of Adam's steps in one search. The step size falls to zero along half a cosine."""
LEAST_RISE, MOST_SEARCHES = 0.05, 10
"""The search is repeated while it raises the mean ELBO of a block by more than `LEAST_RISE` nats."""
RATE = 0.05
"""Adam's first step size, in units of the encoder's sigma for the mean, and of ln sigma."""
SEARCH_DRAWS = 4
"""L in a step of the search."""
SCORED_DRAWS = 100
"""L of the ELBOs that are compared."""


@dataclass(frozen=True)
class Elbos:
    """ELBOs of each image, by the same noise: [N], float64, nats."""

    encoder: Tensor
    """With the encoder's q(z|x)."""
    optimised: Tensor
    """With the best Gaussian for each image."""


def optimised_elbos(
    model: VAE,
    x: Tensor,
    likelihood: Callable[[VAE], Likelihood] = lambda model: model.likelihood,
    on_images: Callable[[int], None] = lambda images: None,
) -> Elbos:
    """Return the ELBO of each image of x [N, P] with the encoder's q(z|x) and with the best Gaussian q*.

    Args:
        model: the VAE.
        x: the images.
        likelihood: which part of the model scores x: model -> likelihood.
        on_images: receives the number of images of each block that is done.
    """
    model = frozen(model)
    p = likelihood(model)
    parts = []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        parts.append(_of_block(model, xs, block, p))
        on_images(len(xs))
    return Elbos(*(torch.cat([getattr(part, name) for part in parts]) for name in ("encoder", "optimised")))


def _of_block(model: VAE, x: Tensor, block: int, likelihood: Likelihood) -> Elbos:
    """Return the ELBOs of the images x [M, P] of one block. The search for q* is repeated until it gains little.

    Args:
        model: a model from `hmc.frozen`.
        x: the images.
        block: the number of the block, a part of the names of its random streams.
        likelihood: the distribution that scores x.
    """

    def scored(q: Posterior, purpose: str) -> Tensor:
        return _elbo(model, x, q, stream("score", purpose, block, device=x.device), likelihood)

    with torch.no_grad():
        encoder = best = model.encode(x)
    noise = stream("score", "best q", block, device=x.device)
    before = scored(best, "a search's gain")
    for _ in range(MOST_SEARCHES):
        further = best_posterior(model, x, best, noise, likelihood)
        after = scored(further, "a search's gain")
        rise = (after - before).mean().item()
        if rise > 0:  # a search in vain is dropped
            best, before = further, after
        if not rise > LEAST_RISE:
            break
    return Elbos(scored(encoder, "compared q"), scored(best, "compared q"))


def best_posterior(
    model: VAE, x: Tensor, q: Posterior, generator: torch.Generator, likelihood: Likelihood
) -> Posterior:
    """Return the Gaussian with a diagonal covariance that maximises the ELBO of each image of x [M, P].

    The mean is mu + |sigma| a and ln sigma is ln |sigma| + b, where mu and sigma are those of q. The search is for a
    and b, so that its steps fit the scale of each latent dimension.

    Args:
        model: a model from `hmc.frozen`.
        x: the images.
        q: where the search starts.
        generator: the noise of the search.
        likelihood: the distribution that scores x.
    """
    scale = q.sigma.abs()
    a, b = (torch.zeros_like(q.mu, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam((a, b), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        eps = torch.randn((SEARCH_DRAWS, *a.shape), generator=generator, dtype=x.dtype, device=x.device)
        t = terms(model, x, eps, q=_posterior(q, scale, a, b), likelihood=likelihood)
        (-t.log_w_path.mean(0).sum()).backward()  # each image has its own a and b, so the sum couples nothing
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return _posterior(q, scale, a.detach(), b.detach())


def _posterior(q: Posterior, scale: Tensor, a: Tensor, b: Tensor) -> Posterior:
    """Return the Gaussian with mean mu + scale a and standard deviation scale e^b."""
    return Posterior(q.mu + scale * a, scale * b.exp(), 2 * (scale.log() + b))


@torch.no_grad()
def _elbo(model: VAE, x: Tensor, q: Posterior, generator: torch.Generator, likelihood: Likelihood) -> Tensor:
    """Return the mean of log p(x, z) - log q(z|x) over SCORED_DRAWS draws from q, [M], float64."""
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for _ in range(SCORED_DRAWS):
        eps = torch.randn((1, *q.mu.shape), generator=generator, dtype=x.dtype, device=x.device)
        total += terms(model, x, eps, q=q, likelihood=likelihood).log_w[0]
    return total / SCORED_DRAWS
