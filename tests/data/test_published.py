"""Tests of the data sets that are read from published files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.own_data import pictures, resolved
from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets, published
from vaestudy.errors import BadInput


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
