"""The floor of a step or a score: the time of its matrix products and of the special functions that it must compute.

SPECIALS lists the special functions of each likelihood. The floor of a likelihood that it does not list is the products
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from vaestudy.config.image_shape import DIGIT
from vaestudy.config.registry import LIKELIHOODS, PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import make_likelihood

SPECIALS: dict[str, tuple[str, ...]] = {
    "bernoulli": ("sigmoid",),  # for the gradient; the value needs only arithmetic and one logarithm for many pixels
    "continuous-bernoulli": ("exp", "log"),
    "gaussian": ("sigmoid", "exp"),  # the mean, the scale
    "truncated-gaussian": ("exp", "exp", "exp", "erfc", "erfc", "log"),  # the scale; density and tail at both ends
    "clipped-gaussian": ("exp", "exp", "erfc", "log", "log"),  # the scale; density, tail and its logarithm
    "beta": ("sigmoid", "exp", *["log"] * 3, *["lgamma"] * 3, *["digamma"] * 3),
    "logit-normal": ("exp", "log", "log"),  # the scale; ln x - ln(1 - x)
    "discretised-logistic": (*["exp"] * 4, *["log"] * 3, *["sigmoid"] * 2),  # three factors, their logarithms
    "categorical-256": ("exp",) * 256,
}
"""Likelihood -> functions of `torch`, each as often as a pixel of a draw needs it, forward and backward."""


@dataclass(frozen=True)
class Layer:
    """A layer of the model: x [rows, width_in] -> [rows, width_out].

    The x of the first layer is data and needs no gradient.
    """

    rows: int
    width_in: int
    width_out: int
    input_gradient: bool

    @property
    def flops(self) -> int:
        """Return the operations in a step: forward, gradient of the weight, gradient of the input if needed."""
        return 2 * self.rows * self.width_in * self.width_out * (2 + self.input_gradient)


def pixels(likelihood: str) -> str:
    """Return the first pixel protocol that a likelihood accepts."""
    refused = LIKELIHOODS[likelihood].refusals
    return next(name for name in PIXELS if name not in refused)


def layers(config: RunConfig) -> list[Layer]:
    """Return the layers of the model in a step, in order. The decoder has one row per draw."""
    H, D = config.hidden, config.latent_dim
    M, LM = config.minibatch, config.minibatch * config.samples
    encoder = [Layer(M, a, b, i > 0) for i, (a, b) in enumerate(zip((DIGIT.pixels, *H[:-1]), H, strict=True))]
    return [*encoder, *[Layer(M, H[-1], D, True)] * 2, *decoder(config, LM)]


def decoder(config: RunConfig, rows: int) -> list[Layer]:
    """Return the layers of the decoder for `rows` rows."""
    widths = (config.latent_dim, *config.hidden[::-1], DIGIT.pixels * make_likelihood(config).heads)
    return [Layer(rows, a, b, True) for a, b in pairwise(widths)]


def step_products(config: RunConfig) -> Callable[[], None]:
    """Return a function that computes only the matrix products of one training step, forward and backward."""
    tensors = [(_tensors(layer), layer.input_gradient) for layer in layers(config)]

    def once() -> None:
        for (x, w, _), _ in tensors:
            x @ w.T
        for (x, w, g), input_gradient in reversed(tensors):
            g.T @ x
            if input_gradient:
                g @ w

    return once


def step_specials(config: RunConfig) -> Callable[[], None]:
    """Return a function that computes the special functions of one training step into allocated memory."""
    functions = [getattr(torch, name) for name in SPECIALS.get(config.likelihood, ())]
    a = torch.rand(config.samples * config.minibatch, DIGIT.pixels)
    out = torch.empty_like(a)

    def once() -> None:
        for function in functions:
            function(a, out=out)

    return once


def draws_products(config: RunConfig, draws: int, rows: int = 1_000) -> Callable[[], None]:
    """Return a function that computes the matrix products of decoding `draws` draws, `rows` of them at a time."""
    tensors = [_tensors(layer) for layer in decoder(config, rows)]

    def once() -> None:
        for _ in range(draws // rows):
            for x, w, _ in tensors:
                x @ w.T

    return once


def slope_products(config: RunConfig, rows: int) -> Callable[[], None]:
    """Return a function that computes the matrix products of decoding `rows` draws and of the gradient in z."""
    tensors = [_tensors(layer) for layer in decoder(config, rows)]

    def once() -> None:
        for x, w, _ in tensors:
            x @ w.T
        for _, w, g in reversed(tensors):
            g @ w

    return once


def _tensors(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """Return random x, weight and gradient of the output of a layer."""
    shapes = (layer.rows, layer.width_in), (layer.width_out, layer.width_in), (layer.rows, layer.width_out)
    x, w, g = (torch.randn(shape) for shape in shapes)
    return x, w, g
