"""Special functions made of `exp`, `log`, `erfc` and arithmetic, as torch's own are slow on CPUs: it vectorises none of
`log1p`, `expm1`, `asinh`, `log_ndtr` and `digamma`, nor `where` over masks that change from pixel to pixel.

A function in two pieces is added up, not selected: f(h) = g(max(h, c)) + s(min(h, c)) - s(c) for pieces g, s that agree
at c. So neither piece ever sees an input at which it is unstable, and no gradient is nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SQRT_HALF = math.sqrt(0.5)
SQRT_2PI = math.sqrt(2 * math.pi)
LOG2_E = math.log2(math.e)
TINY = 1e-30
FAR = 8.0  # standard deviations beyond which the normal tail takes its asymptotic series


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
    total = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total.add_(coefficient).mul_(x)
    return total.add_(coefficients[0])


def exp(x: Tensor, sign: float = 1.0) -> Tensor:
    """e^(sign x) as a power of two; its relative error is |x| times rounding, no more than rounding x made already.

    torch leaves float32's `exp` to MKL, which on AMD processors takes 2.5 times as long as this.
    """
    return (x * (sign * LOG2_E)).exp2_()


def mask(compare: Callable[..., Tensor], a: Tensor, b: Tensor | float) -> Tensor:
    """`compare(a, b)` as numbers 0 and 1 of a's type: an eighth of the time of booleans that are then converted."""
    return compare(a, b, out=torch.empty_like(a))


def log1p_over(e: Tensor) -> Tensor:
    """ln(1 + e) / e for e in [0, 1], to rounding and 1 at 0: Kahan's quotient ln(u) / (u - 1) with u = 1 + e."""
    u = 1 + e
    return (u.log() + TINY) / (u - 1 + TINY)


def normal_density(z: Tensor) -> Tensor:
    """phi(z), the standard normal density."""
    return exp((z * z).mul_(-0.5)).div_(SQRT_2PI)


def normal_cdf(z: Tensor) -> Tensor:
    """Phi(z), exact in the lower tail down to where it underflows."""
    return (z * -SQRT_HALF).erfc_().mul_(0.5)


def log_normal_cdf(z: Tensor) -> tuple[Tensor, Tensor]:
    """(ln Phi(z), its slope phi(z) / Phi(z)) for any z.

    Beyond FAR the asymptotic series of Mills' ratio, Abramowitz & Stegun 1964, 26.2.12: its error there is below 1e-7.
    """
    near, far = z.clamp_min(-FAR), (-z).clamp_min_(FAR)
    cdf = normal_cdf(near)
    series = _mills(far)
    log_tail = (far * far).mul_(-0.5).sub_(far.log()).add_(series.log())
    value = cdf.log().add_(log_tail).sub_(-0.5 * FAR**2 - math.log(FAR) + math.log(_MILLS_FAR))
    slope = normal_density(near).div_(cdf).add_(far / series).sub_(FAR / _MILLS_FAR)
    return value, slope


_MILLS = (1.0, -1.0, 3.0, -15.0, 105.0, -945.0, 10395.0, -135135.0)
_MILLS_FAR = sum(c / FAR ** (2 * i) for i, c in enumerate(_MILLS))


def _mills(t: Tensor) -> Tensor:
    """t (1 - Phi(t)) / phi(t) for t at or above FAR."""
    return polynomial((t * t).reciprocal_(), _MILLS)


BINET_FROM = 4.0  # above it the series is exact to 5e-10
_BINET = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_BINET_SLOPE = tuple(-(2 * i + 1) * c for i, c in enumerate(_BINET))
_AT = tuple(sum(c / BINET_FROM ** (2 * i + p) for i, c in enumerate(cs)) for p, cs in ((1, _BINET), (2, _BINET_SLOPE)))


def binet(z: Tensor, slope: bool = True) -> tuple[Tensor, Tensor | None]:
    """(mu(z), mu'(z) if wanted) for z > 0, where ln Gamma(z) = (z - 1/2) ln z - z + ln(2 pi) / 2 + mu(z): Binet's mu.

    Sums of ln Gamma that cancel do so in their large parts by algebra, and only the small mu is left to compute.
    Above BINET_FROM Stirling's series (Abramowitz & Stegun 1964, 6.1.40); below, first the recurrence
    ln Gamma(z) = ln Gamma(z + 4) - ln(z (z + 1) (z + 2) (z + 3)).
    """
    high, low = z.clamp_min(BINET_FROM).reciprocal_(), z.clamp_max(BINET_FROM)
    up = low + 4
    r = up.reciprocal()
    log_low, log_up = low.log(), up.log()
    product = (low + 1).mul_(low).mul_(low + 2).mul_(low + 3).log_()
    value = _stirling(high).add_(_stirling(r)).addcmul_(up - 0.5, log_up).sub_(product)
    value.sub_((low - 0.5).mul_(log_low)).sub_(4 + _AT[0])
    if not slope:
        return value, None
    by_z = _stirling_slope(high).add_(_stirling_slope(r)).add_(log_up).sub_(log_low).sub_(r, alpha=0.5)
    by_z.sub_(low.reciprocal(), alpha=0.5)
    for k in (1, 2, 3):
        by_z.sub_((low + k).reciprocal_())
    return value, by_z.sub_(_AT[1])


def _stirling(r: Tensor) -> Tensor:
    """mu(1 / r)."""
    return polynomial(r * r, _BINET).mul_(r)


def _stirling_slope(r: Tensor) -> Tensor:
    """mu'(1 / r)."""
    square = r * r
    return polynomial(square, _BINET_SLOPE).mul_(square)
