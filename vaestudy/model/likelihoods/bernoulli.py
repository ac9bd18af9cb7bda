"""The Bernoulli and the continuous Bernoulli.

The continuous Bernoulli is the density on grey pixels that has the form of the Bernoulli.

Letters: a is the head, y = sigmoid(a).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaestudy.config.registry import LIKELIHOODS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import Likelihood, summed_log_prob, uniform_like
from vaestudy.model.special import exp, polynomial

FACTORS = 98
"""The largest number of factors in a product: (1/2)^98 is far from underflow in float32, and 784 = 8 * 98."""


@functools.cache
def factors(pixels: int) -> int:
    """Return the largest divisor of the number of pixels that is at most `FACTORS`."""
    return max(divisor for divisor in range(1, FACTORS + 1) if pixels % divisor == 0)


class _BernoulliLogProb(torch.autograd.Function):
    """sum_p x a - ln(1 + e^a), with the gradient x - y in closed form, y = sigmoid(a).

    It is computed by ln(1 + e^a) = max(a, 0) - ln max(y, 1 - y). On CPUs torch vectorises `sigmoid`, but not `log1p`
    and `softplus`. The factors max(y, 1 - y) lie in [1/2, 1], so one logarithm is enough for the product of many
    factors. The rounding of y to float32 causes an error of about 1e-7 nats per pixel.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor) -> Tensor:
        if ctx.needs_input_grad[1]:
            y = a.sigmoid()
            ctx.save_for_backward(x, y)
            larger = 1 - y
            torch.maximum(y, larger, out=larger)
        else:
            larger = a.abs().sigmoid_()  # scoring needs no gradient, so nothing is saved
        rest: Tensor = larger.unflatten(-1, (-1, factors(larger.shape[-1]))).prod(-1).log_().sum(-1)
        # max(a, 0) - x a is computed pixel by pixel, before the sum: so it is exact if x is 0 or 1. In separate sums
        # the two terms would cancel only after rounding.
        value: Tensor = rest.sub_(a.clamp_min(0).addcmul_(x, a, value=-1).sum(-1))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        x, y = ctx.saved_tensors
        return None, (x - y).mul_(grad.unsqueeze(-1))


class _GuardedBernoulliLogProb(torch.autograd.Function):
    """sum_p x ln(y + g) + (1 - x) ln(1 - y + g) with y = sigmoid(a) and the guard g; the gradient is in closed form.

    This is the log-likelihood in the article's loss.
    """

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


class Bernoulli(Likelihood):
    """p(x|z) = prod_p y^x (1 - y)^(1 - x), y = sigmoid(head).

    If pixels are 0 or 1 (`binarised`, `stochastic`, `binarised-once`), it is a probability of x. On grey x it is minus
    the cross-entropy, which is not a normalised density. But log p is linear in x, so the bound computed with grey x is
    below the expected bound on pixels drawn from Bernoulli(x).
    """

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        self.implied = ContinuousBernoulli(config, LIKELIHOODS["continuous-bernoulli"])
        self.of_mean = ContinuousBernoulliOfMean(config, LIKELIHOODS["continuous-bernoulli"])

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return log p(x|z). A `log_guard` above 0 selects the article's guarded logarithms, for training only."""
        value: Tensor = (
            _GuardedBernoulliLogProb.apply(x, head, log_guard) if log_guard else _BernoulliLogProb.apply(x, head)
        )
        return value

    @torch.no_grad()
    def head_slope(self, x: Tensor, head: Tensor) -> Tensor:
        y = head.sigmoid()
        return torch.sub(x, y, out=y)

    def mean(self, head: Tensor) -> Tensor:
        return head.sigmoid()

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(head.sigmoid(), generator=generator)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        return 1 - head.sigmoid() * (x < 1)

    @property
    def normalised(self) -> Likelihood:
        """The continuous Bernoulli with the same head."""
        return self.implied

    @property
    def with_same_mean(self) -> Likelihood:
        """The continuous Bernoulli with the same mean."""
        return self.of_mean


