"""SIGMAS: name -> how a head's raw output becomes a scale, in the encoder's head and in the decoder's.

A member is a class with the methods of `Sigma` plus one line in the dict at the foot. Called with the raw output
[..., D] it returns (sigma, log_variance), both [..., D]: the factor of the noise and ln sigma^2, each computed in the
way that is exact for the parameterisation. sigma may be negative where the parameterisation allows it, since only
sigma * eps and sigma^2 are ever used. A floor is put on the output, in which the parameterisation is monotone, so that
nothing is computed below it; an output below the floor gets no gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaestudy.config.registry import SIGMAS
from vaestudy.model.special import log1p_over, mask


class _ClosedFormSlope(torch.autograd.Function):
    """A value whose derivative by `output` is known in closed form."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None


def _with_slope(output: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    result: Tensor = _ClosedFormSlope.apply(output, value, slope)
    return result


def clamped(output: Tensor, low: float, high: float) -> Tensor:
    """`output.clamp(low, high)`, whose own gradient takes twenty times as long on CPUs."""
    with torch.no_grad():
        held = output.clamp(low, high)
        free = mask(torch.eq, held, output)
    return _with_slope(output, held, free)


class Sigma(ABC):
    """A parameterisation of a positive scale."""

    def __init__(self, bounds: tuple[float, float] = (0.0, math.inf)) -> None:
        """Args:
        bounds: the open interval in which sigma lies.
        """
        self.bounds = bounds

    @abstractmethod
    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        """ln sigma^2; a `log_guard` goes inside the logarithm where one is taken of the output itself."""

    @abstractmethod
    def inverse(self, sigma: float) -> float:
        """The output at which sigma takes this value; infinite where it never does."""

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        log_variance = self.log_variance(output, log_guard)
        return torch.exp(0.5 * log_variance), log_variance

    def limit(self, output: Tensor, floor: float, ceiling: float = math.inf) -> Tensor:
        """The output with sigma held in [floor, ceiling]."""
        return clamped(output, self.inverse(floor) if floor else -math.inf, self.inverse(ceiling))

    def at_floor(self, output: Tensor, floor: float) -> Tensor:
        """Where `limit` holds sigma at its floor: booleans like `output`."""
        return output <= self.inverse(floor) if floor else torch.zeros_like(output, dtype=torch.bool)


class Raw(Sigma):
    """sigma = the output itself, of either sign (the article's); ln(sigma^2 + log_guard)."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return torch.log(output.square() + log_guard)

    def inverse(self, sigma: float) -> float:
        return sigma

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        return output, self.log_variance(output, log_guard)

    def limit(self, output: Tensor, floor: float, ceiling: float = math.inf) -> Tensor:
        with torch.no_grad():
            held = torch.copysign(output.abs().clamp_(floor, ceiling), output)
            free = mask(torch.eq, held, output)
        return _with_slope(output, held, free)

    def at_floor(self, output: Tensor, floor: float) -> Tensor:
        return output.abs() <= floor


class Abs(Raw):
    """sigma = |output|; ln(sigma^2 + log_guard)."""

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        return output.abs(), self.log_variance(output, log_guard)


class LogVariance(Sigma):
    """ln sigma^2 = the output (Kingma & Welling 2013, appendix C.2). No logarithm is taken, so none is guarded."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return output

    def inverse(self, sigma: float) -> float:
        return 2 * math.log(sigma)


class LogScale(Sigma):
    """ln sigma = the output: the same family as `log-variance`, with steps of twice the size."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return 2 * output

    def inverse(self, sigma: float) -> float:
        return math.log(sigma)


class Softplus(Sigma):
    """sigma = ln(1 + e^(output + c)) with c = ln(e - 1), so that sigma(0) = 1 (Dugas et al. 2001)."""

    SHIFT = math.log(math.expm1(1))

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        with torch.no_grad():
            a = output + self.SHIFT
            above = a.clamp_min(0)
            e = a.abs().neg_().exp_()
            # ln sigma = min(a, 0) + ln q: where e^a underflows, ln sigma is still a.
            q = log1p_over(e) * (-above).exp_() + above
            value, slope = 2 * (a.clamp_max(0) + q.log()), 2 / ((1 + e) * q)
        return _with_slope(output, value, slope)

    def inverse(self, sigma: float) -> float:
        return sigma + math.log(-math.expm1(-sigma)) - self.SHIFT


class Squareplus(Sigma):
    """sigma = (output + sqrt(output^2 + 4)) / 2, hence ln sigma = asinh(output / 2) (Barron 2021)."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        with torch.no_grad():
            root = (output * output + 4).sqrt_()
            value = 2 * output.sign() * ((output.abs() + root) / 2).log_()
        return _with_slope(output, value, 2 / root)

    def inverse(self, sigma: float) -> float:
        return sigma - 1 / sigma


class ExpLinear(Sigma):
    """sigma = e^output below 0, 1 + output above."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        with torch.no_grad():
            linear = 1 + output.clamp_min(0)
            value = 2 * (output.clamp_max(0) + linear.log())
        return _with_slope(output, value, 2 / linear)

    def inverse(self, sigma: float) -> float:
        return math.log(sigma) if sigma < 1 else sigma - 1


class Bounded(Sigma):
    """sigma = lo + (hi - lo) sigmoid(output), with lo and hi the bounds."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        lo, hi = self.bounds
        return 2 * (lo + (hi - lo) * output.sigmoid()).log()

    def inverse(self, sigma: float) -> float:
        lo, hi = self.bounds
        if not lo < sigma < hi:
            return math.copysign(math.inf, sigma - (lo + hi) / 2)
        return math.log((sigma - lo) / (hi - sigma))


def make_sigma(name: str) -> Sigma:
    """Return the parameterisation called `name`."""
    spec = SIGMAS[name]
    made: Sigma = SIGMAS.load(name)(spec.bounds)
    return made
