"""The checks of a likelihood, each made with all of its options.

Shapes: L samples, M minibatch, P pixels, as in `vaestudy/model/likelihoods/base.py`.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.config.compatibility import OPTION_DEFAULTS
from vaestudy.config.registry import LIKELIHOODS, PIXELS, SIGMAS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, DoesNotApply, Part, Violation, require
from vaestudy.conformance.gradients import require_gradient
from vaestudy.conformance.randomness import require_own_generator
from vaestudy.model.likelihoods.base import CELL_WIDTH, CLIP, GREY_VALUES, Likelihood, Scaled, make_likelihood
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()

BINARY = ("binarised", "stochastic", "binarised-once")
"""The package's pixel protocols whose pixels are 0 or 1."""
FAMILIES = ("bernoulli", "density", "mass")
L, M, P = 3, 5, 6
DRAWS = 5_000
ERRORS = 4.5
"""Standard errors of Monte Carlo that a mean may be off: one in 150,000 correct means is."""
NODES = 60_000
"""Points at which a density is summed up to its integral."""
FAR = 60.0
"""Where the integral of a density on the real line ends, on both sides."""
OUTPUTS = (0.0, 1e-30, 0.3, 3.0, 10.0, 30.0, 88.0, 1e4)
"""Sizes of a decoder's outputs, up to those of a decoder that diverges."""
RANDOM = 300
"""Number of random pixels and outputs beside these."""


@dataclass(frozen=True)
class Variant:
    """A likelihood with one choice of its options."""

    name: str
    changes: dict[str, str]
    pixels: str
    """A pixel protocol that the likelihood accepts."""

    def make(self, **further: object) -> Likelihood:
        """Return the likelihood in float64, with further fields of the configuration."""
        fields = {"likelihood": self.name, "pixels": self.pixels} | self.changes | further
        return make_likelihood(RunConfig(**fields)).double()  # type: ignore[arg-type]

    def __str__(self) -> str:
        chosen = ", ".join(f"{field}={value}" for field, value in self.changes.items())
        return f"with {chosen}" if chosen else "with the default options"


def variants(name: str) -> list[Variant]:
    """Return a likelihood with its default options, and with each other value of each of its options."""
    spec = LIKELIHOODS[name]
    accepted = [protocol for protocol in PIXELS if protocol not in spec.refusals]
    pixels = "dequantised" if "dequantised" in accepted else accepted[0]
    changes: list[dict[str, str]] = [{}]
    changes += [{f: v} for f, values in spec.options.items() for v in values if v != OPTION_DEFAULTS[f]]
    return [Variant(name, change, pixels) for change in changes]


