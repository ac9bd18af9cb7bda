"""The file that stores the bounds of each test image of a run, so that runs can be compared image by image.

`image_scores.npz` has an array [N] of float32 for each score, 4 bytes an image: 40 KB a score at 10,000 images. The
entry `images` says in JSON which images they are, in which order. Two files may be paired image by image only if this
entry is the same. It has the digest of the pixels x as they were scored, in order: another split, another part of the
data set, another order, another pixel protocol or other noise of the protocol has another digest.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaestudy.errors import BadInput

IMAGE_SCORES = "image_scores.npz"
"""The name of the file in a run's record."""
IDENTITY = "images"
"""The entry of the file that says which images were scored."""
SPLIT = "test"
"""The split whose images a run scores at its end."""


@dataclass(frozen=True)
class ScoredImages:
    """Which images were scored, in which order."""

    fingerprint: str
    """The fingerprint of the data set (tag `data.fingerprint`)."""
    split: str
    pixels: str
    """The pixel protocol."""
    count: int
    digest: str
    """The SHA-256 of the pixels x as they were scored, image after image."""


@dataclass(frozen=True)
class ImageScores:
    """The scores of each test image by one run."""

    images: ScoredImages
    values: dict[str, NDArray[np.float32]]
    """Name of a score, such as iwae_100 -> its value for each image, [N]."""


def identity_of(x: Tensor, pixels: str, fingerprint: str) -> ScoredImages:
    """Return the identity of the test images x [N, P], as they were scored.

    Args:
        x: the pixels, from `execute.scored_images`.
        pixels: the pixel protocol that made them.
        fingerprint: the fingerprint of the data set.
    """
    digest = hashlib.sha256(x.detach().cpu().contiguous().numpy().data).hexdigest()
    return ScoredImages(fingerprint, SPLIT, pixels, len(x), digest)


def pack_image_scores(images: ScoredImages, values: Mapping[str, Tensor]) -> bytes:
    """Return the file of the scores of each image, name -> [N]. The same scores give the same bytes."""
    arrays: dict[str, NDArray[Any]] = {name: value.cpu().numpy().astype(np.float32) for name, value in values.items()}
    content = io.BytesIO()
    everything = {IDENTITY: np.array(json.dumps(asdict(images)))} | arrays
    np.savez(content, **everything)  # type: ignore[arg-type]  # mypy takes an array for `allow_pickle`
    return content.getvalue()


def unpack_image_scores(content: bytes) -> ImageScores:
    """Return the scores that `pack_image_scores` packed. Nothing in the file is executed (no pickle).

    Raises:
        BadInput: the file is incomplete or damaged, or `pack_image_scores` did not write it.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            images = ScoredImages(**json.loads(str(stored[IDENTITY])))
            values = {name: stored[name] for name in stored.files if name != IDENTITY}
    except Exception as error:
        raise BadInput(f"{IMAGE_SCORES} cannot be read: {type(error).__name__}: {error}") from error
    for name, value in values.items():
        if value.shape != (images.count,) or value.dtype != np.float32:
            found = f"{value.dtype} {list(value.shape)}"
            raise BadInput(f"{IMAGE_SCORES} cannot be read: {name} is {found}, not float32 [{images.count}]")
    return ImageScores(images, values)
