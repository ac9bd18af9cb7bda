"""Find a data set, check its files, and cut it into train, valid and test images for one configuration.

Shapes: n images, P pixels. Images are uint8 [n, P], labels int64 [n], or None. `vaestudy/data/pixels.py` turns the
stored bytes into x. `vaestudy/data/sources.py` downloads, checks and reads the files of each data set, and
`vaestudy/data/own.py` those of the user.

Files are checked by SHA-256 before they are read, and before torch is imported. The fingerprint of a data set covers
every byte of its images and labels, and their shape. Data that no published digest identifies is identified by its
content: `resolve` fills in `data_digest`, and everything that reads the data compares.
"""

from __future__ import annotations

import functools
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from vaestudy.config.compatibility import LEAST_GRADIENT_IMAGES
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.own_dataset import DIGEST_LETTERS, absolute_name, is_own
from vaestudy.config.registry import DATASETS, PIXELS, DatasetSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.data.content import fingerprint as fingerprint_of
from vaestudy.data.content_source import ContentSource, described
from vaestudy.data.own import own_spec
from vaestudy.data.sources import IdxSet, Split
from vaestudy.errors import BadInput
from vaestudy.runtime.paths import mlruns

DATA_DIR_VARIABLE = "VAESTUDY_DATA_DIR"
PROBE_SECONDS = 3
AUTO_SECONDS = 20  # limit for a download under `auto`, including the start of a Python process with torchvision
NAMED_SECONDS = 900


@dataclass(frozen=True)
class Data:
    """A data set, cut for one configuration. Use the test split only at the end of a run."""

    name: str
    train: Split
    valid: Split
    test: Split
    fingerprint: str
    """SHA-256 over every byte of the images and labels of the complete data set, even if only a part of it is used. If
    the pixel protocol draws the images once, it covers the drawn images, so it says which these are."""
    shape: ImageShape = DIGIT
    """Shape of an image; P is its number of values."""
    classes: int = 10
    """Number of classes, of all images: one more than the largest label; 0 if there are no labels."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What was done to make the data set of its files, for the record: `split`, `rounding`, ..."""


def data_root(data_dir: Path | None) -> Path:
    """Return the directory of the data sets: `data_dir`, else VAESTUDY_DATA_DIR, else the user's cache directory.

    The path is absolute, as another process may have another current directory. A user without a home has no cache
    directory; the data sets are then kept under mlruns/.

    Raises:
        BadInput: the directory that was given (by `data_dir` or the variable) is missing or cannot be read.
    """
    named = data_dir or (Path(value) if (value := os.environ.get(DATA_DIR_VARIABLE)) else None)
    if named is None:
        return _user_cache() or mlruns() / "data"
    origin = "--data-dir" if data_dir else DATA_DIR_VARIABLE
    try:
        exists = named.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadInput(f"{origin} {named}: cannot be used ({error.strerror})") from None
    if not exists:
        raise BadInput(f"{origin} {named}: no such directory")
    if not os.access(named, os.R_OK | os.X_OK):
        raise BadInput(f"{origin} {named}: the directory cannot be read")
    return named.absolute()


def _user_cache() -> Path | None:
    """Return the user's cache directory; None if the user has no home."""
    try:
        cache = platformdirs.user_cache_path("vaestudy")
    except RuntimeError:
        return None
    return cache if cache.is_absolute() else None  # earlier versions of platformdirs return "~/.cache"


def spec_of(dataset: str) -> DatasetSpec:
    """Return the declaration of a data set by its name. Own data is read for that.

    Raises:
        BadInput: own data cannot be read.
    """
    return own_spec(dataset) if is_own(dataset) else DATASETS[dataset]


def find_dataset(name: str, root: Path) -> tuple[str, str | None]:
    """Find a data set on disk or download it, and check its files.

    `auto` means `mnist`. If MNIST is neither on disk nor quickly downloaded, `auto` means `mnist-5k`.

    Args:
        name: the name of a data set, the place of own data, or `auto`.
        root: the directory of the data sets.

    Returns:
        The name of the data set, of own data with its absolute path; and a line to show to the user if `auto` fell back
        to `mnist-5k`, or if the data was made of files by rules that the user should know; else None.

    Raises:
        BadInput: a file is missing or altered, or a data set that was requested by name is not on disk and cannot be
            downloaded.
    """
    wanted = "mnist" if name == "auto" else absolute_name(name)
    note = None
    entry = spec_of(wanted).load()
    if isinstance(entry, ContentSource):
        return wanted, described(name, entry.content(root))
    if not entry.present(root) and isinstance(entry, IdxSet):
        try:
            _reachable(entry.mirror)
            entry.fetch(root, AUTO_SECONDS if name == "auto" else NAMED_SECONDS)
        except OSError as error:
            strangers = entry.strangers(root)
            hint = f" ({strangers[0]} is damaged or of another data set)" if strangers else ""
            if name != "auto":
                raise BadInput(f"dataset {name}: not under {root}{hint}, and not to be downloaded: {error}") from None
            wanted = "mnist-5k"
            note = (
                f"MNIST is neither under {root}{hint} nor quickly downloaded; using mnist-5k instead: "
                "5,000 real MNIST digits, 4,000 to train and 1,000 to test. "
                "Its numbers are not comparable with full MNIST's."
            )
    DATASETS.load(wanted).verify(root)
    return wanted, note


