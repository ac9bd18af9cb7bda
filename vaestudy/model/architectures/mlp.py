"""The architecture `mlp`: two mirrored multi-layer perceptrons, as in the article (784-256-D-256-784 by default)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from torch import Tensor, nn

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.model.architectures.base import Architecture
from vaestudy.model.layers import Affine
from vaestudy.model.likelihoods.base import Likelihood


class Dense(nn.ModuleList):
    """Fully connected layers, each with the activation after it: [..., width] -> [..., last width]."""

    def __init__(self, widths: Iterable[int], activation: Callable[[Tensor], Tensor], second_biases: bool) -> None:
        """Args:
        widths: the width of the input, then those of the layers.
        activation: the activation function.
        second_biases: whether each layer has a second bias.
        """
        super().__init__(Affine(a, b, second_biases) for a, b in pairwise(widths))
        self.activation = activation

    def forward(self, h: Tensor) -> Tensor:
        for layer in self:
            h = self.activation(layer(h))
        return h


class MLP(Architecture):
    """Two mirrored multi-layer perceptrons. The field `hidden` has the widths."""

    def __init__(self, config: RunConfig, shape: ImageShape, likelihood: Likelihood) -> None:
        super().__init__(config, shape, likelihood)
        self.features = config.hidden[-1]

    def encoder(self) -> Dense:
        return Dense((self.shape.pixels, *self.config.hidden), self.activation, self.config.second_biases)

    def decoder(self) -> Dense:
        config = self.config
        return Dense((config.latent_dim, *config.hidden[::-1]), self.activation, config.second_biases)

    def head(self) -> Affine:
        outputs = self.likelihood.heads * self.shape.pixels
        return Affine(self.config.hidden[0], outputs, self.config.second_biases)
