"""The user's own data: a `.npz` or `.npy` file, a folder of PNG or JPEG files, or a function of the user's code.

docs/data.md explains to users what is accepted. `data/content.py` makes a data set of the arrays that are read here.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from vaestudy.config.own_dataset import absolute_name, is_function
from vaestudy.config.registry import DATASETS, DatasetSpec
from vaestudy.data.array_files import given_arrays, read_arrays
from vaestudy.data.content import Content, assembled
from vaestudy.data.content_source import ContentSource
from vaestudy.data.grey_levels import Unusable
from vaestudy.data.image_folder import image_files, read_folder
from vaestudy.data.published import BinarisedMnist, Omniglot
from vaestudy.errors import reason_of

FILES = (".npz", ".npy")
MOST_VALID = 5_000
IMAGES_SEEN = 300_000
"""Number of train images that a run of own data sees by default, over all epochs: as many as one of mnist-5k."""
LEAST_EPOCHS, MOST_EPOCHS = 10, 200


@dataclass(frozen=True)
class OwnData(ContentSource):
    """Own data, named by an absolute path or by `package.module:function`."""

    label: str

    def files(self, root: Path) -> list[Path]:
        if is_function(self.label):
            return []
        path = Path(self.label)
        return [path, *image_files(path)] if path.is_dir() else [path]

    def load(self, root: Path) -> Content:
        if is_function(self.label):
            return assembled(*given_arrays(called(self.label)))
        path = Path(self.label)
        if path.is_dir():
            return assembled(*read_folder(path))
        if not path.is_file() or path.suffix not in FILES:
            raise Unusable(f"must be a file {' or '.join(FILES)}, or a folder of PNG or JPEG files")
        return assembled(*read_arrays(path))


def called(name: str) -> object:
    """Return what the function `package.module:function` returns. The current directory is on the import path.

    Raises:
        Unusable: there is no such function, or it fails.
    """
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), function)()
    except Exception as error:
        raise Unusable(f"the function could not be called: {reason_of(error)}") from None
    finally:
        sys.path.remove(here)


def own_spec(dataset: str) -> DatasetSpec:
    """Return the declaration of own data; its sizes are those of the content.

    Raises:
        BadInput: the data cannot be read.
    """
    name = absolute_name(dataset)
    path = Path(name)
    if path.suffix == ".mat":
        return replace(DATASETS["omniglot"], name=name, implementation=Omniglot(name, path))
    if path.suffix == ".amat" or BinarisedMnist.lies_in(path):
        folder = path.parent if path.suffix == ".amat" else path
        return replace(DATASETS["binarised-mnist"], name=name, implementation=BinarisedMnist(name, folder))
    source = OwnData(name)
    content = source.content(Path())
    size = len(content.train.pixels)
    return DatasetSpec(
        name,
        source,
        train_size=size,
        test_size=len(content.test.pixels),
        valid_size=min(MOST_VALID, size // 10),
        epochs=default_epochs(size),
        shape=content.shape,
        by_content=True,
    )


def default_epochs(train_size: int) -> int:
    """Return the number of epochs in which `IMAGES_SEEN` images are seen, within limits."""
    return max(LEAST_EPOCHS, min(MOST_EPOCHS, round(IMAGES_SEEN / train_size)))
