"""`--plan` of a study: what is done and to do, how long it takes by the record or by timed steps; it writes nothing."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.formula_runs import formula_run
from tests.support.studies import run_study, searching, toy
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.reporting.costs import LIKE, RECORDED, UNKNOWN, recorded_seconds, shown_minutes
from vaestudy.run.record import Record
from vaestudy.runtime import provenance
from vaestudy.sweep import timed_steps, worker_pool
from vaestudy.training.train import OnEpoch

FACTS = {"hardware.cpu": provenance.hardware()["cpu"], "outcome": "complete"}


def timed_run(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
    """Do what a worker does, by a formula: 60 s for each latent dimension, 50 of them in training."""
    record = formula_run(config, root, on_epoch)
    seconds = 60.0 * config.latent_dim
    metrics = record.metrics | {"seconds/total": seconds, "seconds/train_and_validate": seconds - 10}
    return replace(record, metrics=metrics, facts=record.facts | {"hardware.cpu": FACTS["hardware.cpu"]})


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute runs by `timed_run`, and leave out the tables, which these runs have not enough metrics for."""
    monkeypatch.setattr(worker_pool, "run_safely", timed_run)
    monkeypatch.setattr("vaestudy.cli.commands._show_results", lambda *_: None)


def files(folder: Path) -> dict[str, str]:
    """Return path -> digest of all files in a folder, but for the index that SQLite keeps while it reads."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def plan(capsys: pytest.CaptureFixture[str], study: Any, *flags: str) -> tuple[dict[str, list[str]], str]:
    """Return the rows of a plan's table, name -> cells, and all that is printed."""
    capsys.readouterr()
    assert run_study(study, "--plan", *flags) == 0
    out = capsys.readouterr().out
    rows = [re.split(r" {2,}", line.strip()) for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 6}, out


def test_a_plan_of_nothing_times_steps_and_writes_nothing(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_steps, "MOST", 3)
    rows, out = plan(capsys, toy())
    assert rows["latent_dim=2"][:3] == ["2", "0", "2"]
    assert rows["latent_dim=3"][4] == timed_steps.TIMED
    assert "4 runs, 0 done, 4 to do" in out
    assert re.search(r"^time +under 1 min with 1 at once.*a few timed steps", out, re.MULTILINE)
    assert re.search(r"^memory +up to [\d.]+ GiB with 1 at once", out, re.MULTILINE)
    assert f"tables to {mlruns / 'tables' / 'toy' / 'mnist-5k'}" in out
    assert not mlruns.exists()


