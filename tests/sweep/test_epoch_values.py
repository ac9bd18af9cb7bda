"""Test the objectives after the epochs of trials: what is written, how often, and what a failed write leaves."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from tests.support.studies import recorded, run_study, toy
from vaestudy.run.record import EpochEnd, RunEnd, RunFailure
from vaestudy.runtime import addresses
from vaestudy.study.declaration import make_cells
from vaestudy.sweep import epoch_values
from vaestudy.sweep.epoch_values import EpochValues, JournalFile
from vaestudy.sweep.trial_ledger import TrialLedger, open_trials, optuna_storage
from vaestudy.tracking.mlflow_tracker import Tracker

OBJECTIVE = "train/elbo"


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return the path of a journal with one trial that is RUNNING."""
    path = tmp_path / "mnist.journal"
    open_trials(optuna_storage(str(path)), "mnist", OBJECTIVE).add_trial(create_trial(state=TrialState.RUNNING))
    return path


def values_in(journal: Path) -> dict[int, float]:
    """Return the intermediate values of the only trial in a journal."""
    return optuna.load_study(study_name="mnist", storage=optuna_storage(str(journal))).trials[0].intermediate_values


def test_values_are_written_once_a_second_and_at_the_end(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    sync = os.fsync
    clock, storage = Clock(), optuna_storage(str(journal))
    values = EpochValues(storage, clock)
    monkeypatch.setattr(os, "fsync", lambda file: (syncs.append(file), sync(file)))
    values.begin("a", 0)
    for epoch in range(1, 61):
        clock.now += 1 / 16
        values.add("a", epoch, -float(epoch))
    assert len(values_in(journal)) == 48
    assert len(syncs) == 3
    values.end("a")
    assert values_in(journal) == {epoch: -float(epoch) for epoch in range(1, 61)}
    assert len(syncs) == 4


def test_epochs_that_are_reported_again_are_written_once(journal: Path) -> None:
    clock = Clock()
    values = EpochValues(optuna_storage(str(journal)), clock)
    values.begin("a", 0)
    for epoch in (1, 2, 1, 2, 3):
        clock.now += 2
        values.add("a", epoch, float(epoch))
    values.end("a", [1.0, 2.0, 3.0, math.nan])  # the record has an epoch that was not reported
    text = journal.read_text()
    assert [text.count(f'"step":{epoch},') for epoch in (1, 2, 3, 4)] == [1, 1, 1, 1]
    written = values_in(journal)
    assert math.isnan(written.pop(4))
    assert written == {1: 1.0, 2: 2.0, 3: 3.0}


def test_a_failed_write_leaves_no_part_of_an_entry(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = journal.read_bytes()
    file = JournalFile(str(journal))

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.append_logs([{"op_code": 7}])
    assert journal.read_bytes() == before


def test_a_study_reports_its_epochs(mlruns: Path) -> None:
    study = toy(base=toy().base.with_changes(epochs=3), seeds=1)
    assert run_study(study) == 0
    assert recorded(mlruns)[1] == ["COMPLETE"] * 2
    storage = optuna_storage(str(mlruns / "optuna" / "toy" / "mnist-5k.journal"))
    trials = optuna.load_study(study_name="mnist-5k", storage=storage)
    assert trials.metric_names == ["valid/elbo"]
    tracker = Tracker(addresses.tracking_uri(None))
    for trial in trials.trials:
        history = tracker.client.get_metric_history(trial.user_attrs["run_id"], "valid/elbo")
        assert trial.intermediate_values == {point.step: point.value for point in history}
        assert len(history) == 3
        assert trial.value == trial.intermediate_values[3]
        assert set(trial.params) == {"latent_dim"}
        assert trial.user_attrs["seed"] == 0
        assert next(iter(trial.user_attrs)) == "cell"


def test_epochs_that_cannot_be_written_do_not_break_the_run(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial stays RUNNING, and nothing is written after the failed write; the metrics still go to MLflow."""

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    published: list[int] = []
    publisher: Any = SimpleNamespace(
        sweep=SimpleNamespace(objective=OBJECTIVE), begin=lambda *_: "run",
        epoch=lambda event: published.append(event.epoch), fail=lambda *_: None,
    )  # fmt: skip
    ledger = TrialLedger(open_trials(optuna_storage(str(journal)), "mnist", OBJECTIVE), publisher)
    (cell,) = make_cells(toy().base, {"latent_dim": (2,)}, 1)
    ledger.begin(cell)
    stored, key = journal.read_bytes(), cell.config.key
    monkeypatch.setattr(epoch_values, "SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ledger.epoch(EpochEnd(key, 1, {OBJECTIVE: 1.0}))
    ledger.epoch(EpochEnd(key, 2, {OBJECTIVE: 2.0}))
    ledger.end(RunEnd(key, RunFailure("crashed", "", diverged=False)))
    assert published == [1, 2]
    assert journal.read_bytes() == stored


def test_metric_names_are_written_once(journal: Path) -> None:
    def names() -> int:
        return journal.read_text().count("metric_names")

    assert names() == 1
    open_trials(optuna_storage(str(journal)), "mnist", OBJECTIVE)
    assert names() == 1
