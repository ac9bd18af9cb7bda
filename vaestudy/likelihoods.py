"""LIKELIHOODS: name -> p(x|z), independent over pixels.

Shapes: L samples, M minibatch, P pixels.
    x:        [M, P]
    head:     [L, M, heads * P]   the decoder's raw output; the likelihood says how many heads per pixel it needs
    log_prob: [L, M]              nats, summed over pixels

A member is a class with the attributes and methods of `Likelihood`, plus one line in the dict at the foot. The order
of calls in a run: `heads` when the decoder is built, `log_prob` at each step and in scoring, `mean` and `sample` for
pictures.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

FACTORS = 98  # (1/2)^98 is far from underflow in float32, and 784 = 8 * 98


class Likelihood(Protocol):
    """What the decoder's distribution must offer."""

    heads: int
    """Decoder outputs per pixel."""
    family: str
    """Log-likelihoods may be ranked against each other only within one family (same kind of measure on x)."""

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """log p(x|z), nats: x [M, P], head [L, M, heads * P] -> [L, M]."""

    def mean(self, head: Tensor) -> Tensor:
        """E[x|z], [..., P]."""

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        """x ~ p(x|z), [..., P]."""


class _BernoulliLogProb(torch.autograd.Function):
    """sum_p x a - ln(1 + e^a), with the gradient x - y in closed form, y = sigmoid(a).

    ln(1 + e^a) = max(a, 0) - ln max(y, 1 - y). `sigmoid` is vectorised on CPUs where `log1p` and `softplus` are not;
    as the factors max(y, 1 - y) lie in [1/2, 1], one logarithm does for the product of many. Rounding y to float32
    costs some 1e-7 nats a pixel.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor) -> Tensor:
        if ctx.needs_input_grad[1]:
            y = a.sigmoid()
            ctx.save_for_backward(x, y)
            larger = 1 - y
            torch.maximum(y, larger, out=larger)
        else:
            larger = a.abs().sigmoid_()  # scoring keeps nothing
        rest: Tensor = larger.unflatten(-1, (-1, math.gcd(larger.shape[-1], FACTORS))).prod(-1).log_().sum(-1)
        # Taken pixel by pixel, max(a, 0) - x a is exact for x of 0 or 1, where the two would cancel later.
        value: Tensor = rest.sub_(a.clamp_min(0).addcmul_(x, a, value=-1).sum(-1))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        x, y = ctx.saved_tensors
        return None, (x - y).mul_(grad.unsqueeze(-1))


class _GuardedBernoulliLogProb(torch.autograd.Function):
    """sum_p x ln(y + g) + (1 - x) ln(1 - y + g) with y = sigmoid(a): the article's loss, gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, guard: float) -> Tensor:
        y = a.sigmoid()
        ctx.save_for_backward(x, y)
        ctx.guard = guard
        on, off = (y + guard).log_(), (1 - y).add_(guard).log_()
        return torch.addcmul(off, x, on.sub_(off)).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        x, y = ctx.saved_tensors
        off = 1 - y
        slope = x / (y + ctx.guard) - (1 - x) / (off + ctx.guard)
        return None, slope.mul_(y).mul_(off).mul_(grad.unsqueeze(-1)), None


class Bernoulli:
    """p(x|z) = prod_p y^x (1 - y)^(1 - x), y = sigmoid(head).

    A probability of x where pixels are 0 or 1 (`binarised`, `stochastic`). On grey x it is minus the cross-entropy,
    which is no normalised density, but the bound built on it is below the expected bound on pixels drawn as
    Bernoulli(x), since log p is linear in x.
    """

    heads = 1
    family = "bernoulli"

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """log p(x|z); with a `log_guard` above 0 the article's guarded logarithms instead, for training only."""
        value: Tensor = (
            _GuardedBernoulliLogProb.apply(x, head, log_guard) if log_guard else _BernoulliLogProb.apply(x, head)
        )
        return value

    def mean(self, head: Tensor) -> Tensor:
        return head.sigmoid()

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(head.sigmoid(), generator=generator)


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Bernoulli(),
}
