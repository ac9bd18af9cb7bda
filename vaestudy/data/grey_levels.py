"""Turn given images into stored ones: 256 grey levels, channel by channel.

Shapes: [n, H, W] or [n, H, W, C] -> uint8 [n, P] with P = C H W.

Images are stored as bytes v, because the pixel protocols and the masses on 256 grey levels need them. A float x in
[0, 1] becomes the nearest level, v = round(255 x). If any x is off its level by more than `EXACT` of a level, this is a
rounding, and it is told with its size. Float images of v / 255 lose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaestudy.config.image_shape import ImageShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVELS = 255
EXACT = 1e-3
"""Distance from a level, in levels, up to which a float stands for it: v / 255 in float32 is off by 1e-5 at most."""
AT_ONCE = 2**22
"""Number of values that are rounded at a time."""


class Unusable(Exception):
    """An error in the user's data. Its message is one line without the name of the data set."""


class Rounding:
    """How far the stored images are from the given ones, summed over arrays."""

    def __init__(self) -> None:
        self.most, self.total, self.values = 0.0, 0.0, 0

    def add(self, distance: NDArray[np.float64]) -> None:
        """Add values to the summary: how far each was from its grey level, as a part of the step between two levels."""
        self.most = max(self.most, float(distance.max()))
        self.total += float(distance.sum())
        self.values += distance.size

    @property
    def text(self) -> str:
        """The size of the rounding; empty if there was none."""
        if self.most <= EXACT:
            return ""
        return (
            f"values were rounded to the nearest of 256 grey levels, by up to {self.most:.2f} and on average "
            f"{self.total / self.values:.2f} of a level"
        )


def require_images(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> ImageShape:
    """Return the shape of an image, if an array of this shape and type can hold images.

    It needs the head of a file only, so that nothing is unpacked before.

    Raises:
        Unusable: it cannot.
    """
    shown = shape_text(shape)
    if dtype.hasobject:
        raise Unusable(f"{name} holds Python objects (a pickle), which are never unpacked; store uint8 or float")
    if dtype != "uint8" and dtype.kind != "f":
        raise Unusable(f"{name} is of {dtype}; images must be uint8 (0 to 255) or float (0 to 1)")
    if len(shape) not in (3, 4):
        raise Unusable(f"{name} has the shape {shown}; images must be [n, H, W] or [n, H, W, C]")
    if not shape[0] or 0 in shape:
        raise Unusable(f"{name} is empty: its shape is {shown}")
    channels = shape[3] if len(shape) == 4 else 1
    if channels not in (1, 3):
        first = "; the channels come last" if shape[1] in (1, 3) else ""
        raise Unusable(f"{name} has the shape {shown}, so {channels} channels; there must be 1 or 3{first}")
    return ImageShape(shape[1], shape[2], channels)


def grey_levels(name: str, images: NDArray[Any], rounding: Rounding) -> tuple[NDArray[np.uint8], ImageShape]:
    """Return images as stored, uint8 [n, P], and their shape.

    Args:
        name: the name of the array, for messages.
        images: the given images.
        rounding: receives how far the levels are from float values.

    Raises:
        Unusable: these are no images.
    """
    import numpy as np

    shape = require_images(name, images.shape, images.dtype)
    stored = np.empty((len(images), shape.channels, shape.height, shape.width), dtype=np.uint8)
    places = images[..., None] if images.ndim == 3 else images
    step = max(1, AT_ONCE // shape.pixels)
    for start in range(0, len(images), step):
        block = places[start : start + step].transpose(0, 3, 1, 2)
        stored[start : start + step] = block if images.dtype == np.uint8 else _rounded(name, block, rounding)
    return stored.reshape(len(images), shape.pixels), shape


def _rounded(name: str, x: NDArray[Any], rounding: Rounding) -> NDArray[np.uint8]:
    """Return the levels that are nearest to float values."""
    import numpy as np

    x = x.astype(np.float64)
    low, high = float(x.min()), float(x.max())  # nan if any is nan
    if math.isnan(low):
        raise Unusable(f"{name} contains nan")
    if low < 0 or high > 1:
        hint = "; divide by 255, or store uint8" if high > 1 and low >= 0 and high <= LEVELS else ""
        raise Unusable(f"{name} has values from {low:g} to {high:g}; float images must be in [0, 1]{hint}")
    levels = np.rint(x * LEVELS)
    rounding.add(np.abs(x * LEVELS - levels))
    found: NDArray[np.uint8] = levels.astype(np.uint8)
    return found


def shape_text(shape: Sequence[int]) -> str:
    """Return the shape of an array as text, e.g. [60000, 28, 28]."""
    return f"[{', '.join(map(str, shape))}]"
