"""PIXELS: name -> protocol, how stored bytes become the x that is modelled.

Shapes: M images, P pixels. Bytes are uint8 in 0..255, x is float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.config.registry import PIXELS
from vaestudy.runtime.random_streams import stream

Protocol = Callable[[Tensor, torch.Generator], Tensor]


def grey(images: Tensor, generator: torch.Generator) -> Tensor:
    """x = v / 255, torchvision's `ToTensor`; no noise."""
    return images.float().div_(255)


def binarised(images: Tensor, generator: torch.Generator) -> Tensor:
    """x = 1 where v / 255 > 0.5, else 0; no noise."""
    return (images > 127).float()


def stochastic(images: Tensor, generator: torch.Generator) -> Tensor:
    """x ~ Bernoulli(v / 255), drawn anew at each call (Salakhutdinov & Murray 2008; the «dynamic» MNIST)."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    return (uniform < images.float().div_(255)).float()


def dequantised(images: Tensor, generator: torch.Generator) -> Tensor:
    """x = (v + u) / 256 with u ~ U[0, 1), a density's view of bytes (Theis et al. 2016)."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    # Rounding to float32 can carry 255 + u up to 256, and x = 1 is outside the support [0, 1).
    return uniform.add_(images).div_(256).clamp_(max=1 - 2**-24)


def fixed(protocol: str, images: Tensor, split: str) -> Tensor:
    """The one x by which a split is always scored: its noise depends on the split's name and on nothing else."""
    x: Tensor = PIXELS.load(protocol)(images, stream("pixels", split, device=images.device))
    return x
