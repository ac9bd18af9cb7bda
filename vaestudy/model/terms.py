"""TODO"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaestudy.model.chunking import max_rows
from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.vae import VAE, Posterior, log_prior


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

    @property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z|x), [L, M]: the log-weight of each draw."""
        return self.log_px_z + self.log_pz - self.log_qz_x

    @property
    def log_w_path(self) -> Tensor:
        """The same values; the encoder gets a gradient through z alone, and none through the density q(z|x)."""
        return self.log_px_z + self.log_pz - self.q.detach().log_prob(self.z)

    def scale_path(self, weight: Tensor | float) -> None:
        """Multiply all gradient that flows back through z by `weight`, a number or [L, M]."""
        factor = weight.unsqueeze(-1) if isinstance(weight, Tensor) else weight
        if self.z.requires_grad:
            self.z.register_hook(lambda gradient: gradient * factor)


def terms(
    model: VAE,
    x: Tensor,
    eps: Tensor,
    log_guard: float = 0.0,
    q: Posterior | None = None,
    likelihood: Likelihood | None = None,
) -> Terms:
    """Encode x [M, P], draw z with eps [L, M, D], decode; beyond `max_rows` draws in chunks, with the same gradient.

    Args:
        q: the posterior of x, where x was encoded already.
        likelihood: the distribution by which x is scored, in place of the model's own.
    """
    q = model.encode(x, log_guard) if q is None else q
    p = model.likelihood if likelihood is None else likelihood
    z = q.draw(eps)

    def decode(x: Tensor, z: Tensor) -> Tensor:
        return p.log_prob(x, model.decode(z), log_guard)

    most = max_rows(p.heads)
    if z[..., 0].numel() <= most or not torch.is_grad_enabled():
        return Terms(decode(x, z), z, q)
    parameters = list(model.parameters())
    columns = []
    for xs, zs in zip(x.split(most), z.split(most, dim=1), strict=True):
        chunks = zs.split(max(1, most // len(xs)))
        columns.append(torch.cat([_Recomputed.apply(decode, xs, chunk, *parameters) for chunk in chunks]))
    return Terms(torch.cat(columns, dim=1), z, q)


class _Recomputed(torch.autograd.Function):
    """decode(x, z), which keeps nothing of the way and goes it again when the gradient is wanted.

    The decoder's activations are all that is large in a step. What an estimator makes of its log-likelihoods is not
    known when they are computed, and with weights that couple all draws it cannot be, so each chunk is computed twice.
    (`torch.utils.checkpoint` does the same but holds what it recomputed until the whole step is over.)
    """

    @staticmethod
    def forward(
        ctx: Any, decode: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, *parameters: Tensor
    ) -> Tensor:
        ctx.decode = decode
        ctx.save_for_backward(x, z, *parameters)
        return decode(x, z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, z, *parameters = ctx.saved_tensors
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = ctx.decode(x, z)
        return None, None, *torch.autograd.grad(value, (z, *parameters), grad, allow_unused=True)
