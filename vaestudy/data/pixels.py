"""The pixel protocols: functions that turn the stored bytes into the x that the model is trained on and scored by.

Shapes: M images, P pixels. Bytes v are uint8 in 0..255, x is float32 in [0, 1]; both are [M, P].

A protocol takes the images and a random generator and returns x. `vaestudy/data/registry.py` lists the protocols.
`binarised-once` has a second part, `draw_once`: it replaces the stored images when the data set is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vaestudy.config.registry import PIXELS
from vaestudy.runtime.random_streams import stream

Protocol = Callable[[Tensor, torch.Generator], Tensor]

DRAW_NAME = "vaestudy/binarised-once/1"
"""The name of the random numbers of `draw_once`. Another name would give other binary images."""
DRAWN_TOGETHER = 1_000  # images


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


def draw_once(images: Tensor, split: str) -> Tensor:
    """Return images of bytes 0 and 255, uint8 [n, P]: byte v becomes 255 with probability v / 255, independently.

    The draws depend on the name of the split, the number of the image and the number of the pixel, and on nothing else:
    not on the seed of a run, nor on the images that are held out. They are the same on every machine, because they need
    integers only, of a generator whose numbers NumPy does not change between versions (NEP 19). A random integer r of
    64 bits is compared with v (2^64 - 1) / 255, so a probability is exact within 2^-64.

    Args:
        images: all images of the split as stored, on the CPU.
        split: "train", which includes the images that are held out later, or "test".
    """
    seed = hashlib.sha256(f"{DRAW_NAME}/{split}".encode()).digest()
    bits = np.random.PCG64(int.from_bytes(seed, "big"))
    limits = np.arange(256, dtype=np.uint64) * np.uint64((2**64 - 1) // 255)
    drawn = np.empty(images.shape, dtype=np.uint8)
    for start in range(0, len(images), DRAWN_TOGETHER):
        block = images[start : start + DRAWN_TOGETHER].numpy()
        below = bits.random_raw(block.size).reshape(block.shape) < limits[block]
        drawn[start : start + DRAWN_TOGETHER] = np.where(below, 255, 0)
    return torch.from_numpy(drawn)


def binarised_once(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x = 0 or 1 of images that `draw_once` has drawn; the same x at each call.

    Known as the «static» MNIST. The binary images are not those of Larochelle's files.
    """
    return grey(images, generator)


def dequantised(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return x = (v + u) / 256 with u ~ U[0, 1), so that a density can model bytes (Theis et al. 2016)."""
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    # Rounding to float32 can turn 255 + u into 256, and x = 1 is outside the support [0, 1).
    return uniform.add_(images).div_(256).clamp_(max=1 - 2**-24)


def is_drawn_for(protocol: str, images: Tensor) -> bool:
    """Return whether images can be those of a protocol that draws them once, i.e. are of bytes 0 and 255.

    For other protocols the answer is always yes.
    """
    return PIXELS[protocol].draw_once is None or bool(((images == 0) | (images == 255)).all())


def fixed(protocol: str, images: Tensor, split: str) -> Tensor:
    """Return the x by which a split is always scored. Its noise depends only on the name of the split.

    Raises:
        ValueError: the protocol draws the images when they are read, and these were read for another protocol.
    """
    if not is_drawn_for(protocol, images):
        raise ValueError(f"the images were not drawn for {protocol}: load_splits() needs a configuration with it")
    x: Tensor = PIXELS.load(protocol)(images, stream("pixels", split, device=images.device))
    return x
