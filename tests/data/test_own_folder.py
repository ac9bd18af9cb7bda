"""Tests of own data in a folder of pictures, or from a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.own_data import loaded, pictures, resolved
from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput


def png(path: Path, array: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


class TestFolder:
    def test_a_folder_for_each_class(self, tmp_path: Path) -> None:
        images = pictures(30, 6, 5, 3)
        for i, image in enumerate(images):
            png(tmp_path / "in" / ("cat", "dog", "ant")[i % 3] / f"{i}.png", image)
        (tmp_path / "in" / "cat" / ".hidden.png").write_bytes(b"")
        (tmp_path / "in" / "cat" / "notes.txt").write_text("x")
        _, note = datasets.resolve(RunConfig(dataset=f"{tmp_path}/in"), Path())
        assert "class_names: 3: ant, cat, dog" in str(note)
        assert "unused: 1 files" in str(note)
        data = loaded(f"{tmp_path}/in", valid_size=0)
        assert data.classes == 3
        label = {image.transpose(2, 0, 1).tobytes(): (1, 2, 0)[i % 3] for i, image in enumerate(images)}
        for split in (data.train, data.test):
            assert split.labels is not None
            assert [label[row.numpy().tobytes()] for row in split.images] == split.labels.tolist()

    def test_two_splits_without_classes_and_grey(self, tmp_path: Path) -> None:
        images = pictures(9, 6, 5)
        for i, image in enumerate(images):
            png(tmp_path / ("test" if i < 3 else "train") / f"{i}.PNG", image)
        data = loaded(f"{tmp_path}/", valid_size=0)
        assert (len(data.train), len(data.test), data.classes, data.shape) == (6, 3, 0, ImageShape(6, 5))
        assert {row.numpy().tobytes() for row in data.test.images} == {image.tobytes() for image in images[:3]}

    def test_jpeg(self, tmp_path: Path) -> None:
        for i, image in enumerate(pictures(20, 16, 16, 3)):
            png(tmp_path / f"{i}.jpg", image)
        assert loaded(f"{tmp_path}/", valid_size=0).shape == ImageShape(16, 16, 3)

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda d: (d / "c").mkdir(), ["its folder c has no image"]),
            (lambda d: png(d / "a" / "x.png", pictures(1, 7, 5)[0]), ["two shapes", "6 x 5", "7 x 5"]),
            (lambda d: png(d / "a" / "x.png", pictures(1, 6, 5, 3)[0]), ["two shapes", "6 x 5 x 3"]),
            (lambda d: png(d / "x.png", pictures(1, 6, 5)[0]), ["images beside folders"]),
            (lambda d: png(d / "a" / "x.png", np.zeros((6, 5, 4), np.uint8)), ["a/x.png", "mode RGBA"]),
            (lambda d: (d / "a" / "x.png").write_bytes(b"nothing"), ["a/x.png cannot be read"]),
            (lambda d: (d / "a" / "x.png").write_bytes((d / "a" / "0.png").read_bytes()[:-40]), ["cannot be read"]),
            (lambda d: png(d / "train" / "x.png", pictures(1, 6, 5)[0]), ["a folder train but no test"]),
            (lambda d: [p.unlink() for p in d.glob("*/*.png")], ["has no image"]),
            (lambda d: [(p.unlink(), p.parent.rmdir()) for p in d.glob("*/*.png")], ["has no images (PNG or JPEG)"]),
        ],
    )
    def test_bad_folders(self, tmp_path: Path, spoil: Callable[[Path], object], words: list[str]) -> None:
        for i, image in enumerate(pictures(2, 6, 5)):
            png(tmp_path / "ab"[i] / f"{i}.png", image)
        spoil(tmp_path)
        with pytest.raises(BadInput) as error:
            resolved(f"{tmp_path}/")
        for word in (str(tmp_path), *words):
            assert word in str(error.value)


class TestFunction:
    def test_a_function_of_the_current_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        code = "import numpy\ndef blobs():\n    return numpy.arange(2000).astype('uint8').reshape(20, 10, 10)\n"
        (tmp_path / "own_module_of_a_test.py").write_text(code)
        monkeypatch.chdir(tmp_path)
        before = list(sys.path)
        data = loaded("own_module_of_a_test:blobs", valid_size=0)
        assert (len(data.train) + len(data.test), data.shape) == (20, ImageShape(10, 10))
        assert sys.path == before

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("no_such_module_here:f", "ModuleNotFoundError"),
            ("json:no_such", "AttributeError"),
            ("json:dumps", "TypeError"),
            ("os:getcwd", "must return an array of numpy, or a dict of such arrays by name; found str"),
        ],
    )
    def test_bad_functions(self, name: str, words: str) -> None:
        with pytest.raises(BadInput, match=rf"dataset {name}: .*{words}"):
            resolved(name)
