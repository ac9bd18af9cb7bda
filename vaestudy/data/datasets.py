"""DATASETS: name -> train / valid / test images in memory, labels, and a fingerprint of every byte.

Shapes: n images, P = 784 pixels. Images are uint8 [n, P], labels int64 [n]; `pixels.py` turns bytes into x.
Files are checked by SHA-256 before anything reads them, and before torch is imported.
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
from typing import TYPE_CHECKING

import platformdirs

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.sources import IdxSet, Split
from vaestudy.errors import BadInput

if TYPE_CHECKING:
    pass

DATA_DIR_VARIABLE = "VAESTUDY_DATA_DIR"
PROBE_SECONDS = 3
AUTO_SECONDS = 20  # what `auto` may spend on a download, the start of a Python with torchvision included
NAMED_SECONDS = 900


@dataclass(frozen=True)
class Data:
    """A data set cut for one configuration. The test split is for the end of a run alone."""

    name: str
    train: Split
    valid: Split
    test: Split
    fingerprint: str
    """SHA-256 over every byte of the whole set's images and labels, whatever part of it is used."""


def data_root(data_dir: Path | None) -> Path:
    """Where data sets lie: `data_dir`, else VAESTUDY_DATA_DIR, else the user's cache directory.

    Raises:
        BadInput: a directory was named that is missing or unreadable.
    """
    named = data_dir or (Path(value) if (value := os.environ.get(DATA_DIR_VARIABLE)) else None)
    if named is None:
        return platformdirs.user_cache_path("vaestudy")
    origin = "--data-dir" if data_dir else DATA_DIR_VARIABLE
    if not named.is_dir():
        raise BadInput(f"{origin} {named}: no such directory")
    if not os.access(named, os.R_OK | os.X_OK):
        raise BadInput(f"{origin} {named}: the directory cannot be read")
    return named


def find_dataset(name: str, root: Path) -> tuple[str, str | None]:
    """The data set that `name` stands for, on disk and checked, and a line to show if `auto` had to make do.

    Raises:
        BadInput: files are altered, or a set asked for by name is neither on disk nor to be had.
    """
    wanted = "mnist" if name == "auto" else name
    note = None
    if not (entry := DATASETS.load(wanted)).present(root) and isinstance(entry, IdxSet):
        try:
            _reachable(entry.mirror)
            entry.fetch(root, AUTO_SECONDS if name == "auto" else NAMED_SECONDS)
        except OSError as error:
            if name != "auto":
                raise BadInput(f"dataset {name}: not under {root}, and not to be downloaded: {error}") from None
            wanted = "mnist-5k"
            note = (
                f"MNIST is neither under {root} nor quickly downloaded; using mnist-5k instead: "
                "5,000 real MNIST digits, 4,000 to train and 1,000 to test. "
                "Its numbers are not comparable with full MNIST's."
            )
    DATASETS.load(wanted).verify(root)
    return wanted, note


def _reachable(mirror: str) -> None:
    """Raise OSError unless `mirror` answers at all; in a thread, as no time limit reaches into name look-up."""
    answered: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(mirror, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # A server that refuses to list its folder is there.
        except OSError:
            return
        answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    if not answered:
        raise OSError(f"{mirror} does not answer")


def resolve(config: RunConfig, root: Path) -> tuple[RunConfig, str | None]:
    """The configuration with its data set's name and defaults filled in, and the line of `choose`.

    Raises:
        BadInput: as `choose`, or `valid_size` leaves nothing to train on.
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


@functools.cache
def _load(name: str, root: Path) -> tuple[Split, Split, str]:
    """(train, test, fingerprint), once per process."""
    train, test = DATASETS.load(name).read(root)
    digest = hashlib.sha256()
    for tensor in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return train, test, digest.hexdigest()


def load_splits(config: RunConfig, root: Path) -> Data:
    """The splits for a resolved configuration; the last `valid_size` train images are the validation split."""
    if config.valid_size is None or config.dataset == "auto":
        raise ValueError("prepare() wants a configuration that resolve() has filled in")
    all_train, test, fingerprint = _load(config.dataset, root)
    cut = len(all_train) - config.valid_size
    train, valid = all_train[:cut], all_train[cut:]
    if config.subset is not None:
        few = slice(0, max(1, config.subset // 2))
        train, valid, test = train[: config.subset], valid[few], test[few]
    return Data(config.dataset, train, valid, test, fingerprint)
