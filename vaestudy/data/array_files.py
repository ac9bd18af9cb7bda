"""Read the arrays of a data set from a `.npz` or `.npy` file, without pickle, and with all sizes checked before.

A `.npz` file is a zip file of `.npy` files. A small one can declare a size that fills the memory («zip bomb»). So
everything is checked by the heads of the files first: names, types, shapes, and that the declared sizes agree with each
other and fit into the memory. Only then is anything unpacked, and never more than the declared size. `allow_pickle` is
False throughout.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vaestudy.data.content import PARTS, require_parts
from vaestudy.data.grey_levels import Unusable, require_images
from vaestudy.errors import reason_of
from vaestudy.runtime.free_memory import available, gibibytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "x_train", "train_images", "train_x", "X_train"),
    "test": ("test", "x_test", "test_images", "test_x", "X_test"),
    "train_labels": ("train_labels", "y_train", "train_y", "Y_train"),
    "test_labels": ("test_labels", "y_test", "test_y", "Y_test"),
    "images": ("images", "x", "X", "arr_0"),
    "labels": ("labels", "y", "Y"),
}
"""Part of a data set -> the names that an array of it may have, in files of various origin."""

COPIES = 3
"""Bytes that reading takes at most for each declared byte: as read, as stored, and while they are sorted."""


def parts_of(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parts that arrays of these names are.

    Returns:
        (part -> name of its array; facts for the record: which names were taken, and which arrays are not used).

    Raises:
        Unusable: two arrays are the same part, or together the parts are no data set.
    """
    given = list(names)
    found: dict[str, str] = {}
    for part in PARTS:
        mine = [name for name in NAMES[part] if name in given]
        if len(mine) > 1:
            raise Unusable(f"has {' and '.join(mine)}, which both name the {part.replace('_', ' ')}; give one")
        if mine:
            found[part] = mine[0]
    if not found:
        shown = ", ".join(given[:10]) or "none"
        valid = ", ".join(sorted({NAMES[part][0] for part in PARTS}))
        raise Unusable(f"has no array of images; its arrays: {shown}; names that are known: {valid}")
    require_parts(found)
    facts = {}
    if renamed := [f"{part} is {name}" for part, name in found.items() if part != name]:
        facts["arrays"] = ", ".join(renamed)
    if unused := sorted(set(given) - set(found.values())):
        facts["unused"] = ", ".join(unused)
    return found, facts


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Return (part -> array, facts for the record) of a `.npz` or `.npy` file.

    Raises:
        Unusable: the file cannot be read, or holds no images.
    """
    with refusing_damage(), path.open("rb") as file:
        if path.suffix == ".npy":
            size = os.fstat(file.fileno()).st_size
            shape, dtype = _head(file, size, "the array")
            require_images("the array", shape, dtype)
            require_room(size)
            file.seek(0)
            return {"images": _array(file)}, {}
        return _read_npz(file)


def _read_npz(file: IO[bytes]) -> tuple[Arrays, dict[str, str]]:
    """Return (part -> array, facts) of an open `.npz` file."""
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        parts, facts = parts_of(entries)
        used = {part: entries[name] for part, name in parts.items()}
        if any(info.flag_bits & 1 for info in used.values()):
            raise Unusable("is locked by a password")
        require_room(sum(info.file_size for info in used.values()))
        for part, info in used.items():
            with archive.open(info) as entry:
                shape, dtype = _head(entry, info.file_size, parts[part])
            if not part.endswith("labels"):
                require_images(parts[part], shape, dtype)
        found = {}
        for part, info in used.items():
            with archive.open(info) as entry:
                found[part] = _array(entry)
        return found, facts


def _head(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type that a `.npy` file declares, if its size is that of such an array."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise Unusable(f"{name} is in the .npy format {version[0]}.{version[1]}, in which no images are stored")
    shape, _, dtype = read[version](file)
    if dtype.hasobject:
        raise Unusable(f"{name} holds Python objects (a pickle), which are never unpacked; store plain numbers")
    count = 1
    for length in shape:
        count *= length
    if (expected := file.tell() + count * dtype.itemsize) != size:
        raise Unusable(f"{name} is damaged: its head declares {expected:,} bytes, and there are {size:,}")
    return shape, dtype


def _array(file: IO[bytes]) -> NDArray[Any]:
    """Return the array of a `.npy` file."""
    import numpy as np

    found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def require_room(declared: int) -> None:
    """Raise unless images of this many bytes, as they are given, fit into the memory.

    Raises:
        Unusable: they do not.
    """
    if declared * COPIES > (free := available()):
        raise Unusable(
            f"would take {gibibytes(declared * COPIES)} of memory to read ({gibibytes(declared)} unpacked), "
            f"and {gibibytes(free)} are available"
        )


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Turn the errors of reading a file into `Unusable`."""
    try:
        yield
    except FileNotFoundError:
        raise Unusable("no such file") from None
    except MemoryError:
        raise Unusable("does not fit into the memory") from None
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise Unusable(f"is damaged or of another format: {reason_of(error)}") from None


def given_arrays(found: Any) -> tuple[Arrays, dict[str, str]]:
    """Return (part -> array, facts) of what a user's function returned: a mapping name -> array, or one array.

    Raises:
        Unusable: it is neither.
    """
    import numpy as np

    mapping = found if isinstance(found, Mapping) else {"images": found}
    if not all(isinstance(name, str) and isinstance(array, np.ndarray) for name, array in mapping.items()):
        kinds = sorted({type(value).__name__ for value in mapping.values()})
        raise Unusable(f"must return an array of numpy, or a dict of such arrays by name; found {', '.join(kinds)}")
    parts, facts = parts_of(mapping)
    return {part: mapping[name] for part, name in parts.items()}, facts
