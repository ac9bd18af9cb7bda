"""Masses on the 256 grey values: the discretised logistic and the categorical distribution.

A pixel x has the grey value v if x lies in the cell [v / 256, (v + 1) / 256). This is right with and without
dequantisation, because v / 255 lies in that cell, too.
"""

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
    """Return the grey value of each pixel, an integer 0..255 in the type of x."""
    return (x * GREY_VALUES).floor_().clamp_(0, GREY_VALUES - 1)


class DiscretisedLogistic(Scaled):
    """P(grey value v) = F((v + 1) / 256) - F(v / 256), with F the logistic distribution function.

    F has the location m, which is the head itself, and the scale s. The first and the last grey value also get the mass
    of the tails (Salimans et al. 2017, section 2.1).

    Let w = 1/256 be the width of a cell, u = (upper end of the cell - m) / s and l = (lower end - m) / s. Then the mass
    is the product sigmoid(u) sigmoid(-l) (1 - e^-(w / s)). Its logarithm needs no difference of two F.
    """

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        location, t = self.parts(head, log_guard)
        return summed_log_prob(_discretised_logistic, grey_value(x), location, t)

    def _upto(self, v: Tensor, head: Tensor) -> Tensor:
        """Return P(grey value < v), float64; 0 at v = 0 and 1 at v = 256."""
        location, t = self.parts(head)
        m, s = location.double(), t.double().exp()
        below = ((v * CELL_WIDTH - m) / s).sigmoid_()
        return torch.where(v <= 0, 0.0, torch.where(v >= GREY_VALUES, 1.0, below))

    def mean(self, head: Tensor) -> Tensor:
        """Return E[(v + 1/2) / 256], the mean middle of a cell, with E[v] = sum over v >= 1 of P(grey value >= v)."""
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
        """Return P(pixel <= x | z). The mass of a grey value is spread evenly over its cell, as dequantisation does."""
        v = grey_value(x).double()
        low, high = self._upto(v, head), self._upto(v + 1, head)
        return low + (high - low) * (x * GREY_VALUES - v)


