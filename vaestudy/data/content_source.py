"""The base of sources whose content is read and checked without torch, and is identified by its own digest.

A subclass says which files it reads (`files`) and how (`load`). The content that was read last is kept, as long as its
files have the same sizes and times: a command needs the number of images first, then their digest, then the images.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path

from vaestudy.data.content import Content, Images
from vaestudy.data.grey_levels import Unusable
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput

Signature = tuple[tuple[str, int, int, int], ...]

_last: dict[ContentSource, tuple[Signature, Content]] = {}


class ContentSource(ABC):
    """A data set that is identified by its content. A subclass must be hashable."""

    label: str
    """The name of the data set, for messages."""

    @abstractmethod
    def files(self, root: Path) -> list[Path]:
        """Return the files that are read.

        Raises:
            Unusable: one is missing.
        """

    @abstractmethod
    def load(self, root: Path) -> Content:
        """Read the content.

        Raises:
            Unusable: it cannot be read, or is no data set.
        """

    def present(self, root: Path) -> bool:
        """Return True: such data is never downloaded."""
        return True

    def verify(self, root: Path) -> None:
        """Read and check the content.

        Raises:
            BadInput: it cannot be read, or is no data set.
        """
        self.content(root)

    def content(self, root: Path) -> Content:
        """Return the content; raise BadInput as `verify` does."""
        try:
            signature = self._signature(root)
            if self not in _last or _last[self][0] != signature:
                _last.clear()
                _last[self] = signature, self.load(root)
            return _last[self][1]
        except Unusable as error:
            raise BadInput(f"dataset {self.label}: {error}") from None
        except MemoryError:
            raise BadInput(f"dataset {self.label}: does not fit into the memory") from None

    def read(self, root: Path) -> tuple[Split, Split]:
        """Return (train, test) as tensors; raise BadInput as `verify` does."""
        content = self.content(root)
        return _split(content.train), _split(content.test)

    def _signature(self, root: Path) -> Signature:
        """Return what tells that a file was written again: its name, number, size and time."""
        try:
            stats = [(str(path), path.stat()) for path in self.files(root)]
        except FileNotFoundError:
            raise Unusable("no such file or folder") from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise Unusable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _split(images: Images) -> Split:
    """Return the images of a split as tensors. They share their memory with the content."""
    import torch

    labels = None if images.labels is None else torch.from_numpy(images.labels)
    return Split(torch.from_numpy(images.pixels), labels)


def described(label: str, content: Content) -> str:
    """Return one line that says what the data is and what was done to it."""
    train, test = len(content.train.pixels), len(content.test.pixels)
    labels = "" if content.train.labels is not None else ", no labels"
    facts = "".join(f"; {name}: {text}" for name, text in content.facts.items())
    return f"{label}: images of {content.shape}, {train:,} train and {test:,} test{labels}{facts}"


def file_digest(path: Path) -> str:
    """Return the name of a file and its SHA-256, for the record."""
    with path.open("rb") as file:
        return f"{path.name} has the SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
