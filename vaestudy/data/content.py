"""The content of a data set that is identified by its content: checked images in memory, without torch.

Shapes: n images of height H, width W and C channels; P = C H W. Images are uint8 [n, P], labels int64 [n].

`assembled` makes the content of arrays that were read from somewhere. The order of the images in a file has no meaning:
within a split they are sorted by their SHA-256. So the same images in another order are the same data set, and the
validation images, the last train images, are no particular class of a file that is sorted by class.

If the arrays have no test split, the SHA-256 of each image decides: it is a test image if the first 64 bits, read as a
whole number, are below 2^64 `TEST_SHARE`. So identical images never end in both splits, an image stays in its split
when others are added, and no random numbers are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.data.grey_levels import Rounding, Unusable, grey_levels, shape_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEST_SHARE = 0.2
"""The expected share of test images where the content decides."""
MOST_CLASSES = 1_000

PARTS = ("train", "test", "train_labels", "test_labels", "images", "labels")
"""What the arrays of a data set are: two splits, or `images` to be split; the labels may be missing."""


@dataclass(frozen=True)
class Images:
    """The images of one split, uint8 [n, P], and their labels, int64 [n], or None."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None


@dataclass(frozen=True)
class Content:
    """A data set in memory."""

    train: Images
    test: Images
    shape: ImageShape
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was done to make it, by name: `split`, `rounding`, ... The record of a run contains them."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the images, the labels and the shape."""
        parts = (self.train.pixels, self.train.labels, self.test.pixels, self.test.labels)
        return fingerprint(parts, self.shape)


def fingerprint(arrays: Iterable[NDArray[Any] | None], shape: ImageShape) -> str:
    """Return the SHA-256 over the types, shapes and bytes of arrays.

    Args:
        arrays: images and labels of train, then of test; None for labels that do not exist.
        shape: the shape of an image. It counts only if it is not 28 x 28: digests of such images are older than shapes.
    """
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"no labels\n")
        else:
            digest.update(f"torch.{array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    if shape != DIGIT:
        digest.update(f"{shape}\n".encode())
    return digest.hexdigest()


def assembled(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str] | None = None) -> Content:
    """Return the content of a data set, after all checks of its values.

    Args:
        arrays: name of `PARTS` -> array. Images are [n, H, W] or [n, H, W, C], uint8 or float.
        facts: what is known of the arrays' origin.

    Raises:
        Unusable: the arrays are no data set.
    """
    require_parts(arrays)
    rounding = Rounding()
    names = ["images"] if "images" in arrays else ["train", "test"]
    found = {name: grey_levels(name, arrays[name], rounding) for name in names}
    shapes = {name: shape for name, (_, shape) in found.items()}
    if len(set(shapes.values())) > 1:
        raise Unusable(f"two shapes: {' and '.join(f'{name} {shape}' for name, shape in shapes.items())}")
    splits = [Images(found[name][0], _labels(arrays, name, len(found[name][0]))) for name in names]
    if all(arrays[name].dtype == "uint8" for name in names):
        _require_more_than_binary(splits)
    keys = [_digests(split.pixels) for split in splits]
    told = dict(facts or {})
    if len(splits) == 1:
        limit = int(2**64 * TEST_SHARE)
        tested = [int.from_bytes(key[:8], "big") < limit for key in keys[0]]
        rows = [[i for i, test in enumerate(tested) if test is wanted] for wanted in (False, True)]
        orders = [_sorted(some, keys[0], splits[0].labels) for some in rows]
        splits = [_taken(splits[0], order) for order in orders]
        told["split"] = _share(len(rows[0]), len(rows[1]))
    else:
        orders = [_sorted(range(len(key)), key, split.labels) for key, split in zip(keys, splits, strict=True)]
        splits = [_taken(split, order) for split, order in zip(splits, orders, strict=True)]
        known = set(keys[0])
        told["split"] = "as given"
        if shared := sum(key in known for key in keys[1]):
            told["split"] += f"; {shared} of the {len(keys[1])} test images are train images, too"
    train, test = splits
    for name, split in (("train", train), ("test", test)):
        if not len(split.pixels):
            raise Unusable(f"no {name} image: of so few images the content hash gives none; give train and test")
    if rounding.text:
        told["rounding"] = rounding.text
    return Content(train, test, next(iter(shapes.values())), told)


def require_parts(names: Iterable[str]) -> None:
    """Raise unless parts of these names make a data set.

    Raises:
        Unusable: images are missing, or are given in two ways, or the labels of one of two splits are missing.
    """
    given = set(names)
    splits = given & {"train", "test"}
    if "images" in given and splits:
        raise Unusable(f"has images and {min(splits)}; give train and test, or images alone")
    if len(splits) == 1:
        missing = "test" if "train" in splits else "train"
        raise Unusable(f"has {min(splits)} but no {missing}; give both, or one array images, which is split")
    if not splits and "images" not in given:
        raise Unusable("has no images: an array train and an array test are needed, or one array images")
    if len(given & {"train_labels", "test_labels"}) == 1:
        raise Unusable("has labels of one split only; give both train_labels and test_labels, or neither")
    if stray := given & ({"labels"} if splits else {"train_labels", "test_labels"}):
        raise Unusable(f"has {min(stray)}, which does not go with {'train and test' if splits else 'images'}")


def _labels(arrays: Mapping[str, NDArray[Any]], images: str, n: int) -> NDArray[np.int64] | None:
    """Return the labels of `n` images as int64 [n], or None if there are none."""
    import numpy as np

    name = "labels" if images == "images" else f"{images}_labels"
    if name not in arrays:
        return None
    labels = arrays[name]
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if labels.shape != (n,):
        raise Unusable(f"{name} has the shape {shape_text(labels.shape)}, and there are {n} images: must be [{n}]")
    if labels.dtype.kind not in "iu":
        raise Unusable(f"{name} is of {labels.dtype}; labels must be whole numbers from 0 to {MOST_CLASSES - 1}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MOST_CLASSES:
        raise Unusable(f"{name} are {low} to {high}; labels must be from 0 to {MOST_CLASSES - 1}")
    return labels.astype(np.int64)


def _require_more_than_binary(splits: Sequence[Images]) -> None:
    """Raise if all bytes are 0 or 1: they would be nearly black images, which nobody means."""
    if all(int(split.pixels.max()) <= 1 for split in splits):
        raise Unusable("no value is above 1, and uint8 means grey levels 0 to 255: store binary images as 0 and 255")


def _digests(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Return the SHA-256 of each image of [n, P]."""
    return [hashlib.sha256(image.data).digest() for image in pixels]


def _sorted(rows: Iterable[int], keys: Sequence[bytes], labels: NDArray[np.int64] | None) -> list[int]:
    """Return the numbers of images in the order of their digests; identical images in the order of their labels."""
    return sorted(rows, key=lambda i: (keys[i], 0 if labels is None else int(labels[i])))


def _taken(images: Images, order: Sequence[int]) -> Images:
    """Return some images, in this order."""
    rows = list(order)
    return Images(images.pixels[rows], None if images.labels is None else images.labels[rows])


def _share(train: int, test: int) -> str:
    """Return what the content decided, with the shares."""
    share = 100 * test / (train + test)
    return f"by the SHA-256 of each image: {share:.1f} % of {train + test:,} are test images"