def _discretised_logistic(with_slopes: bool, v: Tensor, m: Tensor, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (log p of each pixel, its slopes in m and t if `with_slopes`); v is the grey value, t = ln s.

    ln sigmoid(a) = min(a, 0) - ln(1 + e^-|a|). Masks are numbers, as in the clipped Gaussian.
    """
    inverse = exp(t, -1)
    above, below = mask(torch.gt, v, 0), mask(torch.lt, v, GREY_VALUES - 1)
    low = (v * CELL_WIDTH - m).mul_(inverse)
    width = CELL_WIDTH * inverse
    high = low + width
    log_high, log_low = _log_sigmoid(high), _log_sigmoid(-low)
    middle, slope_middle = _log_one_minus_exp(width)
    inner = above * below
    value = (log_high * below).addcmul_(log_low, above).add_(middle * inner)
    if not with_slopes:
        return value, ()
    off_high, off_low = (-high).sigmoid_().mul_(below), low.sigmoid().mul_(above)
    slope_m = (off_low - off_high).mul_(inverse)
    slope_t = (low * off_low).sub_(high * off_high).sub_(slope_middle * inner)
    return value, (slope_m, slope_t)


def _log_sigmoid(a: Tensor) -> Tensor:
    """Return ln sigmoid(a)."""
    e = exp(a.abs(), -1)
    return a.clamp_max(0).sub_(e.add_(1).log_())


def _log_one_minus_exp(r: Tensor) -> tuple[Tensor, Tensor]:
    """Return (ln(1 - e^-r), its slope in ln r), for r > 0. The slope is r / (e^r - 1).

    (1 - e^-r) / r is computed by its series if r is small.
    """
    large = r.clamp_min(_NARROW)
    ratio = (1 - exp(large, -1)).div_(large).add_(polynomial(r.clamp_max(_NARROW), _SERIES)).sub_(_SERIES_END)
    rest = ratio * r
    return rest.log(), (1 - rest).div_(ratio)


_NARROW = 0.5
_SERIES = tuple((-1) ** k / math.factorial(k + 1) for k in range(13))
_SERIES_END = sum(c * _NARROW**k for k, c in enumerate(_SERIES))


class Categorical256(Likelihood):
    """P(grey value v) = softmax_v(h . T_v + c_v): an exponential family with RANK statistics of the grey value.

    h [RANK] are the pixel's decoder outputs. T [RANK, 256] and c [256] are learned and shared by all pixels: with 256
    decoder outputs per pixel instead, the last layer would have 51 million weights. T starts as the first RANK cosines
    over the grey values, c as zero.
    """

    heads = 16
    outputs_adjacent = True
    image_by_image = True
    RANK = heads

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        v, k = torch.arange(GREY_VALUES) + 0.5, torch.arange(1, self.RANK + 1)
        self.statistics = nn.Parameter((math.pi * CELL_WIDTH * k[:, None] * v).cos())
        self.offset = nn.Parameter(torch.zeros(GREY_VALUES))

    def _features(self, head: Tensor) -> Tensor:
        """Return h: head [..., P * RANK] -> [..., P, RANK]. The outputs of a pixel are adjacent in the head."""
        return head.view(*head.shape[:-1], -1, self.RANK)

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        h = self._features(head)
        value: Tensor = _CategoricalLogProb.apply(
            torch.is_grad_enabled(), grey_value(x).long(), h, self.statistics, self.offset
        )
        return value

    def probabilities(self, head: Tensor) -> Tensor:
        """Return P(grey value v) for each pixel: head [..., P * RANK] -> [..., P, 256]."""
        h = self._features(head)
        return (h @ self.statistics.to(h.dtype) + self.offset).softmax(-1)

    def mean(self, head: Tensor) -> Tensor:
        """Return E[(v + 1/2) / 256], the mean of the middles of the cells."""
        middles = (torch.arange(GREY_VALUES, dtype=head.dtype, device=head.device) + 0.5) * CELL_WIDTH
        mean: Tensor = self.probabilities(head) @ middles
        return mean

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        upto = self.probabilities(head).cumsum(-1)
        u = uniform_like(upto[..., 0], generator)
        v = (upto < u.unsqueeze(-1)).sum(-1).clamp_max(GREY_VALUES - 1)
        return ((v + 0.5) * CELL_WIDTH).to(head.dtype)

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Return P(pixel <= x | z). The mass of a grey value is spread evenly over its cell, as dequantisation does."""
        p = self.probabilities(head).double()
        v = grey_value(x).expand(p.shape[:-1])
        upto, mine = (t.gather(-1, v.long().unsqueeze(-1)).squeeze(-1) for t in (p.cumsum(-1), p))
        return upto - mine * (1 - (x * GREY_VALUES - v))


class _CategoricalLogProb(torch.autograd.Function):
    """sum_p ln softmax(h . T + c)_v, computed image by image: all logits of a minibatch would need 80 MB.

    Shapes: v [M, P] integers, h [L, M, P, RANK], result [L, M].

    The forward pass also computes the slopes of each image, while its probabilities p are in memory. The slopes are
    T_v - p . T in h, h^T (1_v - p) in T, and the sum over pixels of 1_v - p in c. The backward pass only weights them
    by the gradient.
    """

    @staticmethod
    def forward(ctx: Any, with_slopes: bool, v: Tensor, h: Tensor, statistics: Tensor, offset: Tensor) -> Tensor:
        values, slopes = [], []
        in_bits, offset_in_bits = statistics * LOG2_E, offset * LOG2_E  # because exp2 is faster than exp
        for grey_values, features in zip(v.expand(h.shape[:-1]).flatten(0, -2), h.flatten(0, -3), strict=True):
            logits, index = torch.addmm(offset_in_bits, features, in_bits), grey_values.unsqueeze(-1)
            mine = logits.sub_(logits.amax(-1, keepdim=True)).gather(-1, index)
            p = logits.exp2_()
            total = p.sum(-1, keepdim=True)
            values.append((mine / LOG2_E - total.log()).sum())
            if with_slopes:
                p.div_(total).scatter_add_(-1, index, p.new_full((1, 1), -1).expand_as(index))
                slopes.append((p @ statistics.T, features.T @ p, p.sum(0)))
        if with_slopes:
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
