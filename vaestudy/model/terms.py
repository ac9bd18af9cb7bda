"""The parts of the bound for one minibatch: log p(x|z), log p(z) and log q(z|x) of each draw of z.

Every objective of training and every score is computed from these parts. They are not summed over draws or images.

Shapes: L samples, M minibatch, D latent dimensions, P pixels. All log-probabilities are in nats.
    x:                          [M, P]      images
    eps, z:                     [L, M, D]   noise, and the draws z = mu + sigma * eps
    log_px_z, log_pz, log_qz_x: [L, M]      log p(x|z), log p(z), log q(z|x) of each draw
    log_w, log_w_path:          [L, M]      log p(x, z) - log q(z|x), the log-weight of each draw
"""

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
    """log p(x|z), [L, M], nats."""
    z: Tensor
    """The draws, [L, M, D]."""
    q: Posterior
    """q(z|x) of each image."""
    beta: Tensor | None = None
    """The weight of log p(z) - log q(z|x) in the training objective, a scalar. None stands for 1, as in all scoring."""

    @property
    def log_pz(self) -> Tensor:
        """log p(z), [L, M], nats."""
        return log_prior(self.z)

    @property
    def log_qz_x(self) -> Tensor:
        """log q(z|x), [L, M], nats."""
        return self.q.log_prob(self.z)

    @property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z|x), [L, M], nats: the log-weight of each draw.

        With `beta` it is log p(x|z) + beta (log p(z) - log q(z|x)).
        """
        return self._log_w(self.log_qz_x)

    @property
    def log_w_path(self) -> Tensor:
        """The values of `log_w` with another gradient, [L, M], nats.

        The encoder gets a gradient only through z, and none through the parameters of the density q(z|x).
        """
        return self._log_w(self.q.detach().log_prob(self.z))

    def _log_w(self, log_qz_x: Tensor) -> Tensor:
        """Return `log_w` for given log q(z|x). The order of the operations makes beta = 1 and None equal to the bit."""
        if self.beta is None:
            return self.log_px_z + self.log_pz - log_qz_x
        return self.log_px_z + self.beta * self.log_pz - self.beta * log_qz_x

    def scale_path(self, weight: Tensor | float) -> None:
        """Multiply the gradient that flows back through z by `weight`, which is a number or [L, M]."""
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
    beta: Tensor | None = None,
) -> Terms:
    """Encode x, draw z, decode z, and return the parts of the bound.

    If gradients are enabled and there are more than `max_rows` draws (L M), they are decoded in chunks to limit memory.
    The gradient is the same.

    Args:
        model: the VAE.
        x: the images, [M, P].
        eps: the noise of the draws, [L, M, D].
        log_guard: the constant inside logarithms of outputs; above 0 only in training.
        q: the posterior of x, if x is encoded already.
        likelihood: the distribution by which x is scored, instead of the model's own.
        beta: the weight of the KL, a scalar; only in training.
    """
    q = model.encode(x, log_guard) if q is None else q
    p = model.likelihood if likelihood is None else likelihood
    z = q.draw(eps)

    def decode(x: Tensor, z: Tensor) -> Tensor:
        return p.log_prob(x, model.decode(z), log_guard)

    most = max_rows(p.heads, model.config.architecture)
    if z[..., 0].numel() <= most or not torch.is_grad_enabled():
        return Terms(decode(x, z), z, q, beta)
    parameters = list(model.parameters())
    columns = []
    for xs, zs in zip(x.split(most), z.split(most, dim=1), strict=True):
        chunks = zs.split(max(1, most // len(xs)))
        columns.append(torch.cat([_Recomputed.apply(decode, xs, chunk, *parameters) for chunk in chunks]))
    return Terms(torch.cat(columns, dim=1), z, q, beta)


class _Recomputed(torch.autograd.Function):
    """decode(x, z) without stored activations: the backward pass computes decode(x, z) again.

    In a step, only the decoder's activations need much memory. The gradient of a chunk cannot be computed together with
    its log-likelihoods: the objective's derivative in them is not known yet, and it depends on all draws if importance
    weights couple the draws. So each chunk is computed twice. (`torch.utils.checkpoint` does the same, but keeps what
    it recomputed until the end of the step.)
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
