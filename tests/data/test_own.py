"""Tests of own data: how it is split and identified, and by which names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.own_data import loaded, pictures, resolved, store
from tests.support.studies import toy
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.content import TEST_SHARE, assembled, fingerprint
from vaestudy.data.own import default_epochs
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput
from vaestudy.study.sweep import Sweep


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
