"""The checks of a sigma parameterisation. Its output is that of a network's last layer."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from vaestudy.config.registry import SIGMAS
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, DoesNotApply, Part, Violation, require
from vaestudy.conformance.gradients import require_gradient
from vaestudy.model.sigma import Sigma, make_sigma
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()

STARTS = (0.05, 1.0)
"""Values of sigma at which training may start."""
SIZES = (0.0, 1e-4, 0.01, 0.3, 1.0, 2.5, 7.0, 13.0, 20.0, 60.0, 300.0, 1e4)


def outputs() -> Tensor:
    """Return outputs around 0, [40, 5], float64."""
    return torch.randn(40, 5, generator=stream("check", "sigma"), dtype=torch.float64)


def whole_range(dtype: torch.dtype) -> Tensor:
    """Return outputs over the whole range that a network gives, in increasing order."""
    return torch.tensor(sorted({sign * size for sign in (1, -1) for size in SIZES}), dtype=dtype)


def _largest(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to 1 + |expected|; infinite if one is not a number."""
    off = (found - expected).detach().abs() / (1 + expected.detach().abs())
    return float(off.nan_to_num(math.inf).max())


@CHECKS.first
def builds(part: Part) -> None:
    """It is built from its declared bounds and is a Sigma; sigma and ln sigma^2 have the shape of the output."""
    made = make_sigma(part.name)
    require(isinstance(made, Sigma), f"{type(made).__name__} is no subclass of vaestudy.model.sigma.Sigma")
    output = outputs()
    for what, tensor in zip(("sigma", "ln sigma^2"), made(output, 0.0), strict=True):
        require(tensor.shape == output.shape, f"{what} of an output [40, 5] has the shape {list(tensor.shape)}")


@CHECKS
def log_variance_is_that_of_sigma(part: Part) -> None:
    """The second result is ln sigma^2 of the first."""
    sigma, log_variance = make_sigma(part.name)(outputs(), 0.0)
    off = _largest(log_variance, sigma.square().log())
    require(off <= 1e-7, f"they differ by up to {off:.3g}")


@CHECKS
def declares_its_bounds(part: Part) -> None:
    """sigma, or its magnitude, lies within the declared bounds."""
    made, (low, high) = make_sigma(part.name), SIGMAS[part.name].bounds
    require(made.bounds == (low, high), f"the object has the bounds {made.bounds}, the declaration {(low, high)}")
    sigma = made(outputs() * 50, 0.0)[0].abs()
    require(sigma.isfinite().all(), "sigma is not finite for some output up to 200")
    found = sigma.min().item(), sigma.max().item()
    require(
        low <= found[0] and found[1] <= high,
        f"|sigma| is {found[0]:.6g} to {found[1]:.6g}; the bounds are {low:g} and {high:g}",
    )


@CHECKS
def inverse(part: Part) -> None:
    """`inverse` returns the output that gives a sigma."""
    made, (low, high) = make_sigma(part.name), SIGMAS[part.name].bounds
    for value in (0.0011, 0.3, 1.0, 1.9):
        if low < value < high:
            found = made(torch.tensor([made.inverse(value)], dtype=torch.float64))[0].item()
            require(abs(found - value) <= 1e-12 * value, f"the sigma of inverse({value:g}) is {found:.12g}")


@CHECKS
def monotone(part: Part) -> None:
    """|sigma| is monotone: it never falls as the output grows, or as the output's magnitude grows."""
    sigma = make_sigma(part.name)(whole_range(torch.float64), 0.0)[0].abs()
    zero = len(sigma) // 2
    above, below = sigma[zero:].diff(), sigma[: zero + 1].diff()
    require((above >= 0).all(), "|sigma| falls while the output grows from 0")
    require((below >= 0).all() or (below <= 0).all(), "|sigma| rises and falls while the output grows to 0")
    require(above.max() > 0, "sigma does not depend on an output above 0")


@CHECKS
def floor_and_ceiling(part: Part) -> None:
    """`limit` clamps |sigma| to a floor and a ceiling; a clamped output gets no gradient, any other does."""
    made, output = make_sigma(part.name), (outputs() * 8).requires_grad_()
    before = made(output.detach())[0].abs()
    limited = made.limit(output, 0.3, 1.5)
    sigma, log_variance = made(limited)
    off = _largest(sigma.detach().abs(), before.clamp(0.3, 1.5))
    require(off <= 1e-7, f"|sigma| differs by {off:.3g} from the clamped one")
    require(
        torch.equal(made.at_floor(output.detach(), 0.3), before <= 0.3),
        "at_floor is not where |sigma| is at most the floor",
    )
    require(not made.at_floor(output.detach(), 0.0).any(), "at_floor is true somewhere without a floor")
    (slope,) = torch.autograd.grad(log_variance.sum(), output)
    beyond = (before < 0.3) | (before > 1.5)
    require(beyond.any(), "no output up to 8 standard deviations gives a |sigma| outside [0.3, 1.5]")
    require((slope[beyond] == 0).all(), "a clamped output gets a gradient")
    require((slope[~beyond] != 0).all(), "an output that is not clamped gets no gradient")


