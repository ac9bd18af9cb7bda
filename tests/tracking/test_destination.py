"""Test that people may use MLflow's pages: rename and delete experiments and runs, and track runs of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.studies import run_study, toy
from vaestudy.cli.main import main
from vaestudy.runtime import addresses
from vaestudy.tracking import mlflow_tracker
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker


@pytest.fixture
def tracker(mlruns: Path) -> Tracker:
    """Return the tracker after a study of one seed has run."""
    assert run_study(toy(), "--seeds", "1") == 0
    return Tracker(addresses.tracking_uri(None))


@pytest.mark.parametrize("tagged", [True, False], ids=["tag", "earlier revision"])
def test_an_experiment_that_was_renamed(
    tagged: bool, tracker: Tracker, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sweeps are resumed, and `tables` writes each study's newest sweep last."""
    experiment = tracker.experiments()["toy"]
    tracker.client.rename_experiment(experiment, "my digits")
    if not tagged:
        tracker.client.delete_experiment_tag(experiment, "vaestudy.study")
    assert run_study(toy(), "--seeds", "2") == 0
    assert "4 runs, 2 done" in capsys.readouterr().err
    assert set(tracker.experiments()) == {"Default", "my digits"}
    assert study_experiments(tracker) == {"toy": [experiment]}
    table = mlruns / "tables" / "toy" / "table.csv"
    assert pd.read_csv(table)["seeds"].tolist() == [2, 2]
    assert run_study(toy(), "--seeds", "1", "--epochs", "2") == 0
    newest = table.read_bytes()
    assert main(["tables"]) == 0
    assert table.read_bytes() == newest


def test_an_older_experiment_of_a_study_does_not_replace_the_newer_table(tracker: Tracker, mlruns: Path) -> None:
    """An earlier revision did not find a renamed experiment, and made a second one."""
    old = tracker.experiments()["toy"]
    tracker.client.rename_experiment(old, "zzz")
    tracker.tag_experiment(old, {"study": "hidden"})
    assert run_study(toy(), "--seeds", "2") == 0
    tracker.tag_experiment(old, {"study": "toy"})
    assert len(study_experiments(tracker)["toy"]) == 2
    table = mlruns / "tables" / "toy" / "table.csv"
    assert main(["tables", "latent-dims"]) == 2
    assert main(["tables"]) == 0
    assert pd.read_csv(table)["seeds"].tolist() == [2, 2]


def test_runs_of_ones_own_are_left_alone(tracker: Tracker, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = tracker.experiments()["toy"]
    parent = tracker.runs(experiment, {"role": "study"})["run_id"].iloc[0]
    mine = tracker.client.create_run(experiment, run_name="mine", tags={"mlflow.parentRunId": parent}).info.run_id
    assert run_study(toy(), "--seeds", "2") == 0
    assert main(["tables"]) == 0
    assert tracker.get(mine)["status"] == "RUNNING"
    assert pd.read_csv(mlruns / "tables" / "toy" / "table.csv")["seeds"].tolist() == [2, 2]


def test_deleted_runs_are_named_before_they_are_run_again(tracker: Tracker, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = tracker.experiments()["toy"]
    cells = tracker.runs(experiment, {"role": "trial"})
    tracker.client.delete_run(cells["run_id"].iloc[0])
    assert run_study(toy(), "--seeds", "1") == 0
    err = capsys.readouterr().err
    assert f"1 finished runs were deleted in MLflow and are run again: {cells['name'].iloc[0]}" in err
    assert "2 runs, 1 done" in err
    assert run_study(toy(), "--seeds", "1") == 0
    assert "deleted" not in capsys.readouterr().err
    tracker.client.delete_run(tracker.runs(experiment, {"role": "study"})["run_id"].iloc[0])
    assert run_study(toy(), "--seeds", "1") == 0
    assert "the run of the whole sweep mnist-5k" in capsys.readouterr().err


def test_lists_are_read_to_their_end(
    tracker: Tracker, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mlflow_tracker, "PAGE", 1)
    for name in ("a", "b", "c"):
        tracker.client.create_experiment(name)
    assert set(tracker.experiments()) == {"Default", "toy", "a", "b", "c"}
    assert len(tracker.runs(tracker.experiments()["toy"])) == 3
    assert run_study(toy(), "--seeds", "1") == 0
    assert "2 runs, 2 done" in capsys.readouterr().err
