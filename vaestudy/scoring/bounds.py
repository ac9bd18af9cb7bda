"""TODO"""

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

IMAGES_PER_BLOCK = 100  # fixed, as a block's noise is one stream

ROWS_DRAWN = 1_000  # also fixed, as it cuts that stream

ROWS_PER_PASS = 200  # decoder rows at once, whatever K is: few enough that the pixels' arithmetic stays in the cache


@dataclass(frozen=True)
class ElboTerms:
    """The ELBO's parts for each image: [N] nats, float64; kl_per_dimension and mu [N, D]."""

    log_likelihood: Tensor
    kl: Tensor
    kl_per_dimension: Tensor
    mu: Tensor

    @property
    def elbo(self) -> Tensor:
        return self.log_likelihood - self.kl


@torch.no_grad()
def elbo_terms(model: VAE, x: Tensor, draws: int, *noise: str | int) -> ElboTerms:
    """The ELBO of each image of x [N, P], by `draws` draws of z from the stream called `noise`."""
    parts = []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream(*noise, block, device=x.device), model.encode(xs)
        sums = torch.zeros(len(xs), dtype=torch.float64, device=x.device)
        for eps in _noise_chunks(draws, q, generator):
            sums += terms(model, xs, eps, q=q).log_px_z.double().sum(0)
        kl = q.kl_per_dimension().double()
        parts.append((sums / draws, kl.sum(-1), kl, q.mu.double()))
    return ElboTerms(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def importance_weighted(model: VAE, x: Tensor, K: int, likelihood: Likelihood | None = None) -> tuple[Tensor, Tensor]:
    """(L_K, effective sample size) of each image of x [N, P]: both [N], float64. Burda et al. 2015, equation 8.

    Memory does not grow with K but for the K log-weights of a block.
    """
    bounds, sizes = [], []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream("score", "iwae", K, block, device=x.device), model.encode(xs)
        # Filled in place: small tensors kept between passes would pin the large ones' memory where it is.
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
    """The mean of [N] values and its standard error over them (nan for a single one)."""
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: values.mean().item(), f"{name}_se": error}


def _noise_chunks(draws: int, q: Posterior, generator: torch.Generator) -> Iterator[Tensor]:
    """Noise for `draws` draws from q, a few at a time, [l, M, D]: drawn by ROWS_DRAWN rows, given by ROWS_PER_PASS."""
    M, D = q.mu.shape
    most, few = (max(1, rows // M) for rows in (ROWS_DRAWN, ROWS_PER_PASS))
    for done in range(0, draws, most):
        shape = (min(most, draws - done), M, D)
        yield from torch.randn(shape, generator=generator, device=generator.device).split(few)
