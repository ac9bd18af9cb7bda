"""The checks of an activation function and of an initialisation of weights."""

from __future__ import annotations

import torch
from torch import Tensor

from vaestudy.conformance.check import Checks, Part, require
from vaestudy.conformance.gradients import require_gradient
from vaestudy.conformance.randomness import require_own_generator
from vaestudy.model.layers import Affine, Convolution, Layer, TransposedConvolution
from vaestudy.runtime.random_streams import stream

ACTIVATION_CHECKS = Checks()
INIT_CHECKS = Checks()

EXTREMES = (-1e4, -88.0, -1.0, 0.0, 1.0, 88.0, 1e4)


def inputs() -> Tensor:
    """Return inputs of an activation function, [4, 5], float64, none of them 0."""
    return torch.randn(4, 5, generator=stream("check", "activation"), dtype=torch.float64)


@ACTIVATION_CHECKS.first
def keeps_the_shape(part: Part) -> None:
    """It takes a tensor of any shape and type and returns one of the same."""
    function = part.load()
    for h in (inputs(), inputs().float(), inputs()[0], inputs().view(2, 2, 5)):
        found = function(h)
        require(
            found.shape == h.shape and found.dtype == h.dtype,
            f"of {list(h.shape)}, {h.dtype}, it makes {list(found.shape)}, {found.dtype}",
        )


@ACTIVATION_CHECKS
def acts_on_each_value(part: Part) -> None:
    """It acts on each value alone."""
    function, h = part.load(), inputs()
    alone = torch.stack([function(value.view(1))[0] for value in h.flatten()]).view(h.shape)
    off = (function(h) - alone).abs().max().item()
    require(off <= 1e-12, f"a value among others differs by {off:.3g} from the value alone")


@ACTIVATION_CHECKS
def pure(part: Part) -> None:
    """It gives the same bits each time, draws no random numbers and does not change its input."""
    function, h = part.load(), inputs()
    require_own_generator(lambda: function(h.clone()), "it")
    kept = h.clone()
    function(h)
    require(torch.equal(h, kept), "it changes its input in place")


@ACTIVATION_CHECKS
def finite(part: Part) -> None:
    """It and its gradient are finite in float32 from -10,000 to 10,000."""
    h = torch.tensor(EXTREMES, requires_grad=True)
    value = part.load()(h)
    (slope,) = torch.autograd.grad(value.sum(), h)
    for what, tensor in (("the value", value), ("the gradient", slope)):
        bad = (~tensor.isfinite()).nonzero().flatten().tolist()
        require(not bad, f"{what} at {EXTREMES[bad[0]] if bad else 0:g} is not finite")


@ACTIVATION_CHECKS
def gradient(part: Part) -> None:
    """Its gradient is that of finite differences, and not 0 everywhere."""
    function, h = part.load(), inputs()
    require_gradient(function, h, "of the activation")
    point = h.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(point).sum(), point)
    require(slope.abs().max() > 0, "the gradient is 0 at all of 20 random inputs, so nothing can be learned through it")


def made_layers() -> list[Layer]:
    """Return a layer of each kind, with a second bias."""
    return [Affine(7, 5, True), Convolution(2, 3, 3, 1, True), TransposedConvolution(2, 3, (6, 5), True)]


def initialised(part: Part, seed: int) -> list[Layer]:
    """Return the layers, made and initialised from a seed of torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = made_layers()
        for layer in layers:
            part.load()(layer)
    return layers


@INIT_CHECKS.first
def initialises(part: Part) -> None:
    """It initialises a layer of each kind in place: shapes stay, weights and biases are finite."""
    for layer, fresh in zip(initialised(part, 1), made_layers(), strict=True):
        for name, value in layer.named_parameters():
            expected = dict(fresh.named_parameters())[name]
            kind = type(layer).__name__
            require(
                value.shape == expected.shape,
                f"{name} of a {kind} has the shape {list(value.shape)}, not {list(expected.shape)}",
            )
            require(value.isfinite().all(), f"{name} of a {kind} is not finite")


@INIT_CHECKS
def breaks_the_symmetry(part: Part) -> None:
    """The weights of a layer differ from each other: equal units would stay equal in training."""
    for layer in initialised(part, 1):
        rows = layer.weight.flatten(1)
        require(len(rows.unique(dim=0)) == len(rows), f"two outputs of a {type(layer).__name__} have the same weights")


@INIT_CHECKS
def seed_determines_the_weights(part: Part) -> None:
    """The seed alone determines the weights: the same seed gives the same bits, another seed other weights."""
    one, again, other = (initialised(part, seed) for seed in (1, 1, 2))
    for a, b, c in zip(one, again, other, strict=True):
        kind = type(a).__name__
        require(
            torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias),
            f"a {kind} differs between two times with the same seed",
        )
        require(not torch.equal(a.weight, c.weight), f"a {kind} has the same weights for two seeds")