def a_minibatch(likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Return x [M, P], with the darkest and the brightest grey value among them, and a head [L, M, heads * P]."""
    g = stream("check", "likelihood")
    x = torch.rand(M, P, generator=g, dtype=torch.float64)
    x[0], x[1] = CELL_WIDTH / 3, 1 - CELL_WIDTH / 3
    head = torch.randn((L, M, likelihood.heads * P), generator=g, dtype=torch.float64) * 2
    return x, head


def constant_head(likelihood: Likelihood, values: Tensor, pixels: int) -> Tensor:
    """Return a head [1, 1, heads * pixels] that gives every pixel the same outputs, `values` [heads]."""
    return (values.repeat(pixels) if likelihood.outputs_adjacent else values.repeat_interleave(pixels)).view(1, 1, -1)


def pixel_values(spec: LikelihoodSpec) -> list[float]:
    """Return the pixel values at which a likelihood must be finite: those of the protocols that it accepts."""
    accepted = set(PIXELS) - set(spec.refusals)
    found = {0.3, 0.5} if accepted - set(BINARY) else set[float]()
    if accepted & {*BINARY, "grey"}:
        found |= {0.0, 1.0}
    if "grey" in accepted:
        found |= {1 / 255, 254 / 255}
    if "dequantised" in accepted:
        found |= {0.0, 2**-32, CELL_WIDTH, 1 - CELL_WIDTH, 1 - 2**-24}
    return sorted(found)


@CHECKS.first
def builds(part: Part) -> None:
    """It is built from its declaration with each of its options, and is a Likelihood."""
    spec = part.spec
    require(set(spec.refusals) < set(PIXELS), "it refuses every pixel protocol, or one that does not exist")
    strange = set(spec.options) - set(OPTION_DEFAULTS)
    require(not strange, f"options {sorted(strange)}: no such options; choose from: {', '.join(OPTION_DEFAULTS)}")
    for variant in variants(part.name):
        made = variant.make()
        require(isinstance(made, Likelihood), f"{type(made).__name__} is no subclass of vaestudy.Likelihood")
        require(made.heads >= 1, f"heads is {made.heads}, {variant}")


@CHECKS
def declares_itself(part: Part) -> None:
    """Its declaration is true: family, refused pixels, limits of the scale, number of heads, support."""
    spec = part.spec
    require(spec.family in FAMILIES, f"family is {spec.family!r}; choose from: {', '.join(FAMILIES)}")
    accepted = [name for name in BINARY if name not in spec.refusals]
    if spec.family == "bernoulli":
        require(
            len(accepted) == len(BINARY),
            f"a bernoulli must accept pixels that are 0 or 1; it refuses {set(BINARY) - set(accepted)}",
        )
    else:
        require(
            not accepted,
            f"a {spec.family} is no probability of pixels that are 0 or 1: refusals lacks {', '.join(accepted)}",
        )
    for variant in variants(part.name):
        made = variant.make()
        scaled = isinstance(made, Scaled)
        require(
            scaled == (spec.limits is not None), f"limits is {spec.limits}, but it is {'a' if scaled else 'no'} Scaled"
        )
        require(made.heads <= spec.most_heads, f"heads is {made.heads} {variant}, but most_heads is {spec.most_heads}")
        require(
            spec.support in made.describe(), f"describe() is {made.describe()!r}, without the support {spec.support!r}"
        )
    if spec.limits is not None:
        low, high = spec.limits
        require(0 < low < high < math.inf, f"limits are {low:g} and {high:g}; they must be above 0 and increase")


@CHECKS.first
def shapes(part: Part) -> None:
    """log_prob is [L, M]; mean, sample and cdf are [..., P] for any leading dimensions."""
    for variant in variants(part.name):
        made = variant.make()
        x, head = a_minibatch(made)
        found = {"log_prob": (made.log_prob(x, head), (L, M))}
        for leading, h in (((L, M), head), ((M,), head[0]), ((), head[0, 0])):
            found |= {
                f"mean of a head {list(h.shape)}": (made.mean(h), (*leading, P)),
                f"sample of a head {list(h.shape)}": (made.sample(h, stream("check", "shapes")), (*leading, P)),
                f"cdf of a head {list(h.shape)}": (made.cdf(x if leading else x[0], h), (*leading, P)),
            }
        for what, (tensor, expected) in found.items():
            shape = tuple(getattr(tensor, "shape", ()))
            require(shape == expected, f"{what} has the shape {list(shape)}, not {list(expected)}, {variant}")


@CHECKS
def gradient(part: Part) -> None:
    """The gradient of log_prob in the decoder's outputs is that of finite differences, with and without a guard."""
    for variant, guard in itertools.product(variants(part.name), (0.0, 1e-3)):
        made = variant.make().eval()
        x, head = a_minibatch(made)
        for pixels in (x, x.round()) if part.spec.family == "bernoulli" else (x,):
            value = functools.partial(_log_prob_of, made, pixels, guard)
            require_gradient(value, head, f"{variant}, log_guard {guard:g}")


def _log_prob_of(likelihood: Likelihood, x: Tensor, guard: float, head: Tensor) -> Tensor:
    """Return log p, with the head as the last argument."""
    return likelihood.log_prob(x, head, guard)


@CHECKS
def gradient_of_own_parameters(part: Part) -> None:
    """The gradient of log_prob in its own parameters is that of finite differences."""
    found = False
    for variant in variants(part.name):
        made = variant.make()
        x, head = a_minibatch(made)
        for name, parameter in made.named_parameters():
            found = True

            value = functools.partial(_with_parameter, made, x, head, name)
            require_gradient(value, parameter.detach(), f"of {name}, {variant}")
    if not found:
        raise DoesNotApply("it has no parameters of its own")


def _with_parameter(likelihood: Likelihood, x: Tensor, head: Tensor, name: str, value: Tensor) -> Tensor:
    """Return log p with another value of an own parameter."""
    found: Tensor = torch.func.functional_call(_LogProb(likelihood), {f"of.{name}": value}, (x, head))
    return found


class _LogProb(torch.nn.Module):
    """A module with `log_prob` as its forward function, so that `functional_call` can replace its parameters."""

    def __init__(self, of: Likelihood) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor, head: Tensor) -> Tensor:
        return self.of.log_prob(x, head)


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


