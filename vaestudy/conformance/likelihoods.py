"""The checks of a likelihood, each made with all of its options.

`likelihood_densities.py` has those of p(x|z) as a distribution, `likelihood_samples.py` those of its samples, and
`likelihood_variants.py` what all share.

Shapes: L samples, M minibatch, P pixels, as in `vaestudy/model/likelihoods/base.py`.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.config.compatibility import OPTION_DEFAULTS
from vaestudy.config.registry import PIXELS
from vaestudy.conformance import likelihood_densities, likelihood_samples
from vaestudy.conformance.check import Checks, DoesNotApply, Part, Violation, require
from vaestudy.conformance.gradients import require_gradient
from vaestudy.conformance.likelihood_variants import BINARY, L, M, P, Variant, a_minibatch, variants
from vaestudy.conformance.randomness import require_own_generator
from vaestudy.model.likelihoods.base import CLIP, Likelihood, Scaled
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()

FAMILIES = ("bernoulli", "density", "mass")


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


# The order of the checks. If the shapes of a likelihood are wrong, the later checks are not made.
CHECKS += likelihood_densities.CHECKS
CHECKS += likelihood_samples.CHECKS


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
