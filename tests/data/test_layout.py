"""Images as users have them, and as rows of bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.own_data import pictures
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.data.content import assembled
from vaestudy.data.layout import as_images, as_stored
from vaestudy.errors import BadInput

GREY, COLOUR = ImageShape(8, 6), ImageShape(8, 6, 3)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_every_layout_gives_the_rows_that_own_data_is_stored_in(shape: ImageShape) -> None:
    given = pictures(5, *((8, 6) if shape.channels == 1 else (8, 6, 3)))
    stored = assembled({"train": given, "test": given}).train.pixels  # sorted by SHA-256
    rows = as_stored(given, shape)
    assert sorted(map(bytes, rows.numpy())) == sorted(map(bytes, stored))
    last = given.reshape(5, 8, 6, shape.channels)
    for values in (last, last.transpose(0, 3, 1, 2), rows.numpy(), given):
        assert torch.equal(as_stored(values, shape), rows)
        assert torch.equal(as_stored(torch.from_numpy(values.copy()), shape), rows)
        for kind in (np.float64, np.float32):
            assert torch.equal(as_stored(values.astype(kind) / 255, shape), rows)
            assert torch.equal(as_stored((values.astype(kind) / 255).tolist(), shape), rows)
    assert torch.equal(as_images(rows, shape), torch.from_numpy(given))
    backwards = as_stored(given[:, ::-1], shape)  # an array with a negative step in memory
    assert torch.equal(as_images(backwards, shape), torch.from_numpy(given[:, ::-1].copy()))


def test_half_precision_keeps_every_level() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(49)[None].reshape(16, 784)
    assert torch.equal(as_stored(levels.half() / 255, DIGIT), levels)


def test_a_float_between_two_levels_becomes_the_nearest() -> None:
    x = torch.full((1, 784), 100.4 / 255)
    assert (as_stored(x, DIGIT) == 100).all()
    assert (as_stored(x + 0.2 / 255, DIGIT) == 101).all()


ZEROS = np.zeros((2, 28, 28))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (ZEROS[0], r"the shape \[28, 28\], must have one of \[n, 28, 28\].*a single image x is given as x\[None\]"),
        (np.zeros((2, 8, 8)), r"the shape \[2, 8, 8\], must have one of \[n, 28, 28\], .*\[n, 784\]$"),
        (np.zeros((2, 28, 28, 3)), r"the shape \[2, 28, 28, 3\]"),
        (np.zeros((0, 28, 28)), "there are no images"),
        (np.float64(3), r"the shape \[\]"),
        (ZEROS.astype(np.int64), r"images are of int64; they must be uint8 \(0 to 255\) or float \(0 to 1\)"),
        (ZEROS.astype(bool), "images are of bool"),
        (ZEROS + 16, r"values from 16 to 16; float images must be in \[0, 1\]; divide by 255"),
        (ZEROS - 0.5, r"values from -0.5 to -0.5; float images must be in \[0, 1\]$"),
        (ZEROS * np.nan, "images contain nan"),
        (ZEROS + np.inf, "values from inf to inf"),
        ([[1.0, 2.0], [3.0]], "images must be a tensor or an array of numbers"),
        (np.array([object()]), "images must be a tensor or an array of numbers"),
        ("a.png", "images must be a tensor or an array of numbers"),
    ],
)
def test_what_is_no_image_gets_one_line(images: object, message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        as_stored(images, DIGIT)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_channels_are_last_where_both_are_meant() -> None:
    cube = torch.arange(27, dtype=torch.uint8).reshape(1, 3, 3, 3)
    assert torch.equal(as_images(as_stored(cube, ImageShape(3, 3, 3)), ImageShape(3, 3, 3)), cube)
