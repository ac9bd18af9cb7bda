"""How images lie in tensors: as users have them, and as rows of P values, as they are stored and modelled.

Shapes: n images of height H, width W and C channels; P = C H W. A row is the values of an image channel by channel, and
within a channel line by line. Users have [n, H, W] if C = 1, else [n, H, W, C].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaestudy.config.image_shape import ImageShape
from vaestudy.data.grey_levels import LEVELS, shape_text
from vaestudy.errors import BadInput

ArrayLike = Tensor | NDArray[Any] | Sequence[Any]
"""Numbers: a tensor, an array of NumPy, or lists in lists."""


def as_tensor(values: ArrayLike, what: str) -> Tensor:
    """Return numbers as a tensor without a gradient.

    Args:
        values: the numbers.
        what: what they are, for the message.

    Raises:
        BadInput: they are no array of numbers.
    """
    if isinstance(values, Tensor):
        return values.detach()
    try:
        return torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:  # objects, text, lists of two lengths
        raise BadInput(f"{what} must be a tensor or an array of numbers: {error}") from None


def as_images(rows: Tensor, shape: ImageShape) -> Tensor:
    """Return rows [..., P] as images: [..., H, W] if there is one channel, else [..., H, W, C]."""
    planes = rows.reshape(*rows.shape[:-1], shape.channels, shape.height, shape.width)
    return planes.squeeze(-3) if shape.channels == 1 else planes.movedim(-3, -1)


def as_stored(images: ArrayLike, shape: ImageShape) -> Tensor:
    """Return images as they are stored: bytes v, uint8 [n, P].

    A float x becomes the nearest of 256 grey levels, v = round(255 x), as own data does (`data/grey_levels.py`). So
    v / 255 becomes v again.

    Args:
        images: uint8 (0 to 255) or float (0 to 1), in one of these shapes: [n, H, W] (one channel), [n, H, W, C],
            [n, C, H, W], or rows [n, P]. Where [n, H, W, C] and [n, C, H, W] are the same, the channels are last.
        shape: the shape of an image.

    Raises:
        BadInput: the images have another shape, another type, or values out of range; or there are none.
    """
    rows = _rows(as_tensor(images, "images"), shape)
    if not len(rows):
        raise BadInput("there are no images: their number n is 0")
    if rows.dtype == torch.uint8:
        return rows
    if not rows.is_floating_point():
        kind = str(rows.dtype).removeprefix("torch.")
        raise BadInput(f"images are of {kind}; they must be uint8 (0 to 255) or float (0 to 1)")
    _require_range(rows)
    return (rows.double() * LEVELS).round().to(torch.uint8)


def _rows(images: Tensor, shape: ImageShape) -> Tensor:
    """Return images as rows [n, P].

    Raises:
        BadInput: their shape is another.
    """
    C, H, W = shape.channels, shape.height, shape.width
    one = tuple(images.shape[1:])
    if one == (shape.pixels,):
        return images
    if one == (H, W, C):
        return images.movedim(-1, 1).flatten(1)
    if one == (C, H, W) or (C == 1 and one == (H, W)):
        return images.flatten(1)
    valid = [f"[n, {H}, {W}]"] if C == 1 else []
    valid += [f"[n, {H}, {W}, {C}]", f"[n, {C}, {H}, {W}]", f"[n, {shape.pixels}]"]
    single = tuple(images.shape) in ((H, W), (H, W, C), (C, H, W), (shape.pixels,))
    hint = "; a single image x is given as x[None]" if single else ""
    raise BadInput(f"images have the shape {shape_text(images.shape)}, must have one of {', '.join(valid)}{hint}")


def _require_range(x: Tensor) -> None:
    """Raise unless all values are in [0, 1].

    Raises:
        BadInput: one is not.
    """
    low, high = float(x.min()), float(x.max())  # nan if any is nan
    if low != low:
        raise BadInput("images contain nan")
    if low < 0 or high > 1:
        hint = f"; divide by {LEVELS}, or give uint8" if low >= 0 and 1 < high <= LEVELS else ""
        raise BadInput(f"images have values from {low:g} to {high:g}; float images must be in [0, 1]{hint}")
