"""Read the images of a data set from a folder of PNG or JPEG files.

    FOLDER/*.png                          images without labels
    FOLDER/CLASS/*.png                    a folder for each class
    FOLDER/train/..., FOLDER/test/...     two splits, each as one of the above

Classes are numbered from 0 in the order of their names. Names that begin with a dot are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vaestudy.data.array_files import Arrays, refusing_damage, require_room
from vaestudy.data.grey_levels import Unusable
from vaestudy.errors import reason_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".png", ".jpg", ".jpeg")
BANDS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}
"""Mode of a file -> the mode in which its pixels are read. Other modes have transparency, or more than 8 bits."""


def image_files(folder: Path) -> list[Path]:
    """Return all image files in a folder and its folders, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _hidden(path, folder))


def read_folder(folder: Path) -> tuple[Arrays, dict[str, str]]:
    """Return (part -> array, facts for the record) of a folder of images.

    Raises:
        Unusable: a file cannot be read, the images have two shapes, or a folder has no images.
    """
    with refusing_damage():
        return _read(folder)


def _read(folder: Path) -> tuple[Arrays, dict[str, str]]:
    """Return (part -> array, facts) of a folder of images."""
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    if len(one := names & {"train", "test"}) == 1:
        raise Unusable(f"has a folder {min(one)} but no {'test' if 'train' in one else 'train'}; give both, or neither")
    splits = {"train", "test"} if {"train", "test"} <= names else {""}
    by_class = {split: _by_class(folder / split, folder) for split in sorted(splits, reverse=True)}
    classes = sorted({name for found in by_class.values() for name in found})
    if "" in classes and len(classes) > 1:
        raise Unusable("has images beside folders of classes; put each image into the folder of its class")
    if len(by_class) > 1 and (odd := [c for c in classes if any(c not in found for found in by_class.values())]):
        raise Unusable(f"the class {odd[0] or '(none)'} is in only one of train and test")
    files = {s: [(p, classes.index(c)) for c in classes for p in found[c]] for s, found in by_class.items()}
    shape = _common_shape([path for found in files.values() for path, _ in found], folder)
    arrays: Arrays = {}
    for split, found in files.items():
        arrays[split or "images"] = _pixels([path for path, _ in found], shape, folder)
        if classes != [""]:
            arrays[f"{split}_labels" if split else "labels"] = _label_array([label for _, label in found])
    facts = {} if classes == [""] else {"class_names": f"{len(classes)}: {', '.join(classes)}"}
    used = sum(map(len, files.values()))
    others = sum(path.is_file() and not _hidden(path, folder) for path in folder.rglob("*")) - used
    return arrays, facts | ({"unused": f"{others} files that are no PNG or JPEG of a class"} if others else {})


def _by_class(folder: Path, root: Path) -> dict[str, list[Path]]:
    """Return class -> its image files. The class of images in the folder itself is ""."""
    found: dict[str, list[Path]] = {}
    if own := _images(folder):
        found[""] = own
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            found[path.name] = _images(path)
            if not found[path.name]:
                raise Unusable(f"its folder {path.relative_to(root)} has no image (PNG or JPEG)")
    if not found:
        where = "" if folder == root else f" in {folder.relative_to(root)}"
        raise Unusable(f"has no images (PNG or JPEG){where}")
    return found


def _images(folder: Path) -> list[Path]:
    """Return the image files that lie in a folder itself."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.suffix.lower() in SUFFIXES]


def _hidden(path: Path, folder: Path) -> bool:
    """Return whether a path below a folder has a name that begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _common_shape(paths: list[Path], folder: Path) -> tuple[int, ...]:
    """Return the shape of all images, [H, W] or [H, W, 3], by the heads of the files."""
    shapes: dict[tuple[int, ...], Path] = {}
    for path in paths:
        shapes.setdefault(_shape(path, folder), path)
        if len(shapes) > 1:
            (a, one), (b, other) = shapes.items()
            raise Unusable(
                f"two shapes: {one.relative_to(folder)} is {_text(a)}, {other.relative_to(folder)} is {_text(b)}"
            )
    shape = next(iter(shapes))
    size = len(paths)
    for length in shape:
        size *= length
    require_room(size)
    return shape


def _shape(path: Path, folder: Path) -> tuple[int, ...]:
    """Return the shape of the image in a file, [H, W] or [H, W, 3], without its pixels."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            mode, size = image.mode, image.size
            if mode not in BANDS or "transparency" in image.info:
                kind = "transparency" if mode in BANDS else f"mode {mode}"
                raise Unusable(f"{path.relative_to(folder)} has {kind}; images must be 8-bit grey or RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(f"{path.relative_to(folder)} cannot be read: {reason_of(error)}") from None
    return (size[1], size[0], 3) if BANDS[mode] == "RGB" else (size[1], size[0])


def _pixels(paths: list[Path], shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    """Return the pixels of images, uint8 [n, H, W] or [n, H, W, 3]."""
    import numpy as np
    from PIL import Image

    found = np.empty((len(paths), *shape), dtype=np.uint8)
    for i, path in enumerate(paths):
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                found[i] = np.asarray(image.convert(BANDS[image.mode]))
        except (OSError, SyntaxError, ValueError) as error:
            raise Unusable(f"{path.relative_to(folder)} cannot be read: {reason_of(error)}") from None
    return found


def _label_array(labels: list[int]) -> NDArray[np.int64]:
    """Return labels as int64 [n]."""
    import numpy as np

    return np.array(labels, dtype=np.int64)


def _text(shape: tuple[int, ...]) -> str:
    """Return the shape of an image as text."""
    return " x ".join(map(str, shape))
