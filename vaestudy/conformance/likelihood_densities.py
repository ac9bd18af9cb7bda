"""The checks of a likelihood as a distribution: finite, normalised, and its bits per dimension.

Shapes: L samples, M minibatch, P pixels, as in `vaestudy/model/likelihoods/base.py`.
"""

from __future__ import annotations

import itertools
import math

import torch

from vaestudy.config.registry import SIGMAS, LikelihoodSpec
from vaestudy.conformance.check import Checks, DoesNotApply, Part, Violation, require
from vaestudy.conformance.likelihood_variants import a_minibatch, constant_head, pixel_values, random_outputs, variants
from vaestudy.model.likelihoods.base import CELL_WIDTH, GREY_VALUES, Likelihood
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()

NODES = 60_000
"""Number of points of the sum that approximates the integral of a density."""
FAR = 60.0
"""Where the integral of a density on the real line ends, on both sides."""
OUTPUTS = (0.0, 1e-30, 0.3, 3.0, 10.0, 30.0, 88.0, 1e4)
"""Outputs of a decoder that are tried; the largest are those of a decoder that diverges."""
RANDOM = 300
"""Number of random pixels and outputs beside these."""


@CHECKS
def finite(part: Part) -> None:
    """log_prob, its gradient and the mean are finite in float32 at the edges 0 and 1, whatever the decoder says."""
    for variant in variants(part.name):
        require_finite(variant.make(), part.spec, str(variant))


@CHECKS
def finite_with_every_sigma(part: Part) -> None:
    """log_prob and its gradient are finite in float32 with every parameterisation of the scale."""
    if part.spec.limits is None:
        raise DoesNotApply("it has no scale")
    for variant, sigma in itertools.product(variants(part.name), SIGMAS):
        if variant.changes.get("likelihood_scale") not in ("fixed", "optimal"):
            require_finite(variant.make(decoder_sigma=sigma), part.spec, f"{variant}, decoder_sigma={sigma}")


def require_finite(likelihood: Likelihood, spec: LikelihoodSpec, which: str) -> None:
    """Raise unless log p, its gradient and the mean are finite, for one pixel and all pairs of extreme outputs."""
    signed = sorted({sign * size for sign in (1, -1) for size in OUTPUTS})
    rows = [
        (pixel, *itertools.islice(itertools.cycle(outputs), likelihood.heads))
        for outputs in itertools.product(signed, repeat=min(2, likelihood.heads))
        for pixel in pixel_values(spec)
    ]
    g = stream("check", "outputs", likelihood.heads)
    some = torch.randn(RANDOM, likelihood.heads, generator=g) * 30
    rows += [(x, *outputs) for x, outputs in zip(torch.rand(RANDOM, generator=g).tolist(), some.tolist(), strict=True)]
    table = torch.tensor(rows)
    x, head = table[:, :1], table[None, :, 1:].contiguous().requires_grad_()
    value = likelihood.float().log_prob(x, head)
    (slope,) = torch.autograd.grad(value.sum(), head)
    with torch.no_grad():
        mean = likelihood.mean(head)
    for what, tensor in (("log p", value[0]), ("the gradient", slope[0]), ("the mean", mean[0])):
        bad = ~tensor.isfinite().flatten(1).all(1) if tensor.dim() > 1 else ~tensor.isfinite()
        if bad.any():
            row = int(bad.nonzero()[0])
            outputs = ", ".join(f"{v:g}" for v in rows[row][1 : min(3, len(rows[row]))])
            shown = (
                tensor[row].tolist()
                if tensor.dim() == 1
                else next(v for v in tensor[row].flatten().tolist() if not math.isfinite(v))
            )
            raise Violation(
                f"{what} is {shown} at the pixel {rows[row][0]:.9g} with the decoder's outputs {outputs}, {which} "
                f"({int(bad.sum()):,} of {len(rows):,} cases are not finite)"
            )


@CHECKS
def integrates_to_one(part: Part) -> None:
    """A density integrates to 1: over [0, 1], and over the real line if it has mass there, by its cdf."""
    if part.spec.family != "density":
        raise DoesNotApply(f"it is declared as a {part.spec.family}, not as a density")
    for variant in variants(part.name):
        require_density(variant.make(), str(variant))


