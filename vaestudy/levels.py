"""Masses on the 256 grey levels: a pixel is the level v whose cell [v / 256, (v + 1) / 256) holds it, whether it was
dequantised or not (v / 255 lies in that cell, too)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vaestudy.config import RunConfig
from vaestudy.likelihood import GREY_LEVELS, LEVEL, Likelihood, Scaled, summed, uniform
from vaestudy.special import mask, polynomial


def level(x: Tensor) -> Tensor:
    """The grey level of each pixel, a whole number 0..255 in x's own type."""
    return (x * GREY_LEVELS).floor_().clamp_(0, GREY_LEVELS - 1)


class DiscretisedLogistic(Scaled):
    """P(level v) = F((v + 1) / 256) - F(v / 256), F the logistic distribution function with location m, the head
    itself, and scale s; the first and the last level take the tails (Salimans et al. 2017, section 2.1).

    With u = (cell's upper end - m) / s and l = (its lower end - m) / s the mass is
    sigmoid(u) sigmoid(-l) (1 - e^-(w / s)), a product whose logarithm needs no difference.
    """

    family = "mass"
    support = "the 256 grey levels"
    refuses: ClassVar = {
        "binarised": "a mass on 256 grey levels has no use for 254 of them",
        "stochastic": "a mass on 256 grey levels has no use for 254 of them",
    }
    options: ClassVar = {}
    limits = (0.0003, 10.0)

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        location, t = self.parts(head, log_guard)
        return summed(_discretised_logistic, level(x), location, t)

    def _upto(self, v: Tensor, head: Tensor) -> Tensor:
        """P(level < v), float64; 0 at 0 and 1 at 256."""
        location, t = self.parts(head)
        m, s = location.double(), t.double().exp()
        below = ((v * LEVEL - m) / s).sigmoid_()
        return torch.where(v <= 0, 0.0, torch.where(v >= GREY_LEVELS, 1.0, below))

    def mean(self, head: Tensor) -> Tensor:
        """E[(v + 1/2) / 256], the middle of the level's cell, as sum_v P(level >= v)."""
        location, t = self.parts(head)
        m, inverse = location, (-t).exp()
        total = torch.full_like(m, 0.5)
        for v in range(1, GREY_LEVELS):
            total += ((m - v * LEVEL) * inverse).sigmoid_()
        return total * LEVEL

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        location, t = self.parts(head)
        u = uniform(location, generator).double()
        x = location + t.exp() * torch.logit(u, eps=1e-12)
        return ((level(x) + 0.5) * LEVEL).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Within a level's cell the mass is spread evenly, as dequantising does."""
        v = level(x).double()
        low, high = self._upto(v, head), self._upto(v + 1, head)
        return low + (high - low) * (x * GREY_LEVELS - v)


