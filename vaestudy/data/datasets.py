"""Find a data set, check its files, and cut it into train, valid and test images for one configuration.

Shapes: n images, P = 784 pixels. Images are uint8 [n, P], labels int64 [n]. `vaestudy/data/pixels.py` turns the stored
bytes into x. `vaestudy/data/sources.py` downloads, checks and reads the files of each data set.

Files are checked by SHA-256 before they are read, and before torch is imported. The fingerprint of a data set covers
every byte of its images and labels.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vaestudy.config.compatibility import LEAST_GRADIENT_IMAGES
from vaestudy.config.registry import DATASETS, PIXELS
from vaestudy.config.run_config import RunConfig
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


def find_dataset(name: str, root: Path) -> tuple[str, str | None]:
    """Find a data set on disk or download it, and check its files.

    `auto` means `mnist`. If MNIST is neither on disk nor quickly downloaded, `auto` means `mnist-5k`.

    Args:
        name: the name of a data set, or `auto`.
        root: the directory of the data sets.

    Returns:
        The name of the data set, and a line to show to the user if `auto` fell back to `mnist-5k`, else None.

    Raises:
        BadInput: a file is missing or altered, or a data set that was requested by name is not on disk and cannot be
            downloaded.
    """
    wanted = "mnist" if name == "auto" else name
    note = None
    if not (entry := DATASETS.load(wanted)).present(root) and isinstance(entry, IdxSet):
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
    """Fill in the name of the data set and the defaults that depend on it: `valid_size` and `epochs`.

    Returns:
        The resolved configuration, and the line to show that `find_dataset` returned, or None.

    Raises:
        BadInput: as in `find_dataset`, or `valid_size` leaves no images to train on.
    """
    if config.dataset != "auto":
        _check_valid_size(config)
    name, note = find_dataset(config.dataset, root)
    entry = DATASETS[name]
    resolved = config.with_changes(
        dataset=name,
        valid_size=entry.valid_size if config.valid_size is None else config.valid_size,
        epochs=entry.epochs if config.epochs is None else config.epochs,
    )
    _check_valid_size(resolved)
    return resolved, note


def _check_valid_size(config: RunConfig) -> None:
    size = DATASETS[config.dataset].train_size
    if config.valid_size is not None and config.valid_size >= size:
        raise BadInput(f"--valid-size {config.valid_size}: must be below {size}, the train images of {config.dataset}")
    if config.valid_size is not None and config.gradient_images and size - config.valid_size < LEAST_GRADIENT_IMAGES:
        most = size - LEAST_GRADIENT_IMAGES
        raise BadInput(
            f"--valid-size {config.valid_size}: must be {most} or less with --gradient-images, which are "
            f"{LEAST_GRADIENT_IMAGES} or more of the {size} train images of {config.dataset}"
        )


@functools.cache
def _load(name: str, root: Path) -> tuple[Split, Split, str]:
    """Return (train, test, fingerprint). The data set is read once per process."""
    train, test = DATASETS.load(name).read(root)
    return train, test, _fingerprint(train, test)


@functools.cache
def _load_for(pixels: str, name: str, root: Path) -> tuple[Split, Split, str]:
    """Return (train, test, fingerprint), with the images that the pixel protocol draws once in place of the stored."""
    train, test, fingerprint = _load(name, root)
    if (draw := PIXELS[pixels].load_draw_once()) is None:
        return train, test, fingerprint
    train, test = Split(draw(train.images, "train"), train.labels), Split(draw(test.images, "test"), test.labels)
    return train, test, _fingerprint(train, test)


def _fingerprint(train: Split, test: Split) -> str:
    """Return the SHA-256 over the types, shapes and bytes of all images and labels."""
    digest = hashlib.sha256()
    for tensor in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def load_splits(config: RunConfig, root: Path) -> Data:
    """Return the splits for a resolved configuration.

    The last `valid_size` train images are the validation split. With `subset`, each split is cut to its first images:
    `subset` images of train, and half as many (at least one) of valid and of test.

    Raises:
        ValueError: the configuration was not resolved by `resolve`.
    """
    if config.valid_size is None or config.dataset == "auto":
        raise ValueError("load_splits() needs a configuration that resolve() has filled in")
    all_train, test, fingerprint = _load_for(config.pixels, config.dataset, root)
    cut = len(all_train) - config.valid_size
    train, valid = all_train[:cut], all_train[cut:]
    if config.subset is not None:
        few = slice(0, max(1, config.subset // 2))
        train, valid, test = train[: config.subset], valid[few], test[few]
    return Data(config.dataset, train, valid, test, fingerprint)
