"""A killed run continues from its last checkpoint with the same bits; a damaged checkpoint is detected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.run.execute import execute
from vaestudy.scoring.bounds import Metrics
from vaestudy.training.checkpoint import KEPT, RUNS, Checkpoint, CheckpointStore
from vaestudy.training.train import train


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESTUDY_CHECKPOINT_SECONDS", "0")


class Killed(Exception):
    pass


def until(last: int):
    def on_epoch(epoch: int, metrics: Metrics) -> None:
        if epoch == last:
            raise Killed

    return on_epoch


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adagrad"},
        {"optimizer": "rmsprop-centred", "weight_prior": True},
        {"pixels": "stochastic", "schedule": "iwae"},
        {"second_biases": True, "sigma": "raw"},
        {"beta": 4.0, "kl_warmup": 4, "free_bits": 0.5},
    ],
)
@pytest.mark.parametrize("dies_in", [1, 2, 4, 5])
def test_trajectory_is_bit_identical(tiny: RunConfig, tmp_path: Path, changes: dict, dies_in: int) -> None:
    config = tiny.with_changes(epochs=5, **changes)
    data = datasets.load_splits(config, Path())
    unbroken = train(config, data)
    with pytest.raises(Killed):  # raised before the checkpoint of that epoch is written
        train(config, data, until(dies_in), CheckpointStore(tmp_path, config.key))
    reported: list[int] = []
    resumed = train(config, data, lambda epoch, metrics: reported.append(epoch), CheckpointStore(tmp_path, config.key))
    assert reported == [1, 2, 3, 4, 5]
    assert resumed.history == unbroken.history
    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def state(epoch: int) -> Checkpoint:
    return Checkpoint(epoch, {"a": torch.full((3,), float(epoch))}, {"history": [{"x": 0.1 * epoch}]})


def test_number_is_bounded(tmp_path: Path) -> None:
    checkpoint_store = CheckpointStore(tmp_path, "run")
    for epoch in range(1, 9):
        checkpoint_store.save(state(epoch))
    assert sorted(p.name for p in checkpoint_store.folder.iterdir()) == ["epoch-00000007.ckpt", "epoch-00000008.ckpt"]
    assert KEPT == 2
    for run in range(RUNS + 5):
        CheckpointStore(tmp_path, f"run-{run}").save(state(1))
    assert len(list(tmp_path.iterdir())) <= RUNS + 1
    checkpoint_store = CheckpointStore(tmp_path, f"run-{RUNS + 4}")
    checkpoint_store.clear()
    assert not checkpoint_store.folder.exists()


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"", lambda c: c[:40] + b"\x01" + c[41:]])
def test_a_torn_one_is_passed_over(tmp_path: Path, damage) -> None:
    checkpoint_store = CheckpointStore(tmp_path, "run")
    checkpoint_store.save(state(1))
    checkpoint_store.save(state(2))
    newest = checkpoint_store.folder / "epoch-00000002.ckpt"
    newest.write_bytes(damage(newest.read_bytes()))
    found = checkpoint_store.load()
    assert found is not None
    assert found.epoch == 1
    assert found.extra == state(1).extra
    assert "is torn" in checkpoint_store.warnings[0]
    (checkpoint_store.folder / "epoch-00000001.ckpt").write_bytes(b"")
    assert CheckpointStore(tmp_path, "run").load() is None


def test_saved_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESTUDY_CHECKPOINT_SECONDS", "3600")
    assert not CheckpointStore(tmp_path, "run").is_due()


def test_a_place_that_cannot_be_written_costs_a_line(tiny: RunConfig, tmp_path: Path) -> None:
    """The run ends with the same numbers as without checkpoints, and its record says what was missing."""
    (tmp_path / "file").touch()
    store = CheckpointStore(tmp_path / "file", "key")
    record = execute(tiny, Path(), checkpoint_store=store)
    assert record.history == execute(tiny, Path()).history
    assert len(store.warnings) == 1
    assert "no checkpoint could be written" in record.facts["notices"]


def test_one_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "key")
    store.save(state(1))
    (tmp_path / "key" / "epoch-00000002.ckpt").mkdir()
    found = store.load()
    assert found is not None
    assert found.epoch == 1
    assert "cannot be read" in store.warnings[0]
