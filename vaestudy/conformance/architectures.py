"""The checks of an architecture. Shapes: L samples, M images, D latent dimensions, P pixels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import ARCHITECTURES, INITS, OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, Part, require
from vaestudy.data import datasets
from vaestudy.data.pixels import fixed
from vaestudy.errors import BadInput
from vaestudy.model.layers import Affine, Layer, layers_of
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.run.weights import pack_weights, unpack_weights
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import bounds
from vaestudy.training.checkpoint import load_state_tensors, state_tensors
from vaestudy.training.objectives import sgvb_a
from vaestudy.training.train import train

CHECKS = Checks()

SHAPES = (DIGIT, ImageShape(8, 8), ImageShape(32, 32, 3), ImageShape(9, 14), ImageShape(7, 5, 3), ImageShape(1, 3))
"""Shapes of images: grey and colour, square and not, with odd sizes, and of one row."""
L, M, D = 2, 3, 4
HEADS = ("bernoulli", "gaussian", "categorical-256")
"""Likelihoods with one head, with two, and with 16 that are adjacent."""


def draw(*size: int) -> Tensor:
    """Return numbers from U[0, 1), float64, the same for the same size."""
    return torch.rand(size, generator=stream("check", "architecture", *size), dtype=torch.float64)


def model_of(name: str, shape: ImageShape, **changes: Any) -> VAE:
    """Return a small VAE of an architecture in float64. Fields that it refuses stay at their defaults.

    Raises:
        BadInput: the architecture refuses the shape.
    """
    fields: dict[str, Any] = {"latent_dim": D, "hidden": (12, 9), "second_biases": True} | changes
    refused = ARCHITECTURES[name].refusals
    kept = {field: value for field, value in fields.items() if field not in refused}
    return VAE(RunConfig(architecture=name, **kept), shape).double()


def accepted_shapes(name: str) -> list[ImageShape]:
    """Return those of `SHAPES` for which an architecture can be built; it refuses others by `BadInput`."""
    found = []
    for shape in SHAPES:
        try:
            model_of(name, shape)
        except BadInput:
            continue
        found.append(shape)
    return found


def a_shape(name: str) -> ImageShape:
    """Return the first shape that an architecture accepts."""
    return accepted_shapes(name)[0]


@CHECKS.first
def builds(part: Part) -> None:
    """It is built for images of some shape; a shape that it cannot take is refused by BadInput."""
    require(accepted_shapes(part.name), f"it refuses all shapes: {', '.join(map(str, SHAPES))}")


@CHECKS
def shapes_follow_the_images(part: Part) -> None:
    """Shapes follow the images and the likelihood: mu and sigma are [M, D], the head is [L, M, heads * P]."""
    for shape in accepted_shapes(part.name):
        for likelihood in HEADS:
            model = model_of(part.name, shape, likelihood=likelihood, pixels="dequantised")
            told = f"for images of {shape} and the likelihood {likelihood}"
            q, head, one = model.encode(draw(M, shape.pixels)), model.decode(draw(L, M, D)), model.decode(draw(M, D))
            outputs = model.likelihood.heads * shape.pixels
            for what, tensor, expected in (
                ("mu", q.mu, (M, D)), ("sigma", q.sigma, (M, D)), ("the head", head, (L, M, outputs)),
                ("the head of z [M, D]", one, (M, outputs)),
                ("the mean", model.likelihood.mean(head), (L, M, shape.pixels)),
            ):  # fmt: skip
                require(
                    tuple(tensor.shape) == expected,
                    f"{what} has the shape {list(tensor.shape)}, not {list(expected)}, {told}",
                )


@CHECKS
def gradient_reaches_every_weight(part: Part) -> None:
    """A gradient of the bound reaches every weight, and it is finite."""
    for shape in accepted_shapes(part.name):
        model = model_of(part.name, shape, activation="tanh")
        x = draw(M, shape.pixels)
        sgvb_a(terms(model, x, draw(L, M, D))).objective.sum().backward()
        for name, parameter in model.named_parameters():
            slope = parameter.grad
            require(slope is not None and slope.abs().max() > 0, f"{name} gets no gradient, for images of {shape}")
            require(
                slope is not None and slope.isfinite().all(),
                f"the gradient of {name} is not finite, for images of {shape}",
            )


@CHECKS
def every_weight_belongs_to_a_layer(part: Part) -> None:
    """Every weight belongs to a Layer, which measures gradient noise; the first dimension is that of the outputs."""
    model = model_of(part.name, a_shape(part.name))
    layers = layers_of(model)
    of_layers = {id(p) for layer in layers for p in (layer.weight, layer.bias, layer.second_bias)}
    strays = [name for name, parameter in model.named_parameters() if id(parameter) not in of_layers]
    require(not strays, f"{', '.join(strays[:3])}: not in a layer of vaestudy/model/layers.py")
    own = {id(p) for p in model.parameters()}
    shared = [layer for layer in layers for p in (layer.weight, layer.bias) if id(p) not in own]
    require(not shared, "a layer has a weight that is no parameter of the model")
    for layer in layers:
        rows = len(layer.weight), len(layer.bias)
        require(rows[0] == rows[1], f"a {type(layer).__name__} has {rows[0]} rows of weights and {rows[1]} biases")
    require(isinstance(model.head, Layer), f"the head is a {type(model.head).__name__}, no Layer")


@CHECKS
def seed_determines_the_weights(part: Part) -> None:
    """The seed alone determines the weights: the same seed gives the same bits, another seed other weights."""
    shape = a_shape(part.name)
    for init in INITS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            before = torch.random.get_rng_state()
            one = model_of(part.name, shape, seed=5, init=init)
            untouched = torch.equal(before, torch.random.get_rng_state())
            torch.manual_seed(1)
            again, other = (model_of(part.name, shape, seed=seed, init=init) for seed in (5, 6))
        require(untouched, f"making it with init {init} draws from the caller's random generator")
        for (name, ours), theirs in zip(one.state_dict().items(), again.state_dict().values(), strict=True):
            require(torch.equal(ours, theirs), f"{name} differs between two models of seed 5, with init {init}")
        for i, (a, b) in enumerate(zip(layers_of(one), layers_of(other), strict=True)):
            require(
                not torch.equal(a.weight, b.weight),
                f"layer {i} ({type(a).__name__}) has equal weights for seeds 5 and 6, with init {init}",
            )


@CHECKS
def images_are_independent(part: Part) -> None:
    """An image does not depend on the other images of its minibatch, nor a draw on other draws."""
    shape = a_shape(part.name)
    model = model_of(part.name, shape)
    x, z = draw(M, shape.pixels), draw(L, M, D)
    q, head = model.train().encode(x), model.decode(z)
    for i in range(M):
        alone = model.encode(x[i : i + 1])
        one = torch.stack([model.decode(z[sample, i]) for sample in range(L)])
        for what, a, b in (
            ("mu", alone.mu[0], q.mu[i]),
            ("sigma", alone.sigma[0], q.sigma[i]),
            ("the head", one, head[:, i]),
        ):
            off = (a - b).abs().max().item()
            require(off <= 1e-10 * (0.01 + b.abs().max().item()), f"{what} of an image alone differs by {off:.3g}")


@CHECKS
def scale_starts_where_told(part: Part) -> None:
    """A scale starts where it is told: the head's rows are in the order of the heads."""
    shape = next((s for s in accepted_shapes(part.name) if s.channels > 1), a_shape(part.name))
    told = {"likelihood": "gaussian", "pixels": "dequantised", "likelihood_sigma": 0.25, "init_sigma": 0.5}
    model = model_of(part.name, shape, second_biases=False, **told)
    _, log_scale = model.likelihood.parts(model.decode(draw(L, M, D)))  # type: ignore[operator]
    sigma = model.encode(draw(M, shape.pixels)).sigma
    for what, found, expected in (("decoder's scale", log_scale.exp(), 0.25), ("encoder's sigma", sigma, 0.5)):
        off = (found - expected).abs().max().item()
        require(off <= 1e-7, f"the {what} must start at {expected:g}; it is off by up to {off:.3g}")


