"""Hamiltonian Monte Carlo on the annealed posterior p(z) p(x|z)^beta, for many images and chains at once.

Neal 2011, «MCMC using Hamiltonian dynamics», section 3. The mass matrix is the identity. A transition leaves the
annealed posterior unchanged (up to the rounding of log p(x|z)), whatever the step size is, as long as it does not
depend on the state of the chain. This also holds if the gradient is wrong: then fewer proposals are accepted.

Shapes: K chains, M images, D latent dimensions, P pixels.
    x:               [M, P]      images
    z, momentum:     [K, M, D]
    log_px_z:        [K, M]      log p(x|z), nats
    slope:           [K, M, D]   the gradient of log p(x|z) in z
    step:            [K, M]      step sizes
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.vae import VAE

# Decoder rows (images times chains) in one pass. Another number changes a result by its rounding only.
ROWS_PER_PASS = 400


@dataclass(frozen=True)
class State:
    """The state of the chains: z with log p(x|z) and its gradient there."""

    z: Tensor
    log_px_z: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Noise:
    """The random numbers of one transition."""

    momentum: Tensor
    """Standard normal, [K, M, D]."""
    uniform: Tensor
    """In [0, 1): the first for the acceptance, the second for the step size, [2, K, M]."""


def frozen(model: VAE) -> VAE:
    """Return a copy of a model for scoring with gradients in z.

    Its weights need no gradient, so that autograd computes none for them. It is in evaluation mode: a likelihood whose
    scale is fitted to each minibatch in training must keep its scale.
    """
    model = copy.deepcopy(model)
    for part in (model, model.likelihood):  # the second is a part of the first, except in a stand-in for a VAE
        if isinstance(part, nn.Module):
            part.eval().requires_grad_(False)
    return model


class LogLikelihood:
    """log p(x|z) and its gradient in z, as functions of z. The images are fixed. Few chains are decoded at a time."""

    def __init__(self, model: VAE, x: Tensor, likelihood: Likelihood | None = None) -> None:
        """Args:
        model: a model from `frozen`.
        x: the images, [M, P].
        likelihood: the distribution that scores x in place of the likelihood of the model; a part of `model`.
        """
        self.model, self.x = model, x
        self.likelihood = model.likelihood if likelihood is None else likelihood
        self._chains_per_pass = max(1, ROWS_PER_PASS // len(x))

    def __call__(self, z: Tensor) -> State:
        """Return the state of chains at z [K, M, D]."""
        values, slopes = zip(*map(self._value_and_slope, z.split(self._chains_per_pass)), strict=True)
        return State(z, _joined(values), _joined(slopes))

    def slope(self, z: Tensor) -> Tensor:
        """Return the gradient of log p(x|z) in z [K, M, D]. It takes less time than the state does."""
        return _joined([self._slope(part) for part in z.split(self._chains_per_pass)])

    def _value_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (log p(x|z), its gradient in z) of a few chains."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = self.likelihood.log_prob(self.x, self.model.decode(z))
            (slope,) = torch.autograd.grad(value, z, torch.ones_like(value))
        return value.detach(), slope

    def _slope(self, z: Tensor) -> Tensor:
        """Return the gradient of log p(x|z) in z of a few chains."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            head = self.model.decode(z)
            (slope,) = torch.autograd.grad(head, z, self.likelihood.head_slope(self.x, head.detach()))
        return slope


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Return the parts as one tensor, without a copy if there is one part."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))


def require_gradient(model: VAE, x: Tensor, likelihood: Likelihood, asked: str = "--ais") -> None:
    """Raise unless log p(x|z) has a gradient in z.

    Args:
        model: a model from `frozen`.
        x: images, [M, P]; the first is used.
        likelihood: the distribution that scores x.
        asked: the flag with which the user asked for annealed importance sampling, for the message.

    Raises:
        BadInput: it has none, or one that is not finite.
    """
    z = torch.zeros(1, 1, model.config.latent_dim, dtype=x.dtype, device=x.device, requires_grad=True)
    value = likelihood.log_prob(x[:1], model.decode(z))
    slope = torch.autograd.grad(value.sum(), z)[0] if value.requires_grad else None
    if slope is None or not slope.isfinite().all():
        name, found = model.config.likelihood, "no gradient" if slope is None else "a gradient that is not finite"
        raise BadInput(f"{asked}: log p(x|z) of the likelihood {name!r} has {found} in z; the transitions need one")


@torch.no_grad()
def transition(
    target: LogLikelihood, state: State, beta: float, step: Tensor, noise: Noise, leapfrog: int
) -> tuple[State, Tensor]:
    """Return (the next state, the acceptance probability [K, M]) of a transition for p(z) p(x|z)^beta.

    Each trajectory multiplies its step size by an own factor, uniform in [0.8, 1.2): with one length for all, a
    trajectory could be a period of the motion in some direction, and the chain would stay where it is (Neal 2011,
    section 3.2). A trajectory that runs away to values that are not finite is rejected.

    Args:
        target: log p(x|z) of the images.
        state: where the chains are.
        beta: the inverse temperature, from 0 (the prior) to 1 (the posterior).
        step: the step sizes, broadcastable to [K, M].
        noise: the random numbers of this transition.
        leapfrog: the number of leapfrog steps.
    """
    size = (step * (0.8 + 0.4 * noise.uniform[1])).unsqueeze(-1)
    half = 0.5 * size
    v = noise.momentum.addcmul(half, _slope(state.z, state.slope, beta))
    z = torch.addcmul(state.z, size, v)
    for _ in range(leapfrog - 1):
        v.addcmul_(size, _slope(z, target.slope(z), beta))
        z.addcmul_(size, v)
    end = target(z)
    v.addcmul_(half, _slope(z, end.slope, beta))
    log_ratio = _log_density(end, beta) - _log_density(state, beta)
    log_ratio += 0.5 * (noise.momentum.square().sum(-1) - v.square().sum(-1))
    probability = log_ratio.clamp_max(0).exp_().nan_to_num_(0.0)
    accepted = noise.uniform[0] < probability
    wide = accepted.unsqueeze(-1)
    following = State(
        torch.where(wide, end.z, state.z),
        torch.where(accepted, end.log_px_z, state.log_px_z),
        torch.where(wide, end.slope, state.slope),
    )
    return following, probability


def _slope(z: Tensor, slope: Tensor, beta: float) -> Tensor:
    """Return the gradient of ln p(z) + beta ln p(x|z) in z; `slope` is that of ln p(x|z)."""
    return torch.sub(slope * beta, z)


def _log_density(state: State, beta: float) -> Tensor:
    """Return ln p(z) + beta ln p(x|z), without the constant of the prior."""
    return beta * state.log_px_z - 0.5 * state.z.square().sum(-1)
