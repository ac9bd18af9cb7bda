"""The sizes of the architectures, from which memory is estimated and torch is set up. Nothing slow is imported here.

Shapes: P pixels, D latent dimensions, C channels, H hidden widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig

CHANNELS = 16
"""Channels of conv's feature maps; the first and the last convolution have half of it on their inner side."""
RESIDUAL_CHANNELS = 8
"""Channels inside a residual block of conv."""
BLOCKS = 2
"""Number of residual blocks of conv, in the encoder and in the decoder."""
STRIDED_KERNEL, KERNEL = 4, 3


@dataclass(frozen=True)
class Sizes:
    """The sizes of an architecture's layers, for one configuration and shape of images."""

    affine: tuple[tuple[int, int], ...]
    """(width in, width out) of each fully connected layer, mu, sigma and head included."""
    weights: int
    """Number of weights of all layers, without biases."""
    encoder: tuple[int, ...]
    """Values per image that each layer of the encoder gives; without mu and sigma."""
    decoder: tuple[int, ...]
    """Values per draw that each layer of the decoder gives; without the head."""


def mlp_sizes(config: RunConfig, shape: ImageShape, heads: int) -> Sizes:
    """Return the sizes of two mirrored multi-layer perceptrons, for `heads` outputs per pixel."""
    H, D = config.hidden, config.latent_dim
    back = H[::-1]
    affine = (*pairwise((shape.pixels, *H)), (H[-1], D), (H[-1], D), *pairwise((D, *back, heads * shape.pixels)))
    return Sizes(affine, sum(a * b for a, b in affine), H, back)


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Return half of a height and a width, each rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def conv_sizes(config: RunConfig, shape: ImageShape, heads: int) -> Sizes:
    """Return the sizes of the convolutional architecture, for `heads` outputs per pixel."""
    half = halved((shape.height, shape.width))
    quarter = halved(half)
    at_half, places = half[0] * half[1], quarter[0] * quarter[1]
    H, D, F, C = config.hidden, config.latent_dim, CHANNELS * places, CHANNELS
    affine = (*pairwise((F, *H)), (H[-1], D), (H[-1], D), *pairwise((D, *H[::-1], F)))
    blocks = BLOCKS * (KERNEL**2 + 1) * C * RESIDUAL_CHANNELS
    strided = STRIDED_KERNEL**2 * (C // 2) * (2 * C + shape.channels * (1 + heads))
    kernels = strided + 2 * (KERNEL**2 * C * C + blocks)
    maps = (F, *(RESIDUAL_CHANNELS * places, F) * BLOCKS)
    outer = C // 2 * at_half
    return Sizes(affine, sum(a * b for a, b in affine) + kernels, (outer, F, *maps, *H), (*H[::-1], F, *maps, outer))
