"""The checks of a data set. Its files must be on disk; nothing is downloaded. Shapes: n images, P pixels."""

from __future__ import annotations

from pathlib import Path

import torch

from vaestudy.config.image_shape import ImageShape
from vaestudy.conformance.check import Checks, DoesNotApply, Part, Violation, require
from vaestudy.data.content_source import ContentSource
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput

CHECKS = Checks()

SHARED = 0.01
"""The largest share of test images that may also be train images: published sets have a few."""


_read: dict[tuple[int, Path], dict[str, Split]] = {}
"""Number of a source, which lives as long as the process, and folder -> its splits."""


def splits_of(part: Part) -> dict[str, Split]:
    """Return the two splits of a data set, which are read once per process."""
    source = part.load()
    key = id(source), part.root
    if key not in _read:
        source.verify(part.root)
        _read[key] = dict(zip(("train", "test"), source.read(part.root), strict=True))
    return _read[key]


@CHECKS.first
def can_be_read(part: Part) -> None:
    """It has the methods present, verify and read; its files are there, unaltered, and can be read."""
    source = part.load()
    missing = [name for name in ("present", "verify", "read") if not callable(getattr(source, name, None))]
    require(not missing, f"it has no method {', '.join(missing)}")
    require(
        source.present(part.root),
        f"no file of it is under {part.root}; a first run with it downloads them, if it can be downloaded",
    )
    try:
        source.verify(part.root)
    except BadInput as error:
        raise Violation(str(error)) from None
    for name, split in splits_of(part).items():
        require(isinstance(split, Split), f"read returns a {type(split).__name__} for {name}, not a Split")


@CHECKS
def images_have_the_declared_shape(part: Part) -> None:
    """Images are uint8 [n, P] with P values of the declared shape, n above 0."""
    shape = part.spec.shape
    require(isinstance(shape, ImageShape), f"shape is {shape!r}, not an ImageShape")
    for name, split in splits_of(part).items():
        images = split.images
        require(images.dtype == torch.uint8, f"{name} images are {images.dtype}")
        require(
            images.dim() == 2 and images.shape[1] == shape.pixels,
            f"{name} images are {list(images.shape)}; an image of {shape} has {shape.pixels} values",
        )
        require(len(images) > 0, f"there is no {name} image")


@CHECKS
def images_use_the_bytes(part: Part) -> None:
    """Images use the bytes 0 to 255, and differ from each other."""
    for name, split in splits_of(part).items():
        brightest = int(split.images.max())
        require(brightest > 1, f"the largest byte of {name} is {brightest}: white is 255, not 1")
        require(len(split.images) == 1 or (split.images != split.images[0]).any(), f"all {name} images are the same")


@CHECKS
def labels_fit(part: Part) -> None:
    """Labels are int64 [n] from 0, one for each image, in both splits or in neither."""
    splits = splits_of(part)
    with_labels = [name for name, split in splits.items() if split.labels is not None]
    require(len(with_labels) != 1, f"only {with_labels[:1]} has labels")
    if not with_labels:
        raise DoesNotApply("it has no labels")
    for name, split in splits.items():
        labels = split.labels
        assert labels is not None
        require(labels.dtype == torch.int64, f"{name} labels are {labels.dtype}")
        require(
            labels.shape == (len(split.images),),
            f"{name} labels are {list(labels.shape)} for {len(split.images):,} images",
        )
        require(labels.min() >= 0, f"a {name} label is {int(labels.min())}")


@CHECKS
def declares_its_sizes(part: Part) -> None:
    """The declaration is true: train_size, and a valid_size that leaves images to train on."""
    spec, found = part.spec, len(splits_of(part)["train"])
    require(spec.train_size == found, f"train_size is {spec.train_size:,}, and there are {found:,} train images")
    require(0 <= spec.valid_size < found, f"valid_size is {spec.valid_size:,} of {found:,} train images")
    require(spec.epochs >= 1, f"epochs is {spec.epochs}")
    by_content = isinstance(part.load(), ContentSource)
    require(by_content or not spec.by_content, "by_content is True, so it must be a ContentSource, which has a digest")


@CHECKS
def same_content_twice(part: Part) -> None:
    """It has the same content each time it is read."""
    again = dict(zip(("train", "test"), part.load().read(part.root), strict=True))
    for name, split in splits_of(part).items():
        other = again[name]
        require(torch.equal(split.images, other.images), f"{name} images differ when they are read again")
        both = split.labels is not None and other.labels is not None
        same = torch.equal(split.labels, other.labels) if both else split.labels is other.labels  # type: ignore[arg-type]
        require(same, f"{name} labels differ when they are read again")


@CHECKS
def splits_are_disjoint(part: Part) -> None:
    """At most 1 in 100 test images is also a train image."""
    splits = splits_of(part)
    train = {image.tobytes() for image in splits["train"].images.numpy()}
    test = splits["test"].images.numpy()
    shared = sum(image.tobytes() in train for image in test)
    require(shared <= SHARED * len(test), f"{shared:,} of the {len(test):,} test images are train images, too")
