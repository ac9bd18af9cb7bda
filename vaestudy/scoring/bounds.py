"""Monte Carlo estimates of the bounds on log p(x), image by image.

Shapes: N images, P pixels, K draws, D latent dimensions; within a pass M images and l draws. Images x are [N, P].
Results are float64; log-likelihoods, KL and bounds are in nats.

    elbo_terms            ElboTerms: log_likelihood, kl and elbo [N]; kl_per_dimension and mu [N, D]
    importance_weighted   L_K [N] and the effective sample size [N] of K draws for each image
    mean_and_error        the mean of [N] values and its standard error, as metrics

Both estimates work on blocks of images and, within a block, on a few draws at a time, so that memory is bounded. The
noise comes from fixed streams, so each estimate gives the same digits every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE, Posterior
from vaestudy.runtime.random_streams import stream

Metrics = dict[str, float]

# Each block of images has its own noise stream: another size would change the noise, and so the results.
IMAGES_PER_BLOCK = 100

# Noise is drawn for this many rows (images times draws) at a time: another number would change the noise, too.
ROWS_DRAWN = 1_000

# Decoder rows in one pass, whatever K is: few enough that the arithmetic on pixels stays in the cache.
ROWS_PER_PASS = 200


@dataclass(frozen=True)
class ElboTerms:
    """The parts of the ELBO of each image: [N] in nats, float64; kl_per_dimension and mu are [N, D]."""

    log_likelihood: Tensor
    kl: Tensor
    kl_per_dimension: Tensor
    mu: Tensor

    @property
    def elbo(self) -> Tensor:
        return self.log_likelihood - self.kl


@torch.no_grad()
def elbo_terms(model: VAE, x: Tensor, draws: int, *noise: str | int, likelihood: Likelihood | None = None) -> ElboTerms:
    """Return the parts of the ELBO of each image of x [N, P].

    Args:
        draws: the number of draws of z per image for the expectation of log p(x|z).
        noise: the name of the random stream for these draws.
        likelihood: the distribution that scores x in place of the likelihood of the model.
    """
    parts = []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream(*noise, block, device=x.device), model.encode(xs)
        sums = torch.zeros(len(xs), dtype=torch.float64, device=x.device)
        for eps in _noise_chunks(draws, q, generator):
            sums += terms(model, xs, eps, q=q, likelihood=likelihood).log_px_z.double().sum(0)
        kl = q.kl_per_dimension().double()
        parts.append((sums / draws, kl.sum(-1), kl, q.mu.double()))
    return ElboTerms(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def importance_weighted(model: VAE, x: Tensor, K: int, likelihood: Likelihood | None = None) -> tuple[Tensor, Tensor]:
    """Return (L_K, effective sample size) of each image of x [N, P]: both [N], float64. Burda et al. 2015, equation 8.

    Memory does not grow with K, apart from the K log-weights of the images of a block.

    Args:
        likelihood: the distribution that scores x in place of the likelihood of the model.
    """
    bounds, sizes = [], []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream("score", "iwae", K, block, device=x.device), model.encode(xs)
        # Filled in place. Small tensors kept from each pass would stop the allocator from moving or reusing the memory
        # of the large ones.
        log_w, done = torch.empty((K, len(xs)), dtype=torch.float64, device=x.device), 0
        for eps in _noise_chunks(K, q, generator):
            t = terms(model, xs, eps, q=q, likelihood=likelihood)
            log_w[done : done + len(eps)] = t.log_px_z + t.log_pz - t.log_qz_x
            done += len(eps)
        total = log_w.logsumexp(0)
        bounds.append(total - math.log(K))
        sizes.append((2 * total - (2 * log_w).logsumexp(0)).exp())
    return torch.cat(bounds), torch.cat(sizes)


def mean_and_error(name: str, values: Tensor) -> dict[str, float]:
    """Return the mean of [N] values and its standard error over the values (nan if there is only one value)."""
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: values.mean().item(), f"{name}_se": error}


def _noise_chunks(draws: int, q: Posterior, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the noise of `draws` draws from q in pieces [l, M, D].

    The noise is drawn for ROWS_DRAWN rows at a time and yielded for ROWS_PER_PASS rows at a time.
    """
    M, D = q.mu.shape
    most, few = (max(1, rows // M) for rows in (ROWS_DRAWN, ROWS_PER_PASS))
    for done in range(0, draws, most):
        shape = (min(most, draws - done), M, D)
        yield from torch.randn(shape, generator=generator, device=generator.device).split(few)
