"""Every number that is ever reported, defined once.

Shapes: N images, K draws, D latent dimensions. All bounds are nats per image, sums over dimensions, at beta = 1, with
z drawn from q(z|x) and never set to its mean.

    elbo            E_q[log p(x|z)] - KL(q(z|x) || p(z)), the expectation by ELBO_DRAWS draws, KL in closed form
    log_likelihood  E_q[log p(x|z)], its first part; no bound by itself
    kl              KL(q(z|x) || p(z)), its second part; no bound by itself
    iwae_K          log 1/K sum_k w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x): a bound that is tighter the larger K
    ess_K           (sum w)^2 / sum w^2, the effective number of the K draws; a small one says that iwae_K is loose
    active_units    dimensions with Cov_x(E_q[z_d]) > 0.01 (Burda et al. 2015, section 5.3); a count
    X_se            the standard error of X over the images scored: it says nothing about other seeds

The noise is fixed: it depends on what is scored and on nothing else, so scoring again gives the same digits, and asking
for another K moves none of the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaestudy.estimators import Terms
from vaestudy.model import VAE, Posterior
from vaestudy.noise import stream

ELBO_DRAWS = 10
ACTIVE_UNIT = 0.01
IMAGES_PER_BLOCK = 100  # fixed, as a block's noise is one stream
ROWS_DRAWN = 1_000  # also fixed, as it cuts that stream
ROWS_PER_PASS = 200  # decoder rows at once, whatever K is: few enough that the pixels' arithmetic stays in the cache


@dataclass(frozen=True)
class Bound:
    """The ELBO's parts for each image: [N] nats, float64; kl_per_dimension and mu [N, D]."""

    log_likelihood: Tensor
    kl: Tensor
    kl_per_dimension: Tensor
    mu: Tensor

    @property
    def elbo(self) -> Tensor:
        return self.log_likelihood - self.kl


@dataclass(frozen=True)
class Scores:
    """What is known of a model on one split."""

    images: int
    metrics: dict[str, float]
    kl_per_dimension: list[float] = field(default_factory=list)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def bound(model: VAE, x: Tensor, draws: int, *noise: str | int) -> Bound:
    """The ELBO of each image of x [N, P], by `draws` draws of z from the stream called `noise`."""
    parts = []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream(*noise, block, device=x.device), model.encode(xs)
        sums = torch.zeros(len(xs), dtype=torch.float64, device=x.device)
        for eps in _noise(draws, q, generator):
            sums += _terms(model, xs, q, eps).log_px_z.double().sum(0)
        kl = q.kl_per_dimension().double()
        parts.append((sums / draws, kl.sum(-1), kl, q.mu.double()))
    return Bound(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def importance(model: VAE, x: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """(L_K, effective sample size) of each image of x [N, P]: both [N], float64. Burda et al. 2015, equation 8.

    Memory does not grow with K but for the K log-weights of a block.
    """
    bounds, sizes = [], []
    for block, xs in enumerate(x.split(IMAGES_PER_BLOCK)):
        generator, q = stream("score", "iwae", K, block, device=x.device), model.encode(xs)
        # Filled in place: small tensors kept between passes would pin the large ones' memory where it is.
        log_w, done = torch.empty((K, len(xs)), dtype=torch.float64, device=x.device), 0
        for eps in _noise(K, q, generator):
            t = _terms(model, xs, q, eps)
            log_w[done : done + len(eps)] = t.log_px_z + t.log_pz - t.log_qz_x
            done += len(eps)
        total = log_w.logsumexp(0)
        bounds.append(total - math.log(K))
        sizes.append((2 * total - (2 * log_w).logsumexp(0)).exp())
    return torch.cat(bounds), torch.cat(sizes)


def score(model: VAE, x: Tensor, labels: Tensor, ks: Iterable[int]) -> Scores:
    """All of the above for x [N, P] with labels [N]."""
    b = bound(model, x, ELBO_DRAWS, "score", "elbo")
    metrics: dict[str, float] = {}
    for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
        metrics |= mean_and_error(name, values)
    metrics["active_units"] = float((b.mu.var(0) > ACTIVE_UNIT).sum()) if len(x) > 1 else math.nan
    metrics |= score_importance(model, x, ks)
    per_class: dict[str, dict[str, float]] = {}
    for label in labels.unique().tolist():
        mine = labels == label
        row: dict[str, float] = {"images": float(mine.sum())}
        for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
            row |= mean_and_error(name, values[mine])
        per_class[str(label)] = row
    return Scores(len(x), metrics, b.kl_per_dimension.mean(0).tolist(), per_class)


def score_importance(model: VAE, x: Tensor, ks: Iterable[int]) -> dict[str, float]:
    """iwae_K, its standard error and ess_K for each K."""
    metrics: dict[str, float] = {}
    for K in sorted(set(ks)):
        log_px, size = importance(model, x, K)
        metrics |= mean_and_error(f"iwae_{K}", log_px) | {f"ess_{K}": size.mean().item()}
    return metrics


def mean_and_error(name: str, values: Tensor) -> dict[str, float]:
    """The mean of [N] values and its standard error over them (nan for a single one)."""
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: values.mean().item(), f"{name}_se": error}


def _terms(model: VAE, x: Tensor, q: Posterior, eps: Tensor) -> Terms:
    """As `estimators.terms`, for a q that is encoded once for many draws."""
    z = q.draw(eps)
    return Terms(model.likelihood.log_prob(x, model.decode(z)), z, q)


def _noise(draws: int, q: Posterior, generator: torch.Generator) -> Iterator[Tensor]:
    """Noise for `draws` draws from q, a few at a time, [l, M, D]: drawn by ROWS_DRAWN rows, given by ROWS_PER_PASS."""
    M, D = q.mu.shape
    most, few = (max(1, rows // M) for rows in (ROWS_DRAWN, ROWS_PER_PASS))
    for done in range(0, draws, most):
        shape = (min(most, draws - done), M, D)
        yield from torch.randn(shape, generator=generator, device=generator.device).split(few)
