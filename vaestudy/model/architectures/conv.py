"""The architecture `conv`: strided convolutions and residual blocks, after the VQ-VAE, around the VAE's own z.

The convolutions are those of van den Oord, Vinyals & Kavukcuoglu 2017, «Neural Discrete Representation Learning»
(arXiv:1711.00937, section 4.1), layer by layer as in the authors' program for CIFAR-10 (google-deepmind/sonnet,
`examples/vqvae_example.ipynb`): two 4 x 4 convolutions of stride 2, a 3 x 3 convolution, and two residual blocks
(activation, 3 x 3, activation, 1 x 1). The decoder is a 3 x 3 convolution, two such blocks, and two transposed 4 x 4
convolutions of stride 2, of which the last is the head. There is no batch normalisation.

What differs from that program:
    * 16 channels, and 8 inside a block, in place of its 128 and 32, so that an epoch on a CPU takes a few times the
      MLP's.
    * A VQ-VAE has a code at each place of the map. Here the map is joined with the vector z by fully connected layers,
      whose widths are the field `hidden`; the last layer before the decoder's map also has the activation.
    * The activation is the field `activation` (relu in that program).

Shapes: C channels of an image, H x W its size. Maps of a 28 x 28 image: 14 x 14 with 8 channels, 7 x 7 with 16. An odd
side is halved upwards, and the decoder cuts what is too much, so that the head has exactly H x W places.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.model.architectures.base import Architecture
from vaestudy.model.architectures.mlp import Dense
from vaestudy.model.architectures.sizes import (
    BLOCKS,
    CHANNELS,
    KERNEL,
    RESIDUAL_CHANNELS,
    STRIDED_KERNEL,
    halved,
)
from vaestudy.model.layers import Convolution, TransposedConvolution
from vaestudy.model.likelihoods.base import Likelihood

Activation = Callable[[Tensor], Tensor]


class ResidualStack(nn.Module):
    """A 3 x 3 convolution and residual blocks, with an activation at the end: [rows, CHANNELS, h, w] -> the same."""

    def __init__(self, activation: Activation, second_biases: bool) -> None:
        super().__init__()
        self.activation = activation
        self.first = Convolution(CHANNELS, CHANNELS, KERNEL, 1, second_biases)
        self.inner = nn.ModuleList(
            Convolution(CHANNELS, RESIDUAL_CHANNELS, KERNEL, 1, second_biases) for _ in range(BLOCKS)
        )
        self.outer = nn.ModuleList(Convolution(RESIDUAL_CHANNELS, CHANNELS, 1, 1, second_biases) for _ in range(BLOCKS))

    def forward(self, h: Tensor) -> Tensor:
        h = self.first(h)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = h + outer(self.activation(inner(self.activation(h))))
        return self.activation(h)


class ConvEncoder(nn.Module):
    """x [..., P] -> features [..., hidden[-1]]."""

    def __init__(self, config: RunConfig, shape: ImageShape, activation: Activation) -> None:
        super().__init__()
        self.shape, self.activation, second = shape, activation, config.second_biases
        height, width = halved(halved((shape.height, shape.width)))
        self.down = nn.ModuleList(
            Convolution(a, b, STRIDED_KERNEL, 2, second)
            for a, b in ((shape.channels, CHANNELS // 2), (CHANNELS // 2, CHANNELS))
        )
        self.stack = ResidualStack(activation, second)
        self.dense = Dense((CHANNELS * height * width, *config.hidden), activation, second)

    def forward(self, x: Tensor) -> Tensor:
        h = x.reshape(-1, self.shape.channels, self.shape.height, self.shape.width)
        for layer in self.down:
            h = self.activation(layer(h))
        features: Tensor = self.dense(self.stack(h).reshape(*x.shape[:-1], -1))
        return features


class ConvDecoder(nn.Module):
    """z [..., D] -> features [..., CHANNELS / 2 * h * w] of the head, where h x w is half of the image's size."""

    def __init__(self, config: RunConfig, shape: ImageShape, activation: Activation) -> None:
        super().__init__()
        self.activation, second = activation, config.second_biases
        half = halved((shape.height, shape.width))
        self.size = halved(half)
        widths = (config.latent_dim, *config.hidden[::-1], CHANNELS * self.size[0] * self.size[1])
        self.dense = Dense(widths, activation, second)
        self.stack = ResidualStack(activation, second)
        self.up = TransposedConvolution(CHANNELS, CHANNELS // 2, half, second)

    def forward(self, z: Tensor) -> Tensor:
        h = self.stack(self.dense(z).reshape(-1, CHANNELS, *self.size))
        features: Tensor = self.activation(self.up(h))
        return features.reshape(*z.shape[:-1], -1)


class ConvHead(TransposedConvolution):
    """The last transposed convolution: features [..., CHANNELS / 2 * h * w] -> [..., heads * P].

    Its channels are ordered by heads: those of the first head first. Places share their biases.
    """

    def __init__(self, shape: ImageShape, likelihood: Likelihood, second_bias: bool) -> None:
        self.heads, self.channels, self.adjacent = likelihood.heads, shape.channels, likelihood.outputs_adjacent
        size = (shape.height, shape.width)
        super().__init__(CHANNELS // 2, self.heads * self.channels, size, second_bias)
        self.half_size = halved(size)

    def forward(self, h: Tensor) -> Tensor:
        out = super().forward(self._maps(h))
        if self.adjacent:
            out = out.unflatten(1, (self.heads, self.channels)).movedim(1, -1)
        return out.reshape(*h.shape[:-1], -1)

    def gradient_products(self, h: Tensor, delta: Tensor, images: int, repeats: int) -> Tensor:
        if self.adjacent:
            delta = delta.reshape(-1, self.channels, *self.size, self.heads).movedim(-1, 1)
        delta = delta.reshape(-1, self.heads * self.channels, *self.size)
        return super().gradient_products(self._maps(h), delta, images, repeats)

    def _maps(self, h: Tensor) -> Tensor:
        """Return the features as maps: [..., CHANNELS / 2 * h * w] -> [rows, CHANNELS / 2, h, w]."""
        return h.reshape(-1, CHANNELS // 2, *self.half_size)


class Conv(Architecture):
    """Convolutions, residual blocks and fully connected layers; see the docstring of this file."""

    def __init__(self, config: RunConfig, shape: ImageShape, likelihood: Likelihood) -> None:
        super().__init__(config, shape, likelihood)
        self.features = config.hidden[-1]

    def encoder(self) -> ConvEncoder:
        return ConvEncoder(self.config, self.shape, self.activation)

    def decoder(self) -> ConvDecoder:
        return ConvDecoder(self.config, self.shape, self.activation)

    def head(self) -> ConvHead:
        return ConvHead(self.shape, self.likelihood, self.config.second_biases)