def _reachable(mirror: str) -> None:
    """Raise OSError unless `mirror` answers.

    The request runs in a thread, because the timeout of `urlopen` does not cover the look-up of the host name.
    """
    answered: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(mirror, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # A server that refuses to list its folder does answer.
        except OSError:
            return
        answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    if not answered:
        raise OSError(f"{mirror} does not answer")


def resolve(config: RunConfig, root: Path) -> tuple[RunConfig, str | None]:
    """Fill in the name of the data set and what depends on it: `valid_size`, `epochs` and `data_digest`.

    Returns:
        The resolved configuration, and the line to show that `find_dataset` returned, or None.

    Raises:
        BadInput: as in `find_dataset`, or `valid_size` leaves no images to train on, or there are fewer test images
            than `ais_images`, or the content has another digest than `data_digest`.
    """
    if config.dataset != "auto":
        _check_sizes(config)
    name, note = find_dataset(config.dataset, root)
    entry = spec_of(name)
    if config.data_digest and not entry.by_content:
        raise BadInput(f"--data-digest {config.data_digest}: only for own data; {name} has published digests")
    resolved = config.with_changes(
        dataset=name,
        data_digest=_checked_digest(name, root, config.data_digest) if entry.by_content else "",
        **sizes_of(entry, config),
    )
    _check_sizes(resolved)
    return resolved, note


def sizes_of(entry: DatasetSpec, config: RunConfig) -> dict[str, int]:
    """Return `valid_size` and `epochs` of a configuration; where it leaves them open, those of the data set."""
    return {
        "valid_size": entry.valid_size if config.valid_size is None else config.valid_size,
        "epochs": entry.epochs if config.epochs is None else config.epochs,
    }


def _checked_digest(name: str, root: Path, expected: str) -> str:
    """Return the digest of data that its content identifies.

    Raises:
        BadInput: the data cannot be read, or another digest is expected.
    """
    found: str = spec_of(name).load().content(root).digest
    if expected not in ("", found):
        shown = [digest[:DIGEST_LETTERS] for digest in (found, expected)]
        raise BadInput(f"dataset {name}: other content than expected: its digest is {shown[0]}..., not {shown[1]}...")
    return found


def verify(config: RunConfig, root: Path) -> None:
    """Check that the data of a resolved configuration is there, or download it; of own data, that it is the same.

    Raises:
        BadInput: as in `find_dataset`, or own data has changed.
    """
    find_dataset(config.dataset, root)
    if config.data_digest:
        _checked_digest(config.dataset, root, config.data_digest)


def _check_sizes(config: RunConfig) -> None:
    """Raise unless the data set has the images that are set aside for validation, and that are scored."""
    size, test = spec_of(config.dataset).train_size, spec_of(config.dataset).test_size
    if config.ais_images > test:
        raise BadInput(f"--ais-images {config.ais_images}: must be {test} or less, the test images of {config.dataset}")
    if config.valid_size is not None and config.valid_size >= size:
        raise BadInput(f"--valid-size {config.valid_size}: must be below {size}, the train images of {config.dataset}")
    if config.valid_size is not None and config.gradient_images and size - config.valid_size < LEAST_GRADIENT_IMAGES:
        most = size - LEAST_GRADIENT_IMAGES
        raise BadInput(
            f"--valid-size {config.valid_size}: must be {most} or less with --gradient-images, which are "
            f"{LEAST_GRADIENT_IMAGES} or more of the {size} train images of {config.dataset}"
        )


@functools.cache
def _load(name: str, root: Path, digest: str) -> Data:
    """Return a data set that is not cut, without valid. It is read once per process.

    Args:
        digest: the digest of its content, if that identifies it; else empty.

    Raises:
        BadInput: the data cannot be read, or has other content.
    """
    if digest:
        _checked_digest(name, root, digest)
    source, shape = spec_of(name).load(), spec_of(name).shape
    train, test = source.read(root)
    facts = source.content(root).facts if isinstance(source, ContentSource) else {}
    classes = 0
    if train.labels is not None and test.labels is not None:
        classes = 1 + max(int(split.labels.max()) for split in (train, test))
    return Data(name, train, train[:0], test, _fingerprint(train, test, shape), shape, classes, facts)


@functools.cache
def _load_for(pixels: str, name: str, root: Path, digest: str) -> Data:
    """Return what `_load` returns, with the images that the pixel protocol draws once in place of the stored."""
    stored = _load(name, root, digest)
    if (draw := PIXELS[pixels].load_draw_once()) is None:
        return stored
    train = Split(draw(stored.train.images, "train"), stored.train.labels)
    test = Split(draw(stored.test.images, "test"), stored.test.labels)
    return replace(stored, train=train, test=test, fingerprint=_fingerprint(train, test, stored.shape))


def _fingerprint(train: Split, test: Split, shape: ImageShape) -> str:
    """Return the SHA-256 over the types, shapes and bytes of all images and labels."""
    tensors = (train.images, train.labels, test.images, test.labels)
    return fingerprint_of((None if tensor is None else tensor.numpy() for tensor in tensors), shape)


def load_splits(config: RunConfig, root: Path) -> Data:
    """Return the splits for a resolved configuration.

    The last `valid_size` train images are the validation split. With `subset`, each split is cut to its first images:
    `subset` images of train, and half as many (at least one) of valid and of test.

    Raises:
        BadInput: own data cannot be read, or its content has changed.
        ValueError: the configuration was not resolved by `resolve`.
    """
    unresolved = config.valid_size is None or config.dataset == "auto"
    if unresolved or spec_of(config.dataset).by_content != bool(config.data_digest):
        raise ValueError("load_splits() needs a configuration that resolve() has filled in")
    data = _load_for(config.pixels, config.dataset, root, config.data_digest)
    cut = len(data.train) - (config.valid_size or 0)
    train, valid, test = data.train[:cut], data.train[cut:], data.test
    if config.subset is not None:
        few = slice(0, max(1, config.subset // 2))
        train, valid, test = train[: config.subset], valid[few], test[few]
    return replace(data, name=config.dataset_name, train=train, valid=valid, test=test)