def _random_outputs(likelihood: Likelihood, scale: float, seed: int) -> Tensor:
    """Return outputs of a decoder for one pixel, [heads], from N(0, scale^2)."""
    return torch.randn(likelihood.heads, generator=stream("check", "outputs", seed), dtype=torch.float64) * scale


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
        head = constant_head(likelihood, _random_outputs(likelihood, 1.5, seed), 1)
        ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        inside = likelihood.cdf(ends, head[0].expand(2, -1))
        beyond = 1 - (inside[1] - inside[0]).item()
        for (x, measure), interval in ((unit, "[0, 1]"), *([(line, f"[-{FAR:g}, {FAR:g}]")] if beyond > 1e-6 else [])):
            total = (likelihood.log_prob(x[:, None], head.expand(1, NODES, -1))[0].exp() * measure).sum().item()
            below, above = likelihood.cdf(x[[0, -1], None], head[0].expand(2, -1)).flatten().tolist()
            expected = above - below  # a Beta with a small a or b has mass between 2^-24 and the border
            most = max(most, expected)
            if not abs(total - expected) <= 2e-4:
                outputs = ", ".join(f"{v:.3g}" for v in _random_outputs(likelihood, 1.5, seed).tolist())
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
        head = constant_head(made, _random_outputs(made, scale, 0), 1).expand(1, GREY_VALUES, -1)
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
        head = constant_head(made, _random_outputs(made, 2.0, seed), 1).expand(1, 2, -1)
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


@CHECKS
def declares_its_scores(part: Part) -> None:
    """Its own scores are those that it declares in `metrics`, finite, and one for each image."""
    metrics = part.spec.metrics
    require(isinstance(metrics, tuple), f"metrics is {metrics!r}, not a tuple of names")
    for variant in variants(part.name):
        made = variant.make().eval()
        x, head = a_minibatch(made)
        scores = made.scores(x, head[0])
        require(set(scores) == set(metrics), f"scores returns {sorted(scores)} and metrics declares {sorted(metrics)}")
        for name, values in scores.items():
            require(re.fullmatch(r"\w+", name), f"the name {name!r} must have letters, digits and _ alone")
            require(values.shape == (M,), f"{name} has the shape {list(values.shape)}, not [{M}], {variant}")
            require(values.isfinite().all(), f"{name} is not finite, {variant}")


@CHECKS
def deterministic(part: Part) -> None:
    """The same inputs give the same bits: log_prob, mean, cdf, and sample, which uses only the generator given."""
    for variant in variants(part.name):
        made = variant.make().eval()
        x, head = a_minibatch(made)
        calls: dict[str, Callable[[], Tensor]] = {
            "log_prob": functools.partial(made.log_prob, x, head),
            "mean": functools.partial(made.mean, head),
            "cdf": functools.partial(made.cdf, x, head),
            "sample": functools.partial(_sampled, made, head),
        }
        for name, call in calls.items():
            require_own_generator(call, name, str(variant))


def _sampled(likelihood: Likelihood, head: Tensor) -> Tensor:
    """Return a sample with a generator that is the same each time."""
    return likelihood.sample(head, stream("check", "same"))


@CHECKS
def independent(part: Part) -> None:
    """Pixels and images are independent: log_prob is the sum over pixels, and that of an image needs no other image."""
    for variant in variants(part.name):
        made = variant.make().eval()
        x, head = a_minibatch(made)
        whole = made.log_prob(x, head)
        alone = torch.cat([made.log_prob(x[i : i + 1], head[:, i : i + 1]) for i in range(M)], dim=1)
        off = (whole - alone).abs().max().item()
        require(
            off <= 1e-9 * whole.abs().max().item(), f"log_prob of an image alone differs by {off:.3g} nats, {variant}"
        )
        by_pixel = head.unflatten(-1, (P, -1) if made.outputs_adjacent else (-1, P))
        one = [by_pixel[..., i, :] if made.outputs_adjacent else by_pixel[..., i] for i in range(P)]
        summed = sum(
            (made.log_prob(x[:, i : i + 1], h.contiguous()) for i, h in enumerate(one)), torch.zeros_like(whole)
        )
        off = (whole - summed).abs().max().item()
        require(
            off <= 1e-9 * whole.abs().max().item(),
            f"log_prob differs by {off:.3g} nats from the sum over pixels, {variant}",
        )


