"""The checks of the samples of a likelihood: their mean, their distribution and their support.

Shapes: L samples, M minibatch, P pixels, as in `vaestudy/model/likelihoods/base.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vaestudy.conformance.check import Checks, Part, require
from vaestudy.conformance.likelihood_variants import P, Variant, a_minibatch, variants
from vaestudy.model.likelihoods.base import CELL_WIDTH, Likelihood
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()

DRAWS = 5_000
ERRORS = 4.5
"""Standard errors of Monte Carlo that a mean may be off: one in 150,000 correct means is."""


@CHECKS
def sample_has_the_mean(part: Part) -> None:
    """The mean of samples is the mean, within the Monte Carlo error."""
    for variant, (made, head, draws) in _with_draws(part):
        mean = made.mean(head)[0]
        error = draws.std(0) / math.sqrt(DRAWS) + 1e-6
        off = (draws.mean(0) - mean).abs() / error
        require(
            off.max() < ERRORS,
            f"a pixel's samples have the mean {_at_worst(draws.mean(0), off):.4f}, mean is {_at_worst(mean, off):.4f}: "
            f"{off.max().item():.1f} standard errors apart, {variant}",
        )


@CHECKS
def samples_follow_cdf(part: Part) -> None:
    """Samples follow the distribution function: the share below a grey value is the cdf, within the error."""
    family = part.spec.family
    for variant, (made, head, draws) in _with_draws(part):
        for edge in (CELL_WIDTH, 0.1, 0.5, 0.9, 1 - CELL_WIDTH):
            # Of a mass, the edge may lie inside a cell. So compare at the lower end of the cell.
            x = math.floor(edge / CELL_WIDTH) * CELL_WIDTH if family == "mass" else edge
            expected = made.cdf(torch.full((1, P), x, dtype=torch.float64), head[:1])[0]
            seen = ((draws <= x) if family == "bernoulli" else (draws < x)).double().mean(0)
            error = (expected * (1 - expected)).clamp_min(0).div(DRAWS).sqrt() + 2 / DRAWS
            off = (seen - expected).abs() / error
            require(
                off.max() < ERRORS,
                f"{_at_worst(seen, off):.4f} of a pixel's samples are below {x:.4f}, but the cdf is "
                f"{_at_worst(expected, off):.4f}, {variant}",
            )


@CHECKS
def stays_in_the_support(part: Part) -> None:
    """Samples and the mean lie where the cdf has mass: in [0, 1], if it is 0 at 0 and 1 at 1."""
    for variant, (made, head, draws) in _with_draws(part):
        ends = made.cdf(torch.tensor([[0.0] * P, [1.0] * P], dtype=torch.float64), head[:1, 0].expand(2, -1))
        require(draws.isfinite().all(), f"a sample is not finite, {variant}")
        require(
            (ends >= -1e-9).all() and (ends <= 1 + 1e-9).all(),
            f"the cdf is {ends.min():.4g} to {ends.max():.4g}, {variant}",
        )
        if part.spec.family == "density" and not (ends[0].max() < 1e-9 and ends[1].min() > 1 - 1e-9):
            continue
        for what, tensor in (("a sample", draws), ("the mean", made.mean(head))):
            low, high = tensor.min().item(), tensor.max().item()
            require(low >= 0 and high <= 1, f"{what} is {low if low < 0 else high:.6g}, outside [0, 1], {variant}")


def _with_draws(part: Part) -> Iterator[tuple[Variant, tuple[Likelihood, Tensor, Tensor]]]:
    """Yield each variant with the likelihood, a head [DRAWS, 1, heads * P] of equal rows and a sample for each row."""
    for variant in variants(part.name):
        made = variant.make()
        head = a_minibatch(made)[1][:1, :1].expand(DRAWS, 1, -1)
        yield variant, (made, head, made.sample(head, stream("check", "sample")))


def _at_worst(values: Tensor, off: Tensor) -> float:
    """Return the value of the pixel that is off the most."""
    return values.flatten()[off.argmax()].item()
