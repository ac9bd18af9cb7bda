"""Special functions made of `exp`, `log`, `erfc` and arithmetic, as torch's own are slow on CPUs: it vectorises none of
`log1p`, `expm1`, `asinh`, `log_ndtr` and `digamma`, nor `where` over masks that change from pixel to pixel.

A function in two pieces is added up, not selected: f(h) = g(max(h, c)) + s(min(h, c)) - s(c) for pieces g, s that agree
at c. So neither piece ever sees an input at which it is unstable, and no gradient is nan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SQRT_HALF = math.sqrt(0.5)
SQRT_2PI = math.sqrt(2 * math.pi)
TINY = 1e-30
FAR = 8.0  # standard deviations beyond which the normal tail takes its asymptotic series


def polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
    total = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total.add_(coefficient).mul_(x)
    return total.add_(coefficients[0])


def log1p_over(e: Tensor) -> Tensor:
    """ln(1 + e) / e for e in [0, 1], to rounding and 1 at 0: Kahan's quotient ln(u) / (u - 1) with u = 1 + e."""
    u = 1 + e
    return (u.log() + TINY) / (u - 1 + TINY)


def normal_density(z: Tensor) -> Tensor:
    """phi(z), the standard normal density."""
    return (z * z).mul_(-0.5).exp_().div_(SQRT_2PI)


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


BINET_FROM = 4.0  # above it the series is exact to 3e-11
_BINET = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def binet(z: Tensor) -> tuple[Tensor, Tensor]:
    """(mu(z), mu'(z)) for z > 0, where ln Gamma(z) = (z - 1/2) ln z - z + ln(2 pi) / 2 + mu(z): Binet's function.

    Sums of ln Gamma that cancel do so in their large parts by algebra, and only the small mu is left to compute.
    Above BINET_FROM Stirling's series; below, the recurrence of Gamma first.
    """
    high, low = z.clamp_min(BINET_FROM), z.clamp_max(BINET_FROM)
    value, slope = _stirling(high)
    low_value, low_slope = _shifted(low)
    return value.add_(low_value).sub_(_AT[0]), slope.add_(low_slope).sub_(_AT[1])


def _stirling(z: Tensor) -> tuple[Tensor, Tensor]:
    r = z.reciprocal()
    r2 = r * r
    value = polynomial(r2, _BINET).mul_(r)
    slope = polynomial(r2, [-(2 * i + 1) * c for i, c in enumerate(_BINET)]).mul_(r2)
    return value, slope


def _shifted(z: Tensor) -> tuple[Tensor, Tensor]:
    """The same for small z: ln Gamma(z) = ln Gamma(z + 4) - ln(z (z + 1) (z + 2) (z + 3))."""
    product, harmonic = z.clone(), z.reciprocal()
    for k in (1, 2, 3):
        product.mul_(z + k)
        harmonic.add_((z + k).reciprocal_())
    up = z + 4
    value, slope = _stirling(up)
    log_z, log_up = z.log(), up.log()
    value.add_((up - 0.5).mul_(log_up)).sub_(4).sub_(product.log_()).sub_((z - 0.5).mul_(log_z))
    slope.add_(log_up).sub_(up.reciprocal_().mul_(0.5)).sub_(harmonic).sub_(log_z).add_(z.reciprocal().mul_(0.5))
    return value, slope


_AT = tuple(float(part) for part in _stirling(torch.tensor(BINET_FROM, dtype=torch.float64)))