class ContinuousBernoulli(Likelihood):
    """p(x|z) = prod_p C(y) y^x (1 - y)^(1 - x) on [0, 1], y = sigmoid(head) (Loaiza-Ganem & Cunningham 2019).

    C(y) = 2 artanh(1 - 2y) / (1 - 2y). As a function of the head a, p(x) = a e^(a x) / (e^a - 1): an exponential
    density restricted to [0, 1]. With h = |a|, ln((e^a - 1) / a) = max(a, 0) + R(h), where R(h) = ln((1 - e^-h) / h).
    R is computed by its series if h is small.
    """

    SMALL = 0.5  # for h below this the series is exact to 2e-13

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return log p(x|z). `log_guard` is ignored, because no logarithm of an output is taken."""
        return summed_log_prob(_continuous_bernoulli, x, head)

    def mean(self, head: Tensor) -> Tensor:
        """Return y / (2y - 1) + 1 / (2 artanh(1 - 2y)), which is the slope of ln((e^a - 1) / a)."""
        return _log_normaliser(head)[1]

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x by the inverse of the distribution function."""
        u, h = uniform_like(head, generator).double(), head.double().abs().clamp_min(1e-9)
        falling = -torch.log1p(u * torch.expm1(-h)) / h
        return torch.where(head > 0, 1 - falling, falling).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        a, h = head.double(), head.double().abs().clamp_min(1e-9)
        near = torch.where(a > 0, 1 - x, x)  # the distance to the border at which the density is highest
        falling = torch.expm1(-h * near) / torch.expm1(-h)
        return torch.where(a > 0, 1 - falling, falling)


class ContinuousBernoulliOfMean(ContinuousBernoulli):
    """The continuous Bernoulli whose mean, and not its parameter, is y = sigmoid(head).

    It is for scoring alone: the head is not differentiated.
    """

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return super().log_prob(x, head_of_mean(head))

    def mean(self, head: Tensor) -> Tensor:
        return head.sigmoid()

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return super().sample(head_of_mean(head), generator)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        return super().cdf(x, head_of_mean(head))


_STEPS, _LARGEST = 512, 32  # entries of the table for each unit of the head, and its last head


def head_of_mean(a: Tensor) -> Tensor:
    """Return the head b of the continuous Bernoulli that has the mean sigmoid(a). |a| is limited to 32.

    b is odd in a, about 3 a near 0, and about e^a where a is large. It has no closed form. So arsinh(b / 2), which is
    nearly straight, is interpolated in a table; the error is about 1e-7 of b.
    """
    table = _table().to(a.device, a.dtype)
    place = a.abs().clamp_max(_LARGEST - 1 / _STEPS).mul_(_STEPS)
    low = place.long()
    below = table[low]
    found = torch.lerp(below, table[low + 1], place - low)
    return found.sinh_().mul_(2).mul_(a.sign())


@functools.cache
def _table() -> Tensor:
    """Return arsinh(b / 2) at the heads 0, 1 / 512, ..., 32, by bisection in float64."""
    a = torch.arange(_LARGEST * _STEPS + 1, dtype=torch.float64) / _STEPS
    below, above = torch.zeros_like(a), 2 * a + 1
    for _ in range(60):
        middle = (below + above) / 2
        b = 2 * middle.sinh()
        # 1 - mean = 1/b - 1/(e^b - 1), which falls in b; near 0 its series loses no digits.
        rest = torch.where(b > 0.01, 1 / b - 1 / torch.expm1(b), 0.5 - b / 12 + b**3 / 720)
        too_low = rest > (-a).sigmoid()
        below, above = torch.where(too_low, middle, below), torch.where(too_low, above, middle)
    return (below + above) / 2


_SERIES = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)  # ln(sinh(h/2) / (h/2)) in powers of h^2
_SERIES_SLOPE = tuple(2 * (i + 1) * c for i, c in enumerate(_SERIES))


def _log_normaliser(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return (R(|a|), the slope of ln((e^a - 1) / a) in a): see `ContinuousBernoulli`."""
    c = ContinuousBernoulli.SMALL
    h = a.abs()
    large, small = h.clamp_min(c), h.clamp_max(c)
    q = exp(large, -1)
    rest = 1 - q
    square = small * small
    value = (rest / large).log_()
    value.add_(polynomial(square, _SERIES).mul_(square)).sub_(small, alpha=0.5).sub_(_SMALL_VALUE)
    slope = q.div_(rest).sub_(large.reciprocal_())
    slope.add_(polynomial(square, _SERIES_SLOPE).mul_(small)).sub_(_SMALL_SLOPE)
    # Now slope is R'(h) + 1/2, both below and above SMALL. So the mean is 1/2 + sign(a) slope.
    return value, slope.add_(0.5).mul_(a.sign()).add_(0.5)


_SMALL_VALUE = sum(k * ContinuousBernoulli.SMALL ** (2 * i + 2) for i, k in enumerate(_SERIES)) - (
    0.5 * ContinuousBernoulli.SMALL
)
_SMALL_SLOPE = sum(k * ContinuousBernoulli.SMALL ** (2 * i + 1) for i, k in enumerate(_SERIES_SLOPE))


def _continuous_bernoulli(with_slopes: bool, x: Tensor, a: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Return (log p of each pixel, (its slope in a,)); the slope needs no extra work."""
    rest, mean = _log_normaliser(a)
    # In this order the result is exact if x is 0 or 1, as in the Bernoulli.
    return (x * a).sub_(a.clamp_min(0)).sub_(rest), (x - mean,)
