"""The sigma parameterisations: how the raw output of a network's last layer becomes a scale.

They serve the encoder's sigma (field `sigma`) and the decoder's scale (field `decoder_sigma`). A parameterisation is a
subclass of `Sigma` and a `SigmaSpec` in `vaestudy/model/registry.py`.

Shapes: a parameterisation is called with the raw output [..., D] and returns (sigma, log_variance), both [..., D].

* sigma is the factor of the noise, log_variance is ln sigma^2. Each is computed by the formula that is exact for the
  parameterisation.
* sigma may be negative if the parameterisation allows it, because only sigma * eps and sigma^2 are used.
* A floor is applied to the output, not to sigma. This is possible because sigma (for `raw` and `abs`, its magnitude) is
  monotone in the output (in the output's magnitude). So no formula is computed below the floor. An output below the
  floor gets no gradient.
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
    """A value with a derivative in `output` that is known in closed form."""

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
    """Return `value` with the gradient `slope` in `output`; all [..., D]."""
    result: Tensor = _ClosedFormSlope.apply(output, value, slope)
    return result


def clamped(output: Tensor, low: float, high: float) -> Tensor:
    """Return `output.clamp(low, high)`. The gradient of torch's own `clamp` takes twenty times as long on CPUs."""
    with torch.no_grad():
        limited = output.clamp(low, high)
        free = mask(torch.eq, limited, output)
    return _with_slope(output, limited, free)


class Sigma(ABC):
    """A parameterisation of a positive scale."""

    def __init__(self, bounds: tuple[float, float] = (0.0, math.inf)) -> None:
        """Set the bounds.

        Args:
            bounds: the open interval in which sigma lies, as declared in the spec.
        """
        self.bounds = bounds

    @abstractmethod
    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return ln sigma^2: output [..., D] -> [..., D].

        `log_guard` is a constant that is added inside the logarithm, if the logarithm is of the output itself.
        """

    @abstractmethod
    def inverse(self, sigma: float) -> float:
        """Return the output that gives this sigma. It is infinite if no output does."""

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return (sigma, ln sigma^2): output [..., D] -> both [..., D]."""
        log_variance = self.log_variance(output, log_guard)
        return torch.exp(0.5 * log_variance), log_variance

    def limit(self, output: Tensor, floor: float, ceiling: float = math.inf) -> Tensor:
        """Return the output, clamped so that sigma lies in [floor, ceiling]. A clamped output gets no gradient."""
        return clamped(output, self.inverse(floor) if floor else -math.inf, self.inverse(ceiling))

    def at_floor(self, output: Tensor, floor: float) -> Tensor:
        """Return where `limit` clamps sigma to its floor: booleans in the shape of `output`."""
        return output <= self.inverse(floor) if floor else torch.zeros_like(output, dtype=torch.bool)


class Raw(Sigma):
    """sigma = the output itself, with either sign, as in the article; log_variance = ln(sigma^2 + log_guard)."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return torch.log(output.square() + log_guard)

    def inverse(self, sigma: float) -> float:
        return sigma

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        return output, self.log_variance(output, log_guard)

    def limit(self, output: Tensor, floor: float, ceiling: float = math.inf) -> Tensor:
        with torch.no_grad():
            limited = torch.copysign(output.abs().clamp_(floor, ceiling), output)
            free = mask(torch.eq, limited, output)
        return _with_slope(output, limited, free)

    def at_floor(self, output: Tensor, floor: float) -> Tensor:
        return output.abs() <= floor


class Abs(Raw):
    """sigma = |output|; log_variance = ln(sigma^2 + log_guard)."""

    def __call__(self, output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        return output.abs(), self.log_variance(output, log_guard)


class LogVariance(Sigma):
    """ln sigma^2 = the output (Kingma & Welling 2013, appendix C.2). It takes no logarithm and ignores `log_guard`."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return output

    def inverse(self, sigma: float) -> float:
        return 2 * math.log(sigma)


class LogScale(Sigma):
    """ln sigma = the output. As `log-variance`, but a step of the output changes ln sigma twice as much."""

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
            # ln sigma = min(a, 0) + ln q. So ln sigma is still a if e^a underflows.
            q = log1p_over(e) * (-above).exp_() + above
            value, slope = 2 * (a.clamp_max(0) + q.log()), 2 / ((1 + e) * q)
        return _with_slope(output, value, slope)

    def inverse(self, sigma: float) -> float:
        return sigma + math.log(-math.expm1(-sigma)) - self.SHIFT


class UnshiftedSoftplus(Softplus):
    """sigma = ln(1 + e^output), so that sigma(0) = ln 2, as published programs have it."""

    SHIFT = 0.0


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
    """sigma = e^output if the output is below 0, else 1 + output."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        with torch.no_grad():
            linear = 1 + output.clamp_min(0)
            value = 2 * (output.clamp_max(0) + linear.log())
        return _with_slope(output, value, 2 / linear)

    def inverse(self, sigma: float) -> float:
        return math.log(sigma) if sigma < 1 else sigma - 1


class Bounded(Sigma):
    """sigma = lo + (hi - lo) sigmoid(output); lo and hi are the bounds."""

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
    made: Sigma = spec.load()(spec.bounds)
    return made