@CHECKS
def comes_back(part: Part) -> None:
    """After training it comes back from its parameters and buffers with the same bits."""
    for variant in variants(part.name):
        made, loaded = variant.make(), variant.make()
        x, head = a_minibatch(made)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.1)
        made.fit_scale(lambda: torch.tensor(0.01, dtype=torch.float64))
        loaded.load_state_dict(made.state_dict())
        ours, theirs = (each.eval().log_prob(x, head) for each in (made, loaded))
        off = (ours - theirs).abs().max().item()
        require(torch.equal(ours, theirs), f"log_prob of the loaded one differs by {off:.3g} nats, {variant}")


@CHECKS
def float32_is_float64(part: Part) -> None:
    """log_prob in float32 is that in float64, within the rounding of its inputs."""
    values = torch.tensor([-12.0, -7.3, -3.1, -1.0, -0.2, 0.0, 0.4, 1.7, 3.3, 6.1, 9.9, 12.0], dtype=torch.float64)
    pixels = (2**-20, 0.01, 0.2, 0.5003, 0.77, 0.98, 1 - 2**-20)
    first = values[values.abs() < 7]  # the location; scales are wanted over a wider range
    for variant in variants(part.name):
        wide, narrow = variant.make().eval(), variant.make().float().eval()
        two = torch.cartesian_prod(*(first, values)[: wide.heads]).view(-1, min(2, wide.heads))
        outputs = torch.cat((two, torch.zeros(len(two), wide.heads - two.shape[1], dtype=two.dtype)), 1)
        x = torch.tensor(pixels, dtype=torch.float32).double().repeat(len(outputs))[:, None]
        head = outputs.float().double().repeat_interleave(len(pixels), 0)[None].requires_grad_()
        exact = wide.log_prob(x, head)
        (slope,) = torch.autograd.grad(exact.sum(), head)
        found = narrow.log_prob(x.float(), head.detach().float()).double()
        magnified = _magnification(wide, x, head.detach()) + (slope * head.detach()).abs().sum(-1)[0]
        allowed = 2**-23 * (64 + 8 * exact.detach()[0].abs() + 8 * magnified)
        off = (found.detach() - exact.detach())[0].abs()
        if not (off <= allowed).all():
            row = int((off / allowed).nan_to_num(math.inf).argmax())
            shown = ", ".join(f"{v:g}" for v in head[0, row, :2].tolist())
            raise Violation(
                f"log p is {found[0, row].item():.7g} in float32 and {exact[0, row].item():.9g} in float64 at pixel "
                f"{x[row].item():.6g} with the decoder's outputs {shown}, {variant}"
            )


def _magnification(likelihood: Likelihood, x: Tensor, head: Tensor) -> Tensor:
    """Return by how much a rounding of the pixel or of the location changes log p, at most: [M].

    With one scale s it is 1 / s^2. Else it is measured: the curvature of log p in the pixel.
    """
    if isinstance(likelihood, Scaled) and likelihood.heads <= 2 and _has_a_location(likelihood):
        log_scale = likelihood.parts(head)[1]
        return (
            (-2 * log_scale).exp().reshape(-1).expand(len(x))
            if log_scale.dim() == 0
            else (-2 * log_scale).exp()[0, :, 0]
        )
    h = 1e-4 * torch.minimum(x, 1 - x)
    low, middle, high = (likelihood.log_prob((x + d).clamp(CLIP, 1 - CLIP), head)[0] for d in (-h, 0 * h, h))
    return ((low + high - 2 * middle) / h[:, 0] ** 2).abs() + ((high - low) / h[:, 0]).abs() + 1


def _has_a_location(likelihood: Scaled) -> bool:
    """Return whether the first head is a location: a Beta by its two shapes has two scales."""
    return not getattr(likelihood, "by_shapes", False)


@CHECKS
def raw_scale_is_a_magnitude(part: Part) -> None:
    """With decoder_sigma=raw, the scale is the output's magnitude: value and gradient are those of abs, to the bit."""
    if part.spec.limits is None:
        raise DoesNotApply("it has no scale")
    pixels = variants(part.name)[0].pixels
    results = []
    for sigma in ("raw", "abs"):
        made = Variant(part.name, {}, pixels).make(decoder_sigma=sigma)
        x, head = a_minibatch(made)
        head.requires_grad_()
        value = made.log_prob(x, head)
        results.append((value, *torch.autograd.grad(value.sum(), head)))
    for what, raw, magnitude in zip(("value", "gradient"), *results, strict=True):
        off = (raw - magnitude).abs().max().item()
        require(torch.equal(raw, magnitude), f"the {what} differs by {off:.3g} between raw and abs")