def test_a_plan_knows_what_is_done(formulas: None, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds", "1", "--latent-dim", "2", "3") == 0
    before = files(mlruns)
    rows, out = plan(capsys, toy(), "--seeds", "3")
    assert rows["latent_dim=2"] == ["3", "1", "2", "120", RECORDED]
    assert rows["latent_dim=3"] == ["3", "1", "2", "180", RECORDED]
    assert "6 runs, 2 done, 4 to do" in out
    assert "time      10 min with 1 at once" in out  # 2 x 120 s + 2 x 180 s
    assert files(mlruns) == before
    rows, out = plan(capsys, toy(), "--seeds", "1")
    assert "2 runs, 2 done, 0 to do" in out
    assert "time " not in out
    rows, out = plan(capsys, toy(), "--seeds", "1", "--fresh")
    assert "2 runs, 0 done, 2 to do" in out
    assert "sweep mnist-5k~2" in out
    assert files(mlruns) == before


def test_a_plan_takes_the_time_of_a_like_configuration(
    formulas: None, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten epochs take 10 x 110 s of training and the other 10 s: 1110 s, a quarter more or less."""
    assert run_study(toy(), "--seeds", "1") == 0
    rows, out = plan(capsys, toy(), "--epochs", "10", "--learning-rate", "0.01", "--seeds", "1")
    assert rows["latent_dim=2"] == ["1", "0", "1", "832 to 1388", LIKE]
    assert "sweep mnist-5k-learning_rate=0.01-epochs=10" in out


def test_a_plan_of_a_search(formulas: None, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = searching()
    rows, out = plan(capsys, study)
    assert rows["trials of the search"][:3] == ["at most 5", "0", "5"]
    assert rows["base configuration"][:3] == ["2", "0", "2"]
    assert rows["best configuration"][:3] == ["at most 2", "0", "2"]
    assert not mlruns.exists()
    assert run_study(study) == 0
    rows, out = plan(capsys, study)
    assert rows["trials of the search"][:3] == ["at most 5", "5", "0"]
    assert rows["base configuration"][1:3] == ["2", "0"]
    assert rows["best configuration"][1:3] == ["2", "0"]
    assert "9 runs, 9 done, 0 to do" in out


def test_a_plan_of_tuned_arms(mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(timed_steps, "MOST", 3)
    rows, _ = plan(capsys, toy(), "--tune", "learning_rate", "--tune-budget", "4")
    assert rows["trials of 2 searches"][:3] == ["at most 8", "0", "8"]
    assert rows["the best of latent_dim=2"][:3] == ["2", "0", "2"]
    assert not mlruns.exists()


def test_a_data_set_that_is_not_there_is_not_downloaded(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets, "_reachable", lambda mirror: pytest.fail("the network was asked"))
    (tmp_path / "empty").mkdir()
    rows, out = plan(capsys, toy(), "--dataset", "mnist", "--data-dir", str(tmp_path / "empty"))
    assert rows["latent_dim=2"] == ["2", "0", "2", "?", UNKNOWN]
    assert "time      ? min" in out
    assert not mlruns.exists()


def row(config: RunConfig, seconds: float, train: float) -> dict[str, Any]:
    return config.model_dump() | {"seconds/total": seconds, "seconds/train_and_validate": train}


def test_recorded_seconds(tiny: RunConfig) -> None:
    """The same configuration is preferred to a like one; what changes the time is no like one."""
    other = row(tiny.with_changes(hidden=(64,)), 7.0, 5.0)
    like = row(tiny.with_changes(learning_rate=0.1, epochs=4), 12.0, 10.0)
    same = [row(tiny.with_changes(seed=seed), 3.0 + seed, 2.0) for seed in (0, 1)]
    assert math.isnan(recorded_seconds(tiny, [other]).low)
    found = recorded_seconds(tiny, [other, like])
    assert (found.low, found.high, found.basis) == (7.0 * 0.75, 7.0 * 1.25, LIKE)  # 10 s * 2 / 4 epochs + 2 s
    found = recorded_seconds(tiny, [other, like, *same])
    assert (found.low, found.high, found.basis) == (3.0, 4.0, RECORDED)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.2, 0.5, "under 1"), (3.0, 3.4, "3"), (10.0, 11.5, "11"), (2.0, 5.0, "2 to 5"), (0.4, 3.0, "under 1 to 3")],
)
def test_minutes_as_text(low: float, high: float, text: str) -> None:
    assert shown_minutes(low, high) == text


def test_what_diverges_within_the_timed_steps_is_not_known(tiny: RunConfig, monkeypatch: Any) -> None:
    monkeypatch.setattr(timed_steps, "MOST", 3)
    wild = tiny.with_changes(learning_rate=1e9, figures=())
    (found,) = timed_steps.timed_seconds([wild], Path())
    assert math.isnan(found.low)
    assert found.basis == UNKNOWN


def test_few_configurations_are_timed(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others lie between: here the time is the arithmetic itself, so interpolation gives it exactly."""
    timed = []

    def one_run(config: RunConfig, data: Any) -> float:
        timed.append(config)
        return timed_steps.arithmetic(config, data)

    monkeypatch.setattr(timed_steps, "one_run", one_run)
    configs = [tiny.with_changes(samples=L) for L in (3, 1, 40, 2, 5, 9, 30, 20, 7, 4)]
    found = timed_steps.timed_seconds(configs, Path())
    assert len(timed) == timed_steps.MOST_TIMED
    for config, seconds in zip(configs, found, strict=True):
        expected = timed_steps.arithmetic(config, datasets.load_splits(config, Path()))
        assert seconds.low == pytest.approx(timed_steps.LOW * expected)
        assert seconds.basis == (timed_steps.TIMED if config in timed else timed_steps.BETWEEN)
