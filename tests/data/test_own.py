"""Tests of own data: what is stored, how it is split and identified, and which files are refused."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.own_data import bomb, npy_bytes, pictures, store
from tests.support.studies import toy
from vaestudy.cli.main import main
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import array_files, datasets, published
from vaestudy.data.content import TEST_SHARE, assembled, fingerprint
from vaestudy.data.grey_levels import Rounding, Unusable, grey_levels
from vaestudy.data.own import default_epochs
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput
from vaestudy.study.sweep import Sweep


def resolved(path: Path | str, **changes: object) -> RunConfig:
    return datasets.resolve(RunConfig(dataset=str(path), figures=(), **changes), Path())[0]


def loaded(path: Path | str, **changes: object) -> datasets.Data:
    return datasets.load_splits(resolved(path, **changes), Path())


class TestStored:
    def test_a_row_is_channel_by_channel_and_row_by_row(self) -> None:
        images = pictures(3, 4, 5, 3)
        stored, shape = grey_levels("images", images, Rounding())
        assert shape == ImageShape(4, 5, 3)
        wanted = [images[1, i, j, c] for c in range(3) for i in range(4) for j in range(5)]
        assert stored[1].tolist() == wanted

    def test_one_channel_may_be_written_or_not(self) -> None:
        images = pictures(3, 4, 5)
        one, other = (grey_levels("images", x, Rounding()) for x in (images, images[..., None]))
        assert one[1] == other[1] == ImageShape(4, 5)
        assert np.array_equal(one[0], other[0])

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_floats_on_the_levels_lose_nothing(self, kind: type) -> None:
        images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
        rounding = Rounding()
        stored, _ = grey_levels("images", (images / 255).astype(kind), rounding)
        assert np.array_equal(stored, images.reshape(4, 64))
        assert rounding.text == ""

    def test_other_floats_are_rounded_and_it_is_told_how_far(self) -> None:
        x = np.array([[[0.0, 1.0], [0.5, 100.25 / 255]]])
        rounding = Rounding()
        stored, _ = grey_levels("images", x, rounding)
        assert stored.tolist() == [[0, 255, 128, 100]]
        assert (rounding.most, rounding.total, rounding.values) == (pytest.approx(0.5), pytest.approx(0.75), 4)
        assert "by up to 0.50 and on average 0.19 of a level" in rounding.text

    def test_floats_are_rounded_the_same_block_by_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x = np.random.default_rng(0).random((7, 3, 3, 3))
        whole, _ = grey_levels("images", x, Rounding())
        monkeypatch.setattr("vaestudy.data.grey_levels.AT_ONCE", 60)
        assert np.array_equal(grey_levels("images", x, Rounding())[0], whole)


class TestSplit:
    def test_the_hash_of_each_image_decides(self) -> None:
        images = pictures(200, 5, 4)
        content = assembled({"images": images})
        rows = [image.tobytes() for image in images]
        test = {r for r in rows if int.from_bytes(hashlib.sha256(r).digest()[:8], "big") < 2**64 * TEST_SHARE}
        assert {row.tobytes() for row in content.test.pixels} == test
        assert {row.tobytes() for row in content.train.pixels} == set(rows) - test
        assert len(content.train.pixels) + len(content.test.pixels) == 200
        assert f"{len(content.test.pixels) / 2:.1f} % of 200" in content.facts["split"]
        spread = 5 * (200 * TEST_SHARE * (1 - TEST_SHARE)) ** 0.5  # five standard deviations of a binomial
        assert abs(len(content.test.pixels) - 200 * TEST_SHARE) < spread

    def test_order_does_not_matter(self) -> None:
        images, labels = pictures(60, 5, 4), np.arange(60) % 3
        order = np.random.default_rng(1).permutation(60)
        one, other = assembled({"images": images, "labels": labels}), assembled(
            {"images": images[order], "labels": labels[order]}
        )  # fmt: skip
        assert one.digest == other.digest
        for a, b in ((one.train, other.train), (one.test, other.test)):
            assert np.array_equal(a.pixels, b.pixels)
            assert np.array_equal(a.labels, b.labels)
        given = [assembled({"train": x[:40], "test": images[40:]}) for x in (images, images[:40][::-1])]
        assert given[0].digest == given[1].digest

    def test_labels_stay_with_their_images(self) -> None:
        images = pictures(50, 5, 4)
        content = assembled({"images": images, "labels": images[:, 2, 2].astype(np.int16)})
        for part in (content.train, content.test):
            assert np.array_equal(part.pixels[:, 2 * 4 + 2], part.labels)

    def test_identical_images_are_in_one_split_and_further_images_move_none(self) -> None:
        images = pictures(50, 5, 4)
        once, more = (
            assembled({"images": images}),
            assembled({"images": np.concatenate([images, images[:20], 255 - images])}),
        )
        train, test = ({row.tobytes() for row in part.pixels} for part in (more.train, more.test))
        assert not train & test
        assert {row.tobytes() for row in once.train.pixels} <= train
        assert {row.tobytes() for row in once.test.pixels} <= test

    def test_images_that_are_in_both_given_splits_are_counted(self) -> None:
        images = pictures(50, 5, 4)
        content = assembled({"train": images[:40], "test": images[37:]})
        assert content.facts["split"] == "as given; 3 of the 13 test images are train images, too"

    def test_epochs_fall_with_the_number_of_images(self) -> None:
        assert [default_epochs(n) for n in (10, 1_412, 4_000, 60_000)] == [200, 200, 75, 10]


class TestIdentity:
    def test_the_fingerprint_of_28_by_28_is_that_of_before_shapes(self) -> None:
        x, y = torch.zeros(3, 784, dtype=torch.uint8), torch.arange(3)
        digest = hashlib.sha256()
        for t in (x, y, x, y):
            digest.update(f"{t.dtype} {tuple(t.shape)}\n".encode() + t.numpy().tobytes())
        assert datasets._fingerprint(Split(x, y), Split(x, y), DIGIT) == digest.hexdigest()

    def test_shape_and_labels_count(self) -> None:
        x, y = np.zeros((3, 784), np.uint8), np.arange(3)
        found = {fingerprint((x, labels, x, labels), shape) for labels in (y, y[::-1], None)
                 for shape in (DIGIT, ImageShape(14, 56), ImageShape(56, 14))}  # fmt: skip
        assert len(found) == 9

    def test_a_moved_file_keeps_the_key_and_the_sweep(self, tmp_path: Path) -> None:
        path = store(tmp_path / "a.npz", images=pictures(30, 6, 5))
        before = resolved(path)
        (tmp_path / "else").mkdir()
        after = resolved(path.rename(tmp_path / "else" / "b.npz"))
        assert before.dataset != after.dataset
        assert before.key == after.key
        names = {Sweep(toy(), base, {"dataset": base.dataset}, False, None).base_name for base in (before, after)}
        assert names == {f"own-{before.data_digest[:12]}"}

    def test_another_file_at_the_same_path_has_another_key(self, tmp_path: Path) -> None:
        path = store(tmp_path / "a.npz", images=pictures(30, 6, 5))
        before = resolved(path)
        store(path, images=pictures(31, 6, 5))
        assert resolved(path).key != before.key
        assert resolved(path).with_changes(dataset="./x.npz").key != before.key

    def test_the_way_of_storing_does_not_matter(self, tmp_path: Path) -> None:
        images = pictures(30, 6, 5, 3)
        np.savez_compressed(tmp_path / "b.npz", x=images / np.float32(255))
        np.save(tmp_path / "c.npy", np.asfortranarray(images))
        paths = [store(tmp_path / "a.npz", images=images), tmp_path / "b.npz", tmp_path / "c.npy"]
        assert len({resolved(path).data_digest for path in paths}) == 1

    def test_changed_content_is_refused_everywhere(self, tmp_path: Path) -> None:
        path = store(tmp_path / "a.npz", images=pictures(30, 6, 5))
        config = resolved(path)
        store(path, images=pictures(40, 6, 5, seed=1))
        for work in (datasets.load_splits, datasets.verify, datasets.resolve):
            with pytest.raises(
                BadInput, match=rf"dataset {path}: other content than expected.*{config.data_digest[:12]}"
            ):
                work(config, Path())

    def test_an_unresolved_configuration_is_no_run(self, tmp_path: Path) -> None:
        path = store(tmp_path / "a.npz", images=pictures(30, 6, 5))
        with pytest.raises(ValueError, match="resolve"):
            datasets.load_splits(RunConfig(dataset=str(path), valid_size=1), Path())

    def test_only_own_data_has_a_digest(self) -> None:
        with pytest.raises(BadInput, match=r"--data-digest 0+: only for own data"):
            resolved("mnist-5k", data_digest="0" * 64)
        with pytest.raises(BadInput, match="data_digest 12: must be a SHA-256"):
            RunConfig().with_changes(data_digest="12")

    def test_data_knows_its_shape_and_classes(self, tmp_path: Path) -> None:
        data = loaded(store(tmp_path / "a.npz", images=pictures(100, 6, 5, 3), labels=np.arange(100) % 4))
        assert (data.name, data.shape, data.classes) == ("a.npz", ImageShape(6, 5, 3), 4)
        assert len(data.valid) == (len(data.train) + len(data.valid)) // 10 > 0
        assert data.train.images.shape[1] == 90
        without = loaded(store(tmp_path / "b.npz", images=pictures(100, 6, 5, 3)))
        assert (without.classes, without.train.labels, without.valid.labels) == (0, None, None)
        mnist = datasets.load_splits(resolved("mnist-5k"), Path())
        assert (mnist.shape, mnist.classes, mnist.facts) == (DIGIT, 10, {})


class TestNames:
    @pytest.mark.parametrize("names", [("x_train", "y_train", "x_test", "y_test"),
                                       ("train_images", "train_labels", "test_images", "test_labels")])  # fmt: skip
    def test_usual_names_are_known_and_told(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        images, labels = pictures(30, 6, 5), np.arange(30)[:, None] % 3
        arrays = dict(zip(names, (images[:20], labels[:20], images[20:], labels[20:]), strict=True))
        path = store(tmp_path / "a.npz", **arrays, val_images=images)
        _, note = datasets.resolve(RunConfig(dataset=str(path)), Path())
        assert note is not None
        assert f"train is {names[0]}, test is {names[2]}" in note
        assert "unused: val_images" in note
        assert "20 train and 10 test" in note

    def test_a_name_without_slash_or_ending_is_no_path(self) -> None:
        with pytest.raises(BadInput, match=r"unknown dataset 'photos'.*own data: a path with a slash"):
            RunConfig().with_changes(dataset="photos")


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


class TestPublished:
    def test_digits(self) -> None:
        data = datasets.load_splits(resolved("digits"), Path())
        spec = DATASETS["digits"]
        assert (data.shape, data.classes) == (spec.shape, 10) == (ImageShape(8, 8), 10)
        assert len(data.train) + len(data.valid) == spec.train_size
        assert len(data.train) + len(data.valid) + len(data.test) == 1_797
        levels = torch.cat((data.train.images, data.valid.images, data.test.images)).unique()
        assert levels.tolist() == [int(np.rint(255 * v / 16)) for v in range(17)]  # no two counts share a level
        assert "by up to 0.50" in data.facts["rounding"]
        assert resolved("digits").data_digest == ""

    def test_digits_are_those_of_scikit_learn(self) -> None:
        from sklearn.datasets import load_digits

        x, labels = load_digits(return_X_y=True)
        data = datasets.load_splits(resolved("digits", valid_size=0), Path())
        wanted = {(np.rint(row * 255 / 16).astype("u1").tobytes(), int(c)) for row, c in zip(x, labels, strict=True)}
        found = set()
        for split in (data.train, data.test):
            assert split.labels is not None
            found |= {(row.numpy().tobytes(), int(c)) for row, c in zip(split.images, split.labels, strict=True)}
        assert found == wanted

    def test_damaged_digits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(BadInput, match="is not the published one"):
            published.Digits("digits", "0" * 64).verify(Path())

    def test_binarised_mnist(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(published.BinarisedMnist, "SIZES", (4, 2, 3))
        rng = np.random.default_rng(0)
        bits = {split: rng.integers(0, 2, (n, 784)) for split, n in (("train", 4), ("valid", 2), ("test", 3))}
        for split, end in (("train", " \n"), ("valid", "\n"), ("test", "\r\n")):
            lines = [" ".join(map(str, row)) for row in bits[split]]
            (tmp_path / f"binarized_mnist_{split}.amat").write_bytes(end.join([*lines, ""]).encode())
        content = published.BinarisedMnist().content(tmp_path)
        assert np.array_equal(content.train.pixels, 255 * np.concatenate((bits["train"], bits["valid"])))
        assert np.array_equal(content.test.pixels, 255 * bits["test"])
        assert content.train.labels is None
        digest = hashlib.sha256((tmp_path / "binarized_mnist_test.amat").read_bytes()).hexdigest()
        assert f"binarized_mnist_test.amat has the SHA-256 {digest}" in content.facts["files"]
        by_name = datasets.resolve(RunConfig(dataset="binarised-mnist", valid_size=2, figures=()), tmp_path)[0]
        by_path = [resolved(path, valid_size=2) for path in (f"{tmp_path}/", tmp_path / "binarized_mnist_train.amat")]
        assert {config.key for config in by_path} == {by_name.key}
        assert all(config.epochs == 10 for config in by_path)
        for spoilt, word in (("2", "other characters"), ("\n", "must have 3 lines"), ("1" * 9999, "bytes")):
            text = (tmp_path / "binarized_mnist_test.amat").read_text()
            (tmp_path / "binarized_mnist_test.amat").write_text(spoilt + text[1:])
            with pytest.raises(BadInput, match=word):
                published.BinarisedMnist().content(tmp_path)
            (tmp_path / "binarized_mnist_test.amat").write_text(text)
        (tmp_path / "binarized_mnist_valid.amat").unlink()
        with pytest.raises(BadInput, match=r"dataset binarised-mnist: .*_valid.amat is missing; put"):
            published.BinarisedMnist().content(tmp_path)

    def test_omniglot(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from scipy.io import savemat

        monkeypatch.setattr(published.Omniglot, "TRAIN", 7)
        monkeypatch.setattr(published.Omniglot, "TEST", 3)
        images, labels = pictures(10, 28, 28), np.arange(10) * 5
        columns = np.stack([image.T.ravel() for image in images], 1) / 255  # column by column
        one_hot = np.eye(50)[labels].T
        arrays = {
            "data": columns[:, :7],
            "testdata": columns[:, 7:],
            "target": one_hot[:, :7],
            "testtarget": one_hot[:, 7:],
        }
        (tmp_path / "omniglot").mkdir()
        savemat(tmp_path / "omniglot" / "chardata.mat", arrays)
        content = published.Omniglot().content(tmp_path)
        found = dict(zip((row.tobytes() for row in content.train.pixels), content.train.labels, strict=True))
        assert found == {image.tobytes(): label for image, label in zip(images[:7], labels[:7], strict=True)}
        assert len(content.test.pixels) == 3
        config = datasets.resolve(RunConfig(dataset="omniglot", valid_size=2, figures=()), tmp_path)[0]
        assert config.dataset == "omniglot"
        assert config.key == resolved(tmp_path / "omniglot" / "chardata.mat", valid_size=2).key
        savemat(tmp_path / "omniglot" / "chardata.mat", arrays | {"data": columns})
        with pytest.raises(BadInput, match=r"is not chardata.mat: data is \(784, 10\), and must be \(784, 7\)"):
            published.Omniglot().content(tmp_path)
        (tmp_path / "omniglot" / "chardata.mat").write_bytes(b"x" * 200)
        with pytest.raises(BadInput, match="dataset omniglot: "):
            published.Omniglot().content(tmp_path)

    @pytest.mark.parametrize("name", ["omniglot", "binarised-mnist"])
    def test_files_that_are_not_there(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=rf"dataset {name}: {tmp_path}/.* is missing; put the published file there"):
            datasets.resolve(RunConfig(dataset=name), tmp_path)


def test_unusable_arrays_of_python_code() -> None:
    with pytest.raises(Unusable, match="has no images"):
        assembled({})