def _discretised_logistic(wanted: bool, v: Tensor, m: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """ln sigmoid(a) = min(a, 0) - ln(1 + e^-|a|); masks are numbers, as in the clipped Gaussian."""
    inverse = (-t).exp()
    above, below = mask(torch.gt, v, 0), mask(torch.lt, v, GREY_LEVELS - 1)
    low = (v * LEVEL - m).mul_(inverse)
    width = LEVEL * inverse
    high = low + width
    log_high, log_low = _log_sigmoid(high), _log_sigmoid(-low)
    middle, slope_middle = _log_one_minus_exp(width)
    inner = above * below
    value = (log_high * below).addcmul_(log_low, above).add_(middle * inner)
    if not wanted:
        return value, ()
    off_high, off_low = (-high).sigmoid_().mul_(below), low.sigmoid().mul_(above)
    slope_m = (off_low - off_high).mul_(inverse)
    slope_t = (low * off_low).sub_(high * off_high).sub_(slope_middle * inner)
    return value, (slope_m, slope_t)


def _log_sigmoid(a: Tensor) -> Tensor:
    e = a.abs().neg_().exp_()
    return a.clamp_max(0).sub_(e.add_(1).log_())


def _log_one_minus_exp(r: Tensor) -> tuple[Tensor, Tensor]:
    """(ln(1 - e^-r), r / (e^r - 1)) for r > 0, which is its slope in ln r; (1 - e^-r) / r by its series for small r."""
    large = r.clamp_min(_NARROW)
    ratio = (1 - (-large).exp_()).div_(large).add_(polynomial(r.clamp_max(_NARROW), _SERIES)).sub_(_SERIES_END)
    rest = ratio * r
    return rest.log(), (1 - rest).div_(ratio)


_NARROW = 0.5
_SERIES = tuple((-1) ** k / math.factorial(k + 1) for k in range(13))
_SERIES_END = sum(c * _NARROW**k for k, c in enumerate(_SERIES))


class Categorical256(Likelihood):
    """P(level v) = softmax_v(h . T_v + c_v): any distribution on the levels that RANK statistics of them can tell.

    h are the pixel's RANK decoder outputs; T [RANK, 256] and c [256] are learned and shared by all pixels. Logits of
    each pixel's own would take 51 million weights. T starts as the first cosines over the levels, c at zero.
    """

    family = "mass"
    support = "the 256 grey levels"
    refuses: ClassVar = {
        "binarised": "a mass on 256 grey levels has no use for 254 of them",
        "stochastic": "a mass on 256 grey levels has no use for 254 of them",
    }
    options: ClassVar = {}

    heads = 16
    RANK = heads

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        v, k = torch.arange(GREY_LEVELS) + 0.5, torch.arange(1, self.RANK + 1)
        self.statistics = nn.Parameter((math.pi * LEVEL * k[:, None] * v).cos())
        self.offset = nn.Parameter(torch.zeros(GREY_LEVELS))

    def _features(self, head: Tensor) -> Tensor:
        return head.view(*head.shape[:-1], -1, self.RANK)

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        h = self._features(head)
        value: Tensor = _CategoricalLogProb.apply(level(x).long(), h, self.statistics, self.offset)
        return value

    def probabilities(self, head: Tensor) -> Tensor:
        """[..., P, 256]."""
        h = self._features(head)
        return (h @ self.statistics.to(h.dtype) + self.offset).softmax(-1)

    def mean(self, head: Tensor) -> Tensor:
        """E[(v + 1/2) / 256], the middle of the level's cell."""
        middles = (torch.arange(GREY_LEVELS, dtype=head.dtype, device=head.device) + 0.5) * LEVEL
        mean: Tensor = self.probabilities(head) @ middles
        return mean

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        upto = self.probabilities(head).cumsum(-1)
        u = uniform(upto[..., 0], generator)
        v = (upto < u.unsqueeze(-1)).sum(-1).clamp_max(GREY_LEVELS - 1)
        return ((v + 0.5) * LEVEL).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Within a level's cell the mass is spread evenly, as dequantising does."""
        p = self.probabilities(head).double()
        v = level(x).expand(p.shape[:-1])
        upto, mine = (t.gather(-1, v.long().unsqueeze(-1)).squeeze(-1) for t in (p.cumsum(-1), p))
        return upto - mine * (1 - (x * GREY_LEVELS - v))


class _CategoricalLogProb(torch.autograd.Function):
    """sum_p ln softmax(h . T + c)_v, ROWS images at a time: all logits of a minibatch would be 80 MB.

    v [M, P] whole numbers, h [L, M, P, RANK]; the logits are computed again for the gradient.
    """

    ROWS = 8

    @staticmethod
    def _pieces(v: Tensor, h: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(levels [n, 1], features [n, RANK]) of ROWS images' pixels at a time."""
        images, few = v.expand(h.shape[:-1]).flatten(0, -2), _CategoricalLogProb.ROWS
        for levels, features in zip(images.split(few), h.flatten(0, -3).split(few), strict=True):
            yield levels.reshape(-1, 1), features.reshape(-1, features.shape[-1])

    @staticmethod
    def forward(ctx: Any, v: Tensor, h: Tensor, statistics: Tensor, offset: Tensor) -> Tensor:
        ctx.save_for_backward(v, h, statistics, offset)
        values = []
        for levels, features in _CategoricalLogProb._pieces(v, h):
            value = torch.addmm(offset, features, statistics).log_softmax(-1).gather(-1, levels)
            values.append(value.view(-1, h.shape[-2]).sum(-1))
        return torch.cat(values).view(h.shape[:-2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        v, h, statistics, offset = ctx.saved_tensors
        by_h, by_statistics, by_offset = [], torch.zeros_like(statistics), torch.zeros_like(offset)
        rows = grad.reshape(-1).split(_CategoricalLogProb.ROWS)
        for (levels, features), g in zip(_CategoricalLogProb._pieces(v, h), rows, strict=True):
            slope = torch.addmm(offset, features, statistics).softmax(-1).neg_()
            slope.scatter_add_(-1, levels, torch.ones_like(levels, dtype=slope.dtype))
            slope.mul_(g.repeat_interleave(h.shape[-2]).unsqueeze(-1))
            by_h.append(slope @ statistics.T)
            by_statistics.addmm_(features.T, slope)
            by_offset.add_(slope.sum(0))
        return None, torch.cat(by_h).view(h.shape), by_statistics, by_offset
