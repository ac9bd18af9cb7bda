"""The scores of each image that a run leaves behind: they are those of its scores, and the images are known."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput
from vaestudy.run import execute, weights
from vaestudy.run.image_scores import IDENTITY, IMAGE_SCORES, identity_of, pack_image_scores, unpack_image_scores
from vaestudy.scoring.score import image_scores

X = torch.arange(12.0).reshape(4, 3) / 12
IMAGES = identity_of(X, "grey", "f" * 64)
VALUES = {"elbo": torch.tensor([-1.0, -2.5, 3.25, -104.123456789], dtype=torch.float64)}


@pytest.mark.parametrize("pixels", ["grey", "dequantised"])
def test_a_run_stores_what_scoring_again_gives(tiny: RunConfig, pixels: str) -> None:
    config = tiny.with_changes(pixels=pixels, iwae=(1, 3), epochs=1, figures=())
    record = execute.execute(config, Path())
    stored = unpack_image_scores(record.files[IMAGE_SCORES])
    names = ["elbo", "iwae_1", "iwae_3"] + ["bits_per_dim"] * (pixels == "dequantised")
    assert list(stored.values) == names
    assert record.facts["image_scores"] == ", ".join(names)
    data = datasets.load_splits(config, Path())
    x, _ = execute.scored_images(config, data)
    again = image_scores(weights.unpack_weights(record.files["weights.safetensors"]), x, config.iwae)
    for name, values in stored.values.items():
        assert np.array_equal(values, again[name].numpy().astype(np.float32))
        # float32 keeps 24 bits, so a mean of rounded values is off by at most 2^-24 of the largest
        assert abs(values.astype(float).mean() - record.metrics[f"test/{name}"]) <= 2**-24 * abs(values).max()
    assert (stored.images.fingerprint, stored.images.split) == (record.facts["data.fingerprint"], "test")
    assert (stored.images.pixels, stored.images.count) == (pixels, len(data.test))
    assert stored.images == identity_of(x, pixels, data.fingerprint)


def test_a_run_without_scores_stores_none(tiny: RunConfig) -> None:
    record = execute.execute(tiny.with_changes(test_scores=False, epochs=1, figures=()), Path())
    assert IMAGE_SCORES not in record.files
    assert "image_scores" not in record.facts


def test_the_file_is_small_and_the_same_each_time() -> None:
    values = {"elbo": torch.zeros(10_000, dtype=torch.float64)}
    content = pack_image_scores(IMAGES, values)
    assert content == pack_image_scores(IMAGES, values)
    assert 40_000 < len(content) < 42_000


@pytest.mark.parametrize(
    "other",
    [
        identity_of(X.flip(0), "grey", "f" * 64),
        identity_of(X[:3], "grey", "f" * 64),
        identity_of(X + 0.01, "grey", "f" * 64),
        identity_of(X, "binarised", "f" * 64),
        identity_of(X, "grey", "e" * 64),
    ],
    ids=["order", "fewer", "pixels", "protocol", "data set"],
)
def test_other_images_have_another_identity(other: object) -> None:
    assert other != IMAGES
    assert identity_of(X.clone(), "grey", "f" * 64) == IMAGES


def with_entry(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


GOOD = pack_image_scores(IMAGES, VALUES)
with np.load(io.BytesIO(GOOD)) as read:
    KNOWN = read[IDENTITY]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (GOOD[:-30], "cannot be read"),
        (with_entry(elbo=np.zeros(4, np.float32)), IDENTITY),
        (with_entry(images=KNOWN, elbo=np.zeros(5, np.float32)), r"elbo is float32 \[5\], not float32 \[4\]"),
        (with_entry(images=KNOWN, elbo=np.zeros(4)), "elbo is float64"),
        (with_entry(images=KNOWN, elbo=np.array([None] * 4)), "allow_pickle"),
    ],
    ids=["empty", "torn", "no identity", "other length", "float64", "pickle"],
)
def test_what_is_no_such_file_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        unpack_image_scores(content)
    assert np.array_equal(unpack_image_scores(GOOD).values["elbo"], VALUES["elbo"].numpy().astype(np.float32))