@CHECKS
def gradient_at_the_start(part: Part) -> None:
    """The gradient where sigma is 1 is that on both sides: training starts there, and two pieces may meet."""
    made = make_sigma(part.name)
    if not made.bounds[0] < 1 < made.bounds[1]:
        raise DoesNotApply(f"sigma is never 1: its bounds are {made.bounds[0]:g} and {made.bounds[1]:g}")
    slopes = []
    for value in (-1e-7, 0.0, 1e-7):
        output = torch.tensor([value + made.inverse(1.0)], dtype=torch.float64, requires_grad=True)
        slopes.append(torch.autograd.grad(made(output)[1].sum(), output)[0].item())
    below, at, above = slopes
    require(
        max(abs(below - at), abs(above - at)) <= 1e-5 * abs(at),
        f"the slopes below, at and above it are {below:.6g}, {at:.6g}, {above:.6g}",
    )


@CHECKS
def gradient(part: Part) -> None:
    """The gradients of sigma and ln sigma^2 are those of finite differences, with and without a guard."""
    made = make_sigma(part.name)
    for guard in (0.0, 1e-3):
        for i, what in enumerate(("sigma", "ln sigma^2")):
            require_gradient(functools.partial(_result, made, i, guard), outputs(), f"of {what}, log_guard {guard:g}")


def _result(sigma: Sigma, i: int, guard: float, output: Tensor) -> Tensor:
    """Return sigma (i = 0) or ln sigma^2 (i = 1) of an output."""
    return sigma(output, guard)[i]


@CHECKS
def finite(part: Part) -> None:
    """ln sigma^2 and its gradient are finite in float32 and those of float64, where sigma is not 0."""
    made = make_sigma(part.name)
    results = []
    for dtype in (torch.float64, torch.float32):
        output = whole_range(dtype)
        wide = made(output.double(), 0.0)
        output = output[(wide[0] != 0) | wide[1].isfinite()].requires_grad_()
        value = made.log_variance(output)
        results.append((value.detach().double(), torch.autograd.grad(value.sum(), output)[0].double()))
    (exact, exact_slope), (found, slope) = results
    for what, a, b, tolerance in (("ln sigma^2", found, exact, 2e-6), ("its gradient", slope, exact_slope, 2e-5)):
        off = (a - b).abs() / (1e-6 + tolerance * b.abs())
        if not (off <= 1).all():
            i = int(off.nan_to_num(math.inf).argmax())
            raise Violation(
                f"{what} is {a[i].item():.7g} in float32, {b[i].item():.7g} in float64, for output {output[i].item():g}"
            )


@CHECKS
def in_an_encoder(part: Part) -> None:
    """Every encoder can start at a given sigma, and keeps a floor of sigma."""
    low, high = SIGMAS[part.name].bounds
    x = torch.rand(50, 784, generator=stream("check", "sigma", "x"))
    for value in [value for value in STARTS if low < value < high]:
        model = VAE(RunConfig(sigma=part.name, init_sigma=value, latent_dim=3, hidden=(8,)))
        sigma = model.encode(x).sigma
        require(
            (sigma - value).abs().max() <= 1e-5 * value,
            f"an encoder that must start at {value:g} has a sigma of {sigma.flatten()[0].item():.6g}",
        )
    floor = 0.7 if low < 0.7 < high else low + (min(high, low + 1) - low) / 2
    model = VAE(RunConfig(sigma=part.name, sigma_floor=floor, latent_dim=30, hidden=(8,)))
    with torch.no_grad():
        model.sigma.weight.mul_(20)
    q = model.encode(x)
    least = q.sigma.abs().min().item()
    require(abs(least - floor) <= 1e-6 * floor, f"with a floor of {floor:g} the smallest |sigma| is {least:.6g}")
    off = _largest(q.log_variance, q.sigma.square().log())
    require(off <= 1e-5, f"with a floor, ln sigma^2 differs by {off:.3g} from that of sigma")
