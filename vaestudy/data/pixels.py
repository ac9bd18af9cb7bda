"""The pixel protocols: functions that turn the stored bytes into the x that the model is trained on and scored by.

Shapes: M images, P pixels. Bytes v are uint8 in 0..255, x is float32 in [0, 1]; both are [M, P].

A protocol takes the images and a random generator and returns x. `vaestudy/data/registry.py` lists the protocols.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.config.registry import PIXELS
from vaestudy.runtime.random_streams import stream

Protocol = Callable[[Tensor, torch.Generator], Tensor]


def grey(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x = v / 255, without noise, as torchvision's `ToTensor` does."""
    return images.float().div_(255)


def binarised(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x = 1 where v / 255 > 0.5, else 0, without noise."""
    return (images > 127).float()


def stochastic(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x ~ Bernoulli(v / 255), drawn again at each call.

    Salakhutdinov & Murray 2008; known as the «dynamic» MNIST.
    """
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    return (uniform < images.float().div_(255)).float()


def dequantised(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x = (v + u) / 256 with u ~ U[0, 1), so that a density can model bytes (Theis et al. 2016)."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    # Rounding to float32 can turn 255 + u into 256, and x = 1 is outside the support [0, 1).
    return uniform.add_(images).div_(256).clamp_(max=1 - 2**-24)


def fixed(protocol: str, images: Tensor, split: str) -> Tensor:
    """Return the x by which a split is always scored. Its noise depends only on the name of the split."""
    x: Tensor = PIXELS.load(protocol)(images, stream("pixels", split, device=images.device))
    return x
