"""The Gaussian likelihoods: on the real line, truncated to [0, 1], clipped to [0, 1], and in logit space.

Letters: m location, s scale, t = ln s, w the width of a grey value's cell. m, s and t are per pixel; s and t may also
be one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from vaestudy.config.registry import LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import CELL_WIDTH, CLIP, Scaled, normal_like, summed_log_prob, uniform_like
from vaestudy.model.special import SQRT_2PI, SQRT_HALF, exp, log_normal_cdf, mask, normal_cdf, normal_density

LOG_SQRT_2PI = math.log(SQRT_2PI)


def _gaussian(with_slopes: bool, x: Tensor, m: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (ln N(x; m, s^2) of each pixel, its slopes in m and t if `with_slopes`)."""
    inverse = exp(t, -1)
    z = (x - m).mul_(inverse)
    square = z * z
    value = (square * -0.5).sub_(t + LOG_SQRT_2PI)
    return value, (z.mul_(inverse), square.sub_(1)) if with_slopes else ()


class Gaussian(Scaled):
    """N(x; m, s^2). m is the head or its sigmoid; s is per pixel, one learned or fixed number, or the optimal number.

    The optimal s^2 is the mean squared error. In training it is that of the current minibatch (Rybkin et al. 2021): the
    gradient is then that of the bound with the fitted scale. After training it is that of all train images, and it
    stays fixed while the run is scored. On grey pixels, which lie on a lattice, only the floor of s limits the density.
    """

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        self.squashed = config.likelihood_mean == "squashed"

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return log p(x|z). In training with the optimal scale, first set the scale to that of the minibatch."""
        if self.kind == "optimal" and self.training and torch.is_grad_enabled():
            self.set_scale((x - self.mean(head)).detach().square().mean())
        location, t = self.parts(head, log_guard)
        m = location.sigmoid() if self.squashed else location
        return summed_log_prob(_gaussian, x, m, t)

    def fit_scale(self, mean_square: Callable[[], Tensor]) -> None:
        if self.kind == "optimal":
            self.set_scale(mean_square())

    def set_scale(self, mean_square: Tensor) -> None:
        """Set the optimal scale from a mean squared error.

        The buffer is written in place, because a traced step always writes to the same memory.
        """
        self.log_scale.copy_((0.5 * mean_square.log()).clamp(math.log(self.floor), math.log(self.ceiling)))

    def mean(self, head: Tensor) -> Tensor:
        location = self.parts(head)[0]
        return location.sigmoid() if self.squashed else location

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        m = self.mean(head)
        return m + self.parts(head)[1].exp() * normal_like(m, generator)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        return normal_cdf((x - self.mean(head)) * (-self.parts(head)[1]).exp())


class TruncatedGaussian(Scaled):
    """N(x; m, s^2) / (Phi((1 - m) / s) - Phi(-m / s)) on [0, 1]. m is the head, clamped to [-REACH s, 1 + REACH s].

    Clamping is no loss: with m further away the density falls exponentially from the border, and a smaller s gives such
    a density as well. If m is above 1/2, everything is computed for the reflected density, with 1 - m. Then both terms
    of the normaliser are in the tail in which `erfc` is exact.
    """

    REACH = 8.0

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return summed_log_prob(_truncated_gaussian, x, *self.parts(head, log_guard))

    def _reflected(self, head: Tensor) -> tuple[Tensor, ...]:
        """Return (whether m is reflected, m, s, mass above the lower border, mass above the upper border), float64.

        m is the location after the reflection. The masses are those of N(m, s^2) above 0 and above 1.
        """
        location, t = (part.double() for part in self.parts(head))
        s, high = t.exp(), location > 0.5
        m = torch.maximum(torch.where(high, 1 - location, location), -self.REACH * s)
        return high, m, s, normal_cdf(m / s), normal_cdf((m - 1) / s)

    def mean(self, head: Tensor) -> Tensor:
        high, m, s, low, up = self._reflected(head)
        mean = m + s * (normal_density(m / s) - normal_density((1 - m) / s)) / (low - up)
        return torch.where(high, 1 - mean, mean).to(head.dtype)

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x by the inverse of the distribution function."""
        high, m, s, low, up = self._reflected(head)
        x = (m - s * torch.special.ndtri(low - (low - up) * uniform_like(m, generator))).clamp(0, 1)
        return torch.where(high, 1 - x, x).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        high, m, s, low, up = self._reflected(head)
        below = (low - normal_cdf((m - torch.where(high, 1 - x, x)) / s)) / (low - up)
        return torch.where(high, 1 - below, below)


