"""The tables of the data sets and of the pixel protocols.

`vaestudy/config/registry.py` explains the fields. This file imports nothing slow, because the flags, their help and
their error messages are made from it.
"""

from __future__ import annotations

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import DatasetSpec, PixelSpec

DATASETS = (
    DatasetSpec("mnist", "vaestudy.data.sources:MNIST"),
    DatasetSpec("fashion-mnist", "vaestudy.data.sources:FASHION_MNIST"),
    DatasetSpec("kmnist", "vaestudy.data.sources:KMNIST"),
    DatasetSpec(
        "mnist-5k", "vaestudy.data.sources:MNIST_5K", train_size=4_000, test_size=1_000, valid_size=500, epochs=75
    ),
    DatasetSpec(
        "digits",
        "vaestudy.data.published:DIGITS",
        train_size=1_412,
        test_size=385,
        valid_size=141,
        epochs=200,
        shape=ImageShape(8, 8),
    ),
    DatasetSpec(
        "omniglot",
        "vaestudy.data.published:OMNIGLOT",
        train_size=24_345,
        test_size=8_070,
        valid_size=2_345,
        epochs=25,
        by_content=True,
    ),
    DatasetSpec("binarised-mnist", "vaestudy.data.published:BINARISED_MNIST", valid_size=10_000, by_content=True),
)

PIXELS = (
    PixelSpec("grey", "vaestudy.data.pixels:grey"),
    PixelSpec("binarised", "vaestudy.data.pixels:binarised"),
    PixelSpec("stochastic", "vaestudy.data.pixels:stochastic"),
    PixelSpec("binarised-once", "vaestudy.data.pixels:binarised_once", draw_once="vaestudy.data.pixels:draw_once"),
    PixelSpec("dequantised", "vaestudy.data.pixels:dequantised"),
)
