"""Published data sets that are read from files of their own: `digits`, `omniglot` and `binarised-mnist`.

`digits` comes with scikit-learn and is checked by the digest of its file. For the other two no digest is known for
certain here, so the sizes and the values are checked, the digests of the files are recorded, and the content identifies
the data set as it does own data.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaestudy.config.image_shape import DIGIT
from vaestudy.data import sources
from vaestudy.data.array_files import refusing_damage
from vaestudy.data.content import Content, Images, assembled
from vaestudy.data.content_source import ContentSource, file_digest
from vaestudy.data.grey_levels import Unusable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Digits(ContentSource):
    """1,797 digits of 8 x 8 pixels, which are part of scikit-learn (Alpaydin & Kaynak 1998).

    The pixels are counts v from 0 to 16. They become x = v / 16, and then the nearest of 256 grey levels: 17 of the 256
    levels occur, and no two counts share one.
    """

    label: str
    digest: str

    def files(self, root: Path) -> list[Path]:
        spec = importlib.util.find_spec("sklearn")
        if spec is None or not spec.submodule_search_locations:
            raise Unusable("the package scikit-learn, which ships it, is not installed")
        return [Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"]

    def load(self, root: Path) -> Content:
        import numpy as np

        (path,) = self.files(root)
        unpacked = sources.unpacked(path, sources.read_file(path))
        sources.require_digest(path, unpacked, self.digest)
        table = np.loadtxt(io.BytesIO(unpacked), delimiter=",")
        images = (table[:, :-1] / 16).reshape(-1, 8, 8)
        return assembled({"images": images, "labels": table[:, -1].astype(np.int64)})


@dataclass(frozen=True)
class Omniglot(ContentSource):
    """Handwritten characters of 50 alphabets, 28 x 28, in the split and the file of Burda et al. 2015: `chardata.mat`.

    A column of `data` and `testdata` is an image, column by column. The labels are the alphabets (`target`).
    """

    label: str = "omniglot"
    path: Path | None = None
    """The file; None for one in the directory of the data sets."""

    NAME = "chardata.mat"
    TRAIN, TEST, ALPHABETS = 24_345, 8_070, 50

    def files(self, root: Path) -> list[Path]:
        return [self.path] if self.path else _found([root / "omniglot", root], (self.NAME,))

    def load(self, root: Path) -> Content:
        from scipy import io as scientific
        from scipy.io.matlab import MatReadError

        (path,) = self.files(root)
        expected = {
            "data": (DIGIT.pixels, self.TRAIN),
            "target": (self.ALPHABETS, self.TRAIN),
            "testdata": (DIGIT.pixels, self.TEST),
            "testtarget": (self.ALPHABETS, self.TEST),
        }
        with refusing_damage():
            try:
                shapes = {name: tuple(shape) for name, shape, _ in scientific.whosmat(path)}
                for name, shape in expected.items():
                    if shapes.get(name) != shape:
                        there = shapes.get(name, "missing")
                        raise Unusable(f"is not {self.NAME}: {name} is {there}, and must be {shape}")
                arrays = scientific.loadmat(path, variable_names=list(expected))
            except (TypeError, NotImplementedError, MatReadError) as error:  # of another version of MATLAB
                raise Unusable(f"is not {self.NAME}: {error}") from None
        parts = {"train": _upright(arrays["data"]), "test": _upright(arrays["testdata"])}
        parts |= {"train_labels": _classes("target", arrays["target"])}
        parts |= {"test_labels": _classes("testtarget", arrays["testtarget"])}
        return assembled(parts, {"files": file_digest(path)})


def _upright(columns: NDArray[Any]) -> NDArray[Any]:
    """Return images [n, 28, 28] of columns [784, n] that hold an image column by column."""
    return columns.T.reshape(-1, DIGIT.width, DIGIT.height).transpose(0, 2, 1)


def _classes(name: str, indicators: NDArray[Any]) -> NDArray[np.int64]:
    """Return the classes [n] of indicators [C, n], of which one is 1 in each column and the others are 0."""
    import numpy as np

    if not np.isin(indicators, (0, 1)).all() or not (indicators.sum(0) == 1).all():
        raise Unusable(f"{name} must have a single 1 in each column, and 0 else")
    found: NDArray[np.int64] = indicators.argmax(0).astype(np.int64)
    return found


@dataclass(frozen=True)
class BinarisedMnist(ContentSource):
    """The binary MNIST of Larochelle: `binarized_mnist_train.amat`, `..._valid.amat` and `..._test.amat`.

    A line is an image: 784 numbers, 0 or 1. They are stored as bytes 0 and 255. There are no labels. The images keep
    the order of the files, with those of valid after those of train: so the published validation images are held out.
    """

    label: str = "binarised-mnist"
    folder: Path | None = None
    """The folder of the files; None for one in the directory of the data sets."""

    NAMES = tuple(f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test"))
    SIZES = (50_000, 10_000, 10_000)

    @classmethod
    def lies_in(cls, folder: Path) -> bool:
        """Return whether a folder has one of the files."""
        try:
            return any((folder / name).is_file() for name in cls.NAMES)
        except OSError:  # a name that is too long, a folder that may not be entered: reading it says so
            return False

    def files(self, root: Path) -> list[Path]:
        folders = [self.folder] if self.folder else [root / "binarized_mnist", root]
        return _found(folders, self.NAMES)

    def load(self, root: Path) -> Content:
        import numpy as np

        paths = self.files(root)
        with refusing_damage():
            train, valid, test = (_lines(path, size) for path, size in zip(paths, self.SIZES, strict=True))
        facts = {"split": "as published", "files": ", ".join(map(file_digest, paths))}
        return Content(Images(np.concatenate((train, valid)), None), Images(test, None), DIGIT, facts)


def _found(folders: list[Path], names: tuple[str, ...]) -> list[Path]:
    """Return the files of these names in the first of some folders that has one of them."""
    folder = next((f for f in folders if any((f / name).is_file() for name in names)), folders[0])
    paths = [folder / name for name in names]
    if missing := [path for path in paths if not path.is_file()]:
        raise Unusable(f"{missing[0]} is missing; put the published file there, or give its path")
    return paths


def _lines(path: Path, count: int) -> NDArray[np.uint8]:
    """Return the images of a text file, bytes 0 and 255 [count, 784]; a line has 784 numbers, 0 or 1."""
    import numpy as np

    size, plain = path.stat().st_size, 2 * DIGIT.pixels * count
    if not plain - 2 <= size <= plain + 3 * count:  # the last line may have no end; a line may end in " \r\n"
        raise Unusable(f"{path.name} has {size:,} bytes; the published file of {count:,} images has about {plain:,}")
    text = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    digits, ends = (text == ord("0")) | (text == ord("1")), text == ord("\n")
    if not (digits | ends | (text == ord(" ")) | (text == ord("\r"))).all():
        raise Unusable(f"{path.name} has other characters than 0, 1, blanks and ends of lines")
    starts = np.concatenate(([0], np.flatnonzero(ends) + 1))
    numbers = np.add.reduceat(digits.view(np.uint8), starts[starts < size], dtype=np.int64)
    if len(numbers) != count or not (numbers == DIGIT.pixels).all():
        raise Unusable(f"{path.name} must have {count:,} lines of {DIGIT.pixels} numbers, each 0 or 1")
    return np.where(text[digits] == ord("1"), 255, 0).astype(np.uint8).reshape(count, DIGIT.pixels)


DIGITS = Digits("digits", "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8")
OMNIGLOT = Omniglot()
BINARISED_MNIST = BinarisedMnist()
