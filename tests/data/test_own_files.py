"""Tests of own data: which files are refused, and what they cost."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.own_data import bomb, npy_bytes, pictures, resolved, store
from vaestudy.cli.main import main
from vaestudy.data import array_files
from vaestudy.data.content import assembled
from vaestudy.data.grey_levels import Unusable
from vaestudy.errors import BadInput

GOOD = pictures(20, 6, 5)


def locked_entry(path: Path) -> None:
    """Write a `.npz` file of which the head says that it is locked by a password."""
    store(path, images=GOOD)
    content = bytearray(path.read_bytes())
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + place] |= 1
    path.write_bytes(content)


def entry_of(content: bytes, name: str = "images.npy") -> Callable[[Path], None]:
    """Return what writes a `.npz` file with one entry of this content."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)

    return write


def damaged(path: Path) -> None:
    """Write a `.npz` file of which one byte of an image was changed."""
    store(path, images=GOOD)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


BAD: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "objects": (lambda p: entry_of(npy_bytes(np.array([{}, {}], object)))(p), ["images", "pickle", "never unpacked"]),
    "nan": (lambda p: store(p, images=np.where(GOOD > 200, np.nan, GOOD / 255)), ["images contains nan"]),
    "infinite": (lambda p: store(p, images=np.full((9, 3, 3), np.inf)), ["from inf to inf", "[0, 1]"]),
    "above 1": (
        lambda p: store(p, images=np.linspace(0, 255, 99).reshape(11, 3, 3)),
        ["from 0 to 255", "[0, 1]", "divide by 255"],
    ),
    "below 0": (lambda p: store(p, images=np.linspace(-0.5, 1, 99).reshape(11, 3, 3)), ["from -0.5 to 1", "[0, 1]"]),
    "empty": (lambda p: store(p, images=GOOD[:0]), ["images is empty", "[0, 6, 5]"]),
    "no height": (lambda p: store(p, images=GOOD[:, :0]), ["images is empty", "[20, 0, 5]"]),
    "two shapes": (lambda p: store(p, train=GOOD, test=GOOD[:, :4]), ["two shapes: train 6 x 5 and test 4 x 5"]),
    "flat": (lambda p: store(p, images=GOOD.reshape(20, 30)), ["[20, 30]", "[n, H, W] or [n, H, W, C]"]),
    "two channels": (lambda p: store(p, images=np.zeros((9, 4, 4, 2), "u1")), ["2 channels", "1 or 3"]),
    "channels first": (lambda p: store(p, images=np.zeros((9, 3, 4, 4), "u1")), ["the channels come last"]),
    "whole numbers": (lambda p: store(p, images=GOOD.astype(int)), ["images is of int64", "uint8 (0 to 255)"]),
    "booleans": (lambda p: store(p, images=GOOD > 9), ["images is of bool"]),
    "binary bytes": (lambda p: store(p, images=(GOOD > 9).astype("u1")), ["no value is above 1", "0 and 255"]),
    "no images": (lambda p: store(p, pictures=GOOD), ["no array of images", "pictures", "train"]),
    "no test": (lambda p: store(p, x_train=GOOD), ["has train but no test"]),
    "images and train": (lambda p: store(p, images=GOOD, train=GOOD), ["has images and train"]),
    "two names": (lambda p: store(p, images=GOOD, x=GOOD), ["images and x", "give one"]),
    "labels of one": (lambda p: store(p, train=GOOD, test=GOOD, y_train=np.arange(20)), ["labels of one split"]),
    "labels of none": (lambda p: store(p, train=GOOD, test=GOOD, labels=np.arange(20)), ["has labels"]),
    "too few labels": (lambda p: store(p, images=GOOD, labels=np.arange(19)), ["[19]", "20 images"]),
    "names as labels": (lambda p: store(p, images=GOOD, labels=np.array(["a"] * 20)), ["labels is of <U1"]),
    "high labels": (lambda p: store(p, images=GOOD, labels=np.arange(20) * 100), ["0 to 1900", "0 to 999"]),
    "low labels": (lambda p: store(p, images=GOOD, labels=np.arange(20) - 1), ["-1 to 18"]),
    "one image": (lambda p: store(p, images=GOOD[:1]), ["no t", "give train and test"]),
    "text": (lambda p: p.write_text("images"), ["damaged or of another format", "BadZipFile"]),
    "nothing": (lambda p: p.write_bytes(b""), ["damaged or of another format"]),
    "torn": (lambda p: p.write_bytes(store(p, images=GOOD).read_bytes()[:-50]), ["damaged or of another format"]),
    "changed": (damaged, ["damaged or of another format"]),
    "missing": (lambda p: None, ["no such file or folder"]),
    "unreadable": (lambda p: (store(p, images=GOOD), p.chmod(0)), ["cannot be read"]),
    "locked": (locked_entry, ["locked by a password"]),
    "larger than it says": (lambda p: entry_of(npy_bytes(GOOD) + b"x")(p), ["its head declares 728 bytes", "729"]),
    "smaller than it says": (lambda p: entry_of(npy_bytes(GOOD)[:-9])(p), ["its head declares 728 bytes", "719"]),
    "no head": (lambda p: entry_of(b"x" * 500)(p), ["damaged or of another format"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files(
    kind: str, tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write, words = BAD[kind]
    path = tmp_path / "bad.npz"
    write(path)
    if kind == "unreadable" and os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert main(["train", "--dataset", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"vaestudy: dataset {path}: ")
    for word in words:
        assert word in err
    assert not mlruns.exists()


def test_a_small_file_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bomb(tmp_path / "bomb.npz", 30)
    assert path.stat().st_size < 10**5
    monkeypatch.setattr(array_files, "available", lambda: 50 * 10**6)
    monkeypatch.setattr(array_files, "_array", lambda _: pytest.fail("it was unpacked"))
    with pytest.raises(BadInput, match=r"would take 0.1 GiB of memory to read \(0.0 GiB unpacked\), and 0.0 GiB are"):
        resolved(path)


def test_a_file_with_objects_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    monkeypatch.setattr("pickle.load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(BadInput, match="never unpacked"):
        resolved(tmp_path / "a.npy")


def test_unusable_arrays_of_python_code() -> None:
    with pytest.raises(Unusable, match="has no images"):
        assembled({})