def _truncated_gaussian(with_slopes: bool, x: Tensor, location: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (log p of each pixel, its slopes in the location and in t if `with_slopes`)."""
    reach, inverse = exp(t).mul_(TruncatedGaussian.REACH), exp(t, -1)
    m = torch.minimum(torch.maximum(location, -reach), 1 + reach)
    value, slopes = _gaussian(with_slopes, x, m, t)
    high = mask(torch.gt, m, 0.5)
    side = 1 - 2 * high
    near = m * side + high  # the reflected m, below 1/2
    a, b = -near * inverse, (1 - near).mul_(inverse)
    mass = (a * SQRT_HALF).erfc_().sub_((b * SQRT_HALF).erfc_()).mul_(0.5)
    value.sub_(mass.log())
    if not with_slopes:
        return value, ()
    slope_m, slope_t = slopes
    density_a, density_b = normal_density(a).div_(mass), normal_density(b).div_(mass)
    slope_m.sub_((density_a - density_b).mul_(inverse).mul_(side))
    slope_t.sub_(density_a.mul_(a)).add_(density_b.mul_(b))
    # A clamped m is -REACH s or 1 + REACH s: it depends on t instead of on the head.
    clamped = mask(torch.ne, m, location)
    slope_t.sub_((slope_m * reach).mul_(side).mul_(clamped))
    return value, (slope_m.mul_(1 - clamped), slope_t)


class ClippedGaussian(Scaled):
    """N(m, s^2) clipped to [0, 1]: the mass beyond a border is moved to the border.

    m is the head itself, without a sigmoid: a border has most of the mass only if m lies beyond it.

    The borders are the grey values 0 and 255. On dequantised pixels, a point mass on a grey value is spread evenly over
    the grey value's cell of width w = 1/256. So the density is Phi((w - m) / s) / w in the first cell,
    Phi((m - 1 + w) / s) / w in the last cell, and the Gaussian's density between them.
    """

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        location, t = self.parts(head, log_guard)
        return summed_log_prob(_clipped_gaussian, x, location, t)

    def _standardised(self, head: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (m, s, (w - m) / s, (1 - w - m) / s) in float64."""
        location, t = self.parts(head)
        m, s = location.double(), t.double().exp()
        return m, s, (CELL_WIDTH - m) / s, (1 - CELL_WIDTH - m) / s

    def mean(self, head: Tensor) -> Tensor:
        m, s, a, b = self._standardised(head)
        low, high = normal_cdf(a), normal_cdf(-b)
        borders = low * (CELL_WIDTH / 2) + high * (1 - CELL_WIDTH / 2)
        middle = m * (normal_cdf(b) - low) + s * (normal_density(a) - normal_density(b))
        return (borders + middle).to(head.dtype)

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        m, s, _, _ = self._standardised(head)
        x, u = m + s * normal_like(m, generator), CELL_WIDTH * uniform_like(m, generator)
        x = torch.where(x < CELL_WIDTH, u, x)
        return torch.where(x >= 1 - CELL_WIDTH, 1 - CELL_WIDTH + u, x).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        m, s, a, b = self._standardised(head)
        low, high = (x / CELL_WIDTH).clamp_max(1), ((x - 1 + CELL_WIDTH) / CELL_WIDTH).clamp_min(0)
        inner = normal_cdf((x.clamp(CELL_WIDTH, 1 - CELL_WIDTH) - m) / s) - normal_cdf(a)
        return low * normal_cdf(a) + inner + high * normal_cdf(-b)


def _clipped_gaussian(with_slopes: bool, x: Tensor, m: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (log p of each pixel, its slopes in m and t if `with_slopes`).

    Masks are numbers, and the formulas of the borders and of the middle are both computed for every pixel. This is
    cheaper than `where`, and both formulas are finite everywhere.
    """
    value, slopes = _gaussian(with_slopes, x, m, t)
    inverse = exp(t, -1)
    high = mask(torch.ge, x, 1 - CELL_WIDTH)
    border = mask(torch.lt, x, CELL_WIDTH).add_(high)
    side = 1 - 2 * high  # z = (w - m) / s at the lower border, (m - 1 + w) / s at the upper
    z = (CELL_WIDTH - m + high * (1 - 2 * CELL_WIDTH)).mul_(inverse).mul_(side)
    log_mass, ratio = log_normal_cdf(z)
    value.add_(log_mass.sub_(math.log(CELL_WIDTH)).sub_(value).mul_(border))
    if not with_slopes:
        return value, ()
    slope_m, slope_t = slopes
    slope_m.add_((ratio * inverse).mul_(side).neg_().sub_(slope_m).mul_(border))
    slope_t.add_(ratio.mul_(z).neg_().sub_(slope_t).mul_(border))
    return value, (slope_m, slope_t)


class LogitNormal(Scaled):
    """ln x - ln(1 - x) ~ N(m, s^2). m is the head itself. x is clamped to [2^-24, 1 - 2^-24]."""

    # The logistic distribution as a mixture of normals (Monahan & Stefanski 1992, table 22.4): weights, inverse scales.
    MIXTURE: ClassVar = (
        (0.003246343272134, 1.365340806296348),
        (0.051517477033972, 1.059523971016916),
        (0.195077912673858, 0.830791313765644),
        (0.315569823632818, 0.650732166639391),
        (0.274149576158423, 0.508135425366489),
        (0.131076880695470, 0.396313345166341),
        (0.027912418727972, 0.308904252267995),
        (0.001449567805354, 0.238212616409306),
    )

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        m, t = self.parts(head, log_guard)
        x = x.clamp(CLIP, 1 - CLIP)
        log_x, log_rest = x.log(), (1 - x).log_()
        value = summed_log_prob(_gaussian, log_x - log_rest, m, t)
        return value - (log_x + log_rest).sum(-1)

    def mean(self, head: Tensor) -> Tensor:
        """Return E[sigmoid(m + s eps)], exact to 1e-8.

        The sigmoid is approximated by a mixture of normal distribution functions.
        """
        m, t = self.parts(head)
        variance = (2 * t).exp()
        return sum(
            (weight * normal_cdf(k * m / (1 + k**2 * variance).sqrt()) for weight, k in self.MIXTURE),
            start=torch.zeros_like(m),
        )

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        m, t = self.parts(head)
        return (m + t.exp() * normal_like(m, generator)).sigmoid_()

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        m, t = self.parts(head)
        return normal_cdf((torch.logit(x.clamp(CLIP, 1 - CLIP)) - m) * (-t).exp())