@CHECKS
def weights_come_back(part: Part) -> None:
    """Weights and checkpoints come back to the bit."""
    shape = a_shape(part.name)
    model = model_of(part.name, shape).float()
    adam = OPTIMIZERS.load("adam")
    optimizer = adam(model, model.config, 100)
    x, z = draw(M, shape.pixels).float(), draw(L, M, D).float()
    (model.encode(x).kl().sum() + model.decode(z).sum()).backward()
    optimizer.step()
    loaded = unpack_weights(pack_weights(model))
    resumed = VAE(model.config.with_changes(seed=9), shape)
    load_state_tensors(state_tensors(model, optimizer), resumed, adam(resumed, model.config, 100))
    for what, other in (("weights file", loaded), ("checkpoint", resumed)):
        same = torch.equal(other.encode(x).mu, model.encode(x).mu) and torch.equal(other.decode(z), model.decode(z))
        require(same, f"the model from the {what} computes other numbers")


@CHECKS
def declared_sizes(part: Part) -> None:
    """The declared sizes are those of the layers: the memory of a run is estimated from them."""
    require(part.spec.sizes is not None, "the declaration has no `sizes`")
    for shape in accepted_shapes(part.name):
        model = model_of(part.name, shape, likelihood="gaussian", pixels="dequantised")
        sizes, layers = part.spec.load_sizes()(model.config, shape, model.likelihood.heads), layers_of(model)
        given: dict[nn.Module, int] = {}
        for layer in layers:
            layer.register_forward_hook(functools.partial(_count, given))
        model.decode(model.encode(draw(1, shape.pixels)).mu)
        for what, told, found in (
            ("weights", sizes.weights, sum(layer.weight.numel() for layer in layers)),
            (
                "affine",
                list(sizes.affine),
                [tuple(layer.weight.T.shape) for layer in layers if isinstance(layer, Affine)],
            ),
            ("encoder", sorted(sizes.encoder), sorted(given[layer] for layer in layers_of(model.encoder))),
            ("decoder", sorted(sizes.decoder), sorted(given[layer] for layer in layers_of(model.decoder))),
        ):
            require(told == found, f"{what} is declared as {told} and is {found}, for images of {shape}")


def _count(given: dict[nn.Module, int], layer: nn.Module, inputs: Any, output: Tensor) -> None:
    """Note the number of values that a layer gives."""
    given[layer] = output.numel()


@CHECKS
def an_epoch_raises_the_bound(part: Part) -> None:
    """An epoch of training on digits raises the bound by 50 nats or more."""
    fields: dict[str, Any] = {"hidden": (32,)} if "hidden" not in part.spec.refusals else {}
    config = RunConfig(dataset="mnist-5k", architecture=part.name, latent_dim=D, epochs=1, minibatch=20, subset=1000,
                       learning_rate=3e-3, iwae=(1,), figures=(), **fields)  # fmt: skip
    config, _ = datasets.resolve(config, Path())
    data = datasets.load_splits(config, Path())
    x = fixed(config.pixels, data.valid.images, "valid")
    before = bounds.elbo_terms(VAE(config), x, 1, "valid", 1).elbo.mean().item()
    after = train(config, data).history[0]["valid/elbo"]
    require(after > before + 50, f"the ELBO on valid is {before:.1f} nats before the epoch and {after:.1f} after it")
