"""ESTIMATORS: the objectives, written to read like their formulas.

Shapes: L samples, M minibatch, D latent dimensions.
    log_px_z, log_pz, log_qz_x: [L, M]      log p(x|z), log p(z), log q(z|x) of each draw
    Estimate's fields:          [M]         per image, nats

An estimator takes the unsummed `Terms` of a minibatch and returns an `Estimate`; `loss` alone turns that into the
number that is minimised. What is trained and what is reported are kept apart: `evaluate.py` scores every run alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vaestudy.model import VAE, Posterior, log_prior


@dataclass(frozen=True)
class Terms:
    """The parts of the bound for one minibatch, before any sum over draws or images."""

    log_px_z: Tensor
    z: Tensor
    q: Posterior

    @property
    def log_pz(self) -> Tensor:
        return log_prior(self.z)

    @property
    def log_qz_x(self) -> Tensor:
        return self.q.log_prob(self.z)


@dataclass(frozen=True)
class Estimate:
    """What an estimator says of each image: the objective to raise, and the bound's two parts as it sees them."""

    objective: Tensor
    log_likelihood: Tensor
    kl: Tensor


def terms(model: VAE, x: Tensor, eps: Tensor, log_guard: float = 0.0) -> Terms:
    """Encode x [M, P], draw z with eps [L, M, D], decode, all L * M draws in one pass."""
    q = model.encode(x, log_guard)
    z = q.draw(eps)
    return Terms(model.likelihood.log_prob(x, model.decode(z), log_guard), z, q)


def sgvb_a(t: Terms) -> Estimate:
    """L^A = 1/L sum_l log p(x|z_l) + log p(z_l) - log q(z_l|x). Kingma & Welling 2013, equation 6."""
    log_px_z, log_pz, log_qz_x = t.log_px_z, t.log_pz, t.log_qz_x
    return Estimate(
        objective=(log_px_z + log_pz - log_qz_x).mean(0),
        log_likelihood=log_px_z.mean(0),
        kl=(log_qz_x - log_pz).mean(0),
    )


def sgvb_b(t: Terms) -> Estimate:
    """L^B = -KL(q(z|x) || p(z)) + 1/L sum_l log p(x|z_l). Kingma & Welling 2013, equation 7."""
    kl, log_likelihood = t.q.kl(), t.log_px_z.mean(0)
    return Estimate(objective=log_likelihood - kl, log_likelihood=log_likelihood, kl=kl)


def loss(estimate: Estimate, reduction: str) -> Tensor:
    """Minus the objective, its mean (or the article's sum) over the minibatch: a scalar, nats."""
    return -(estimate.objective.mean() if reduction == "mean" else estimate.objective.sum())


ESTIMATORS: dict[str, Callable[[Terms], Estimate]] = {
    "sgvb-a": sgvb_a,
    "sgvb-b": sgvb_b,
}
