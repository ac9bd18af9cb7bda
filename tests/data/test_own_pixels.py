"""Tests of own data: which grey levels are stored of bytes and of floats."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.own_data import pictures
from vaestudy.config.image_shape import ImageShape
from vaestudy.data.grey_levels import Rounding, grey_levels


class TestStored:
    def test_a_row_is_channel_by_channel_and_row_by_row(self) -> None:
        images = pictures(3, 4, 5, 3)
        stored, shape = grey_levels("images", images, Rounding())
        assert shape == ImageShape(4, 5, 3)
        wanted = [images[1, i, j, c] for c in range(3) for i in range(4) for j in range(5)]
        assert stored[1].tolist() == wanted

    def test_one_channel_may_be_written_or_not(self) -> None:
        images = pictures(3, 4, 5)
        one, other = (grey_levels("images", x, Rounding()) for x in (images, images[..., None]))
        assert one[1] == other[1] == ImageShape(4, 5)
        assert np.array_equal(one[0], other[0])

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_floats_on_the_levels_lose_nothing(self, kind: type) -> None:
        images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
        rounding = Rounding()
        stored, _ = grey_levels("images", (images / 255).astype(kind), rounding)
        assert np.array_equal(stored, images.reshape(4, 64))
        assert rounding.text == ""

    def test_other_floats_are_rounded_and_it_is_told_how_far(self) -> None:
        x = np.array([[[0.0, 1.0], [0.5, 100.25 / 255]]])
        rounding = Rounding()
        stored, _ = grey_levels("images", x, rounding)
        assert stored.tolist() == [[0, 255, 128, 100]]
        assert (rounding.most, rounding.total, rounding.values) == (pytest.approx(0.5), pytest.approx(0.75), 4)
        assert "by up to 0.50 and on average 0.19 of a level" in rounding.text

    def test_floats_are_rounded_the_same_block_by_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x = np.random.default_rng(0).random((7, 3, 3, 3))
        whole, _ = grey_levels("images", x, Rounding())
        monkeypatch.setattr("vaestudy.data.grey_levels.AT_ONCE", 60)
        assert np.array_equal(grey_levels("images", x, Rounding())[0], whole)