def require_density(likelihood: Likelihood, which: str) -> None:
    """Raise unless the density of one pixel integrates to what its distribution function says, for several outputs.

    On [0, 1] the midpoint rule is used in logit x, because a density may be infinite at 0 and 1.
    """
    steps = (torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES * 2 - 1
    logit = steps * 16.6  # x from 2^-24 to 1 - 2^-24
    unit = logit.sigmoid(), logit.sigmoid() * (-logit).sigmoid() * 33.2 / NODES
    line = steps * FAR, torch.full_like(steps, 2 * FAR / NODES)
    most = 0.0
    for seed in range(4):
        head = constant_head(likelihood, random_outputs(likelihood, 1.5, seed), 1)
        ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        inside = likelihood.cdf(ends, head[0].expand(2, -1))
        beyond = 1 - (inside[1] - inside[0]).item()
        for (x, measure), interval in ((unit, "[0, 1]"), *([(line, f"[-{FAR:g}, {FAR:g}]")] if beyond > 1e-6 else [])):
            total = (likelihood.log_prob(x[:, None], head.expand(1, NODES, -1))[0].exp() * measure).sum().item()
            below, above = likelihood.cdf(x[[0, -1], None], head[0].expand(2, -1)).flatten().tolist()
            expected = above - below  # a Beta with a small a or b has mass between 2^-24 and the border
            most = max(most, expected)
            if not abs(total - expected) <= 2e-4:
                outputs = ", ".join(f"{v:.3g}" for v in random_outputs(likelihood, 1.5, seed).tolist())
                raise Violation(
                    f"the integral over {interval} is {total:.6g}, and {expected:.6g} by its cdf, {which}, "
                    f"with the decoder's outputs {outputs}"
                )
    require(most > 0.9, f"the cdf leaves at most {most:.3g} between the ends of the integrals, {which}")


@CHECKS
def no_more_than_the_cell(part: Part) -> None:
    """No density gives a grey value more than its whole cell: the mean of log p over it is at most ln(256 P(cell))."""
    if part.spec.family != "density":
        raise DoesNotApply(f"it is declared as a {part.spec.family}, not as a density")
    n = 1000
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for variant, v in itertools.product(variants(part.name), (0, 1, 128, 255)):
        made = variant.make()
        x = (v + u)[:, None] / GREY_VALUES
        ends = x[[0, -1]] + torch.tensor([[-0.5], [0.5]]) / n / GREY_VALUES
        centres = (math.log((v + 0.5) / (255.5 - v)), (v + 0.5) / GREY_VALUES, 0.0)
        for location, scale in itertools.product(centres, (-14.0, -8.0, -3.0, 0.0)):
            values = torch.tensor([location, *[scale] * (made.heads - 1)], dtype=torch.float64)
            head = constant_head(made, values, 1)
            mean = made.log_prob(x, head.expand(1, n, -1)).mean().item()
            cell = made.cdf(ends.clamp(0, 1), head[0].expand(2, -1))
            mass = max((cell[1] - cell[0]).item(), 0.0)
            told = f"the grey value {v} has a mean of {mean:.4f} nats, {variant}"
            require(mean <= math.log(GREY_VALUES) + 1e-3, f"{told}; ln 256 is {math.log(GREY_VALUES):.4f}")
            bound = math.log(GREY_VALUES * mass + 1e-300)
            require(mean <= bound + 1e-2 or mass < 1e-12, f"{told}; ln(256 P(cell)) is {bound:.4f}")


@CHECKS
def sums_to_one(part: Part) -> None:
    """A mass sums to 1 over the 256 grey values, its mean is that of the masses, and a cell has one mass."""
    if part.spec.family != "mass":
        raise DoesNotApply(f"it is declared as a {part.spec.family}, not as a mass")
    x = ((torch.arange(GREY_VALUES, dtype=torch.float64) + 0.5) * CELL_WIDTH)[:, None]
    grey = torch.arange(GREY_VALUES, dtype=torch.float64)[:, None] / (GREY_VALUES - 1)
    for variant, scale in itertools.product(variants(part.name), (0.1, 1.0, 5.0, 50.0)):
        made = variant.make()
        head = constant_head(made, random_outputs(made, scale, 0), 1).expand(1, GREY_VALUES, -1)
        log_mass = made.log_prob(x, head)[0]
        total = log_mass.exp().sum().item()
        require(abs(total - 1) <= 1e-10, f"the sum of the masses is {total:.12g}, {variant}")
        expected, mean = (log_mass.exp() * x[:, 0]).sum().item(), made.mean(head)[0, 0].item()
        require(
            abs(mean - expected) <= 1e-9 * expected, f"mean is {mean:.9g}, and {expected:.9g} by the masses, {variant}"
        )
        off = (made.log_prob(grey, head)[0] - log_mass).abs().max().item()
        require(
            off <= 1e-7 * (1 + log_mass.abs().max().item()), f"log_prob differs by {off:.3g} within one cell, {variant}"
        )


@CHECKS
def two_values_sum_to_one(part: Part) -> None:
    """A bernoulli's probabilities of 0 and 1 sum to 1, and its mean is the probability of 1."""
    if part.spec.family != "bernoulli":
        raise DoesNotApply(f"it is declared as a {part.spec.family}, not as a bernoulli")
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for variant, seed in itertools.product(variants(part.name), range(4)):
        made = variant.make()
        head = constant_head(made, random_outputs(made, 2.0, seed), 1).expand(1, 2, -1)
        off, on = made.log_prob(x, head)[0].exp().tolist()
        mean = made.mean(head)[0, 0].item()
        require(abs(off + on - 1) <= 1e-9, f"p(0) + p(1) is {off + on:.9g}, {variant}")
        require(abs(mean - on) <= 1e-9, f"mean is {mean:.9g}, but p(1) is {on:.9g}, {variant}")


@CHECKS
def bits_per_dimension(part: Part) -> None:
    """Bits per dimension come from a density or mass: `normalised` integrates to 1, `with_same_mean` has the mean."""
    if "dequantised" in part.spec.refusals:
        raise DoesNotApply("it refuses dequantised pixels, so there are no bits per dimension")
    for variant in variants(part.name):
        made = variant.make()
        if part.spec.family != "bernoulli":
            require(
                made.normalised is made, f"normalised is another likelihood, {variant}; a {part.spec.family} needs none"
            )
            continue
        require(
            made.normalised is not made, f"normalised is the bernoulli itself, {variant}; it is no density on [0, 1]"
        )
        require_density(made.normalised, f"of normalised, {variant}")
        if (other := made.with_same_mean) is not None:
            require_density(other, f"of with_same_mean, {variant}")
            _, head = a_minibatch(made)
            off = (other.mean(head) - made.mean(head)).abs().max().item()
            require(off <= 1e-6, f"the mean of with_same_mean differs by {off:.3g}, {variant}")
