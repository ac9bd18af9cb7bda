"""Masses on the 256 grey levels: a pixel is the level v whose cell [v / 256, (v + 1) / 256) holds it, whether it was
dequantised or not (v / 255 lies in that cell, too)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vaestudy.config.registry import LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import CELL_WIDTH, GREY_VALUES, Likelihood, Scaled, summed_log_prob, uniform_like
from vaestudy.model.special import LOG2_E, exp, mask, polynomial


def grey_value(x: Tensor) -> Tensor:
    """The grey level of each pixel, a whole number 0..255 in x's own type."""
    return (x * GREY_VALUES).floor_().clamp_(0, GREY_VALUES - 1)


class DiscretisedLogistic(Scaled):
    """P(level v) = F((v + 1) / 256) - F(v / 256), F the logistic distribution function with location m, the head
    itself, and scale s; the first and the last level take the tails (Salimans et al. 2017, section 2.1).

    With u = (cell's upper end - m) / s and l = (its lower end - m) / s the mass is
    sigmoid(u) sigmoid(-l) (1 - e^-(w / s)), a product whose logarithm needs no difference.
    """

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        location, t = self.parts(head, log_guard)
        return summed_log_prob(_discretised_logistic, grey_value(x), location, t)

    def _upto(self, v: Tensor, head: Tensor) -> Tensor:
        """P(level < v), float64; 0 at 0 and 1 at 256."""
        location, t = self.parts(head)
        m, s = location.double(), t.double().exp()
        below = ((v * CELL_WIDTH - m) / s).sigmoid_()
        return torch.where(v <= 0, 0.0, torch.where(v >= GREY_VALUES, 1.0, below))

    def mean(self, head: Tensor) -> Tensor:
        """E[(v + 1/2) / 256], the middle of the level's cell, as sum_v P(level >= v)."""
        location, t = self.parts(head)
        m, inverse = location, (-t).exp()
        total = torch.full_like(m, 0.5)
        for v in range(1, GREY_VALUES):
            total += ((m - v * CELL_WIDTH) * inverse).sigmoid_()
        return total * CELL_WIDTH

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        location, t = self.parts(head)
        u = uniform_like(location, generator).double()
        x = location + t.exp() * torch.logit(u, eps=1e-12)
        return ((grey_value(x) + 0.5) * CELL_WIDTH).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Within a level's cell the mass is spread evenly, as dequantising does."""
        v = grey_value(x).double()
        low, high = self._upto(v, head), self._upto(v + 1, head)
        return low + (high - low) * (x * GREY_VALUES - v)


def _discretised_logistic(wanted: bool, v: Tensor, m: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """ln sigmoid(a) = min(a, 0) - ln(1 + e^-|a|); masks are numbers, as in the clipped Gaussian."""
    inverse = exp(t, -1)
    above, below = mask(torch.gt, v, 0), mask(torch.lt, v, GREY_VALUES - 1)
    low = (v * CELL_WIDTH - m).mul_(inverse)
    width = CELL_WIDTH * inverse
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
    e = exp(a.abs(), -1)
    return a.clamp_max(0).sub_(e.add_(1).log_())


def _log_one_minus_exp(r: Tensor) -> tuple[Tensor, Tensor]:
    """(ln(1 - e^-r), r / (e^r - 1)) for r > 0, which is its slope in ln r; (1 - e^-r) / r by its series for small r."""
    large = r.clamp_min(_NARROW)
    ratio = (1 - exp(large, -1)).div_(large).add_(polynomial(r.clamp_max(_NARROW), _SERIES)).sub_(_SERIES_END)
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

    heads = 16
    image_by_image = True
    RANK = heads

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        v, k = torch.arange(GREY_VALUES) + 0.5, torch.arange(1, self.RANK + 1)
        self.statistics = nn.Parameter((math.pi * CELL_WIDTH * k[:, None] * v).cos())
        self.offset = nn.Parameter(torch.zeros(GREY_VALUES))

    def _features(self, head: Tensor) -> Tensor:
        return head.view(*head.shape[:-1], -1, self.RANK)

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        h = self._features(head)
        value: Tensor = _CategoricalLogProb.apply(
            torch.is_grad_enabled(), grey_value(x).long(), h, self.statistics, self.offset
        )
        return value

    def probabilities(self, head: Tensor) -> Tensor:
        """[..., P, 256]."""
        h = self._features(head)
        return (h @ self.statistics.to(h.dtype) + self.offset).softmax(-1)

    def mean(self, head: Tensor) -> Tensor:
        """E[(v + 1/2) / 256], the middle of the level's cell."""
        middles = (torch.arange(GREY_VALUES, dtype=head.dtype, device=head.device) + 0.5) * CELL_WIDTH
        mean: Tensor = self.probabilities(head) @ middles
        return mean

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        upto = self.probabilities(head).cumsum(-1)
        u = uniform_like(upto[..., 0], generator)
        v = (upto < u.unsqueeze(-1)).sum(-1).clamp_max(GREY_VALUES - 1)
        return ((v + 0.5) * CELL_WIDTH).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Within a level's cell the mass is spread evenly, as dequantising does."""
        p = self.probabilities(head).double()
        v = grey_value(x).expand(p.shape[:-1])
        upto, mine = (t.gather(-1, v.long().unsqueeze(-1)).squeeze(-1) for t in (p.cumsum(-1), p))
        return upto - mine * (1 - (x * GREY_VALUES - v))


class _CategoricalLogProb(torch.autograd.Function):
    """sum_p ln softmax(h . T + c)_v, an image at a time, as all logits of a minibatch would be 80 MB.

    v [M, P] whole numbers, h [L, M, P, RANK]. The slopes are taken while the probabilities p are there: those of an
    image in h, T and c are T_v - p . T, h^T (1_v - p) and the sum of 1_v - p, and the gradient only weights them.
    """

    @staticmethod
    def forward(ctx: Any, wanted: bool, v: Tensor, h: Tensor, statistics: Tensor, offset: Tensor) -> Tensor:
        values, slopes = [], []
        in_bits, offset_in_bits = statistics * LOG2_E, offset * LOG2_E  # as exp2 is faster than exp
        for levels, features in zip(v.expand(h.shape[:-1]).flatten(0, -2), h.flatten(0, -3), strict=True):
            logits, index = torch.addmm(offset_in_bits, features, in_bits), levels.unsqueeze(-1)
            mine = logits.sub_(logits.amax(-1, keepdim=True)).gather(-1, index)
            p = logits.exp2_()
            total = p.sum(-1, keepdim=True)
            values.append((mine / LOG2_E - total.log()).sum())
            if wanted:
                p.div_(total).scatter_add_(-1, index, p.new_full((1, 1), -1).expand_as(index))
                slopes.append((p @ statistics.T, features.T @ p, p.sum(0)))
        if wanted:
            ctx.save_for_backward(*(torch.stack(parts).neg_() for parts in zip(*slopes, strict=True)))
            ctx.shape = h.shape
        return torch.stack(values).view(h.shape[:-2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor, Tensor, Tensor]:
        by_h, by_statistics, by_offset = ctx.saved_tensors
        g = grad.reshape(-1)
        return (
            None,
            None,
            (by_h * g[:, None, None]).view(ctx.shape),
            (g @ by_statistics.flatten(1)).view(by_statistics.shape[1:]),
            g @ by_offset,
        )
