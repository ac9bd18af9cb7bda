"""Test a study end to end: --quick, resumed, extended, begun again with --fresh, and exported again.

Also: cells that diverge or crash, changed declarations, and what a killed driver leaves.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest

from tests.support.studies import by_likelihood, recorded, run_study, toy
from vaestudy.cli.study import study_main
from vaestudy.config.run_config import RunConfig
from vaestudy.reporting import export
from vaestudy.run.record import RunFailure
from vaestudy.runtime import addresses, project
from vaestudy.sweep.worker_pool import run_safely
from vaestudy.tracking.mlflow_tracker import Tracker

ROOT = project.repository()


@pytest.mark.slow
def test_quick_study_file_end_to_end(mlruns: Path) -> None:
    """Run a study file in a process of its own, as a user does, and read its table from the files that it wrote."""
    command = [sys.executable, str(ROOT / "studies" / "latent_dims.py"), "--quick", "--dataset", "mnist-5k"]
    command += ["--latent-dim", "2,10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=mlruns.parent)
    assert done.returncode == 0, done.stderr
    assert "a look, not a result" in done.stderr
    folder = mlruns / "tables" / "latent-dims"
    table = pd.read_csv(folder / "table.csv")
    assert table["latent_dim"].tolist() == [2, 10]
    assert table["seeds"].tolist() == [2, 2]
    assert table["quick"].all()
    assert table["test/elbo"].between(-500, -100).all()
    assert (table["test/iwae_100"] > table["test/elbo"]).all()
    for ending in ("md", "tex", "html"):
        assert "QUICK LOOK" in (folder / f"table.{ending}").read_text()
    assert r"\toprule" in (folder / "table.tex").read_text()
    assert (folder / "bound_and_parts.png").stat().st_size > 20_000
    runs = pd.read_csv(folder / "runs.csv")
    assert runs["quick"].all()
    for row in table.itertuples():
        mine = runs[runs["latent_dim"] == row.latent_dim]
        assert set(row.run_ids.split()) == set(mine["run_id"])
    assert not list(mlruns.parent.glob("mlflow.db"))  # nothing lands in the current directory
    before = (folder / "table.csv").read_bytes()

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "4 runs, 4 done" in again.stderr
    assert "[" not in again.stderr  # nothing was run
    assert (folder / "table.csv").read_bytes() == before

    env = os.environ | {"VAESTUDY_MLRUNS": str(mlruns)}
    done = subprocess.run(
        [sys.executable, "-m", "vaestudy", "tables"], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "table.csv").read_bytes() == before


def test_resume_runs_what_is_missing_and_repeats_nothing(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds", "1") == 0
    first, _ = recorded(mlruns)
    assert len(first) == 2
    assert run_study(toy()) == 0  # two seeds by default
    assert run_study(toy(), "--full") == 0
    children, states = recorded(mlruns)
    assert children["status"].tolist() == ["FINISHED"] * 6
    assert children["tags.config.key"].is_unique
    assert set(first["run_id"]) <= set(children["run_id"])
    assert states == ["COMPLETE"] * 6
    assert "6 runs, 4 done" in capsys.readouterr().err


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(mlruns: Path) -> None:
    assert study_main(toy(), ["--workers", "2"]) == 0
    assert run_study(toy(), "--fresh") == 0
    (two, _), (one, _) = recorded(mlruns), recorded(mlruns, "mnist-5k~2")
    columns = ["tags.config.key", "metrics.test/elbo", "metrics.test/iwae_3", "metrics.train/elbo"]
    a, b = (frame[columns].sort_values("tags.config.key").reset_index(drop=True) for frame in (two, one))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert set(two["run_id"]).isdisjoint(one["run_id"])  # --fresh keeps the runs of the earlier generation


def test_what_a_dead_driver_left_is_made_good(mlruns: Path) -> None:
    """A RUNNING trial whose run is FINISHED becomes COMPLETE; a run that is RUNNING becomes KILLED and is run again."""
    assert run_study(toy()) == 0
    children, _ = recorded(mlruns)
    tracker = Tracker(addresses.tracking_uri(None))
    killed = children["run_id"].iloc[0]
    tracker.reopen(killed)
    backend = optuna.storages.journal.JournalFileBackend(str(mlruns / "optuna" / "toy" / "mnist-5k.journal"))
    trials = optuna.load_study(study_name="mnist-5k", storage=optuna.storages.JournalStorage(backend))
    trials.enqueue_trial({}, user_attrs={"key": children["tags.config.key"].iloc[1]})
    trials.ask()
    assert run_study(toy()) == 0
    children, states = recorded(mlruns)
    assert children["status"].value_counts().to_dict() == {"FINISHED": 4, "KILLED": 1}
    assert children.loc[children["status"] == "FINISHED", "tags.config.key"].is_unique
    assert states == ["COMPLETE"] * 6


def test_a_diverging_cell_ends_alone_and_is_not_repeated(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = toy(factors={"learning_rate": (1e-3, 1e6)}, full={}, baseline={"learning_rate": 1e-3}, seeds=1)
    base = study.base.with_changes(epochs=3, subset=200)
    study = study.model_copy(update={"base": base})
    assert run_study(study) == 0
    children, states = recorded(mlruns)
    assert sorted(children["status"]) == ["FAILED", "FINISHED"]
    assert sorted(states) == ["COMPLETE", "FAIL"]
    table = pd.read_csv(mlruns / "tables" / "toy" / "table.csv").set_index("learning_rate")
    assert table["failed"].tolist() == [0, 1]
    assert run_study(study) == 0
    assert "2 runs, 2 done" in capsys.readouterr().err


def test_a_changed_base_is_not_mixed_in(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds", "1") == 0
    changed = toy(base=toy().base.with_changes(hidden=(17,)))
    assert run_study(changed) == 2
    err = capsys.readouterr().err
    assert "2 of its 2 runs" in err
    assert "hidden (was [16], is [17]) in latent_dim=3, seed=0 | latent_dim=2, seed=0" in err
    assert "--fresh" in err
    assert run_study(changed, "--seeds", "1", "--fresh") == 0
    assert run_study(toy(), "--seeds", "1", "--epochs", "2") == 0  # flags that change the base make another sweep
    names = {path.name for path in (mlruns / "tables" / "toy").iterdir() if path.is_dir()}
    assert names == {"mnist-5k", "mnist-5k~2", "mnist-5k-epochs=2"}


def test_a_factor_that_was_added_or_taken_away(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells whose configuration stays the same are kept; the error names runs that do not fit the new declaration."""
    assert run_study(toy(), "--seeds", "1") == 0
    sigmas = toy().base.sigma, "raw"
    wider = toy(factors={"latent_dim": (2, 3), "sigma": sigmas}, baseline={"latent_dim": 2, "sigma": "raw"})
    assert run_study(wider, "--seeds", "1") == 0
    assert "4 runs, 2 done" in capsys.readouterr().err
    assert run_study(toy(), "--seeds", "1") == 2
    err = capsys.readouterr().err
    assert "2 of its 4 runs" in err
    assert "sigma (was raw, is log-variance) in latent_dim=3, sigma=raw, seed=0 | latent_dim=2, sigma=raw" in err


def test_a_trial_that_needs_more_memory_than_there_is(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before the start is switched off; a real allocation fails in one run, and the other cells go on."""
    monkeypatch.setattr("vaestudy.training.memory.require_memory", lambda *arguments: None)
    study = toy(factors={"hidden": ((2**31 - 1,), (16,))}, full={}, baseline={"hidden": (16,)}, seeds=1)
    assert run_study(study) == 1
    assert "crashed (RuntimeError" in capsys.readouterr().err
    children, states = recorded(mlruns)
    assert sorted(children["status"]) == ["FAILED", "FAILED", "FINISHED"]
    assert sorted(states) == ["COMPLETE", "FAIL", "FAIL"]
    failed = children[children["status"] == "FAILED"].iloc[0]
    assert "allocate memory" in failed["tags.failure"]
    tracker = Tracker(addresses.tracking_uri(None))
    assert "allocate memory" in tracker.read_file(failed["run_id"], "traceback.txt").decode()


def test_a_quick_look_does_not_replace_a_result(mlruns: Path) -> None:
    assert run_study(toy()) == 0
    shown = mlruns / "tables" / "toy" / "table.csv"
    assert not pd.read_csv(shown)["quick"].any()
    before = shown.read_bytes()
    assert run_study(toy(), "--quick") == 0
    assert shown.read_bytes() == before
    assert (mlruns / "tables" / "toy" / "quick-mnist-5k" / "table.csv").exists()


def test_a_sweep_that_is_held_is_left_alone(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    folder = mlruns / "optuna" / "toy"
    folder.mkdir(parents=True)
    (folder / "mnist-5k.owner").write_text("process 4711 on somewhere")
    with FileLock(folder / "mnist-5k.lock"):
        assert run_study(toy()) == 2
    assert "process 4711 on somewhere" in capsys.readouterr().err


def test_a_crash_becomes_a_failure_with_its_traceback(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("vaestudy.sweep.worker_pool.execute", broken)
    outcome = run_safely(tiny, Path(), lambda epoch, metrics: None)
    assert isinstance(outcome, RunFailure)
    assert outcome.reason == "MemoryError: no room"
    assert "broken" in outcome.traceback
    assert not outcome.diverged


def test_parent_reads_well_and_stands_with_numbers(mlruns: Path) -> None:
    assert run_study(toy()) == 0
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()["toy"]
    (row,) = tracker.runs(experiment, {"role": "study"}).to_dict("records")
    assert row["metrics.runs/finished"] == 4
    assert row["metrics.by_latent_dim/test/elbo"] < 0
    note = row["tags.mlflow.note.content"]
    assert note.startswith("## Does a toy work?")
    assert "\u00a0latent_dim\u00a0" in note
    text = tracker.read_file(row["run_id"], "tables/table.tex").decode()
    assert r"\toprule" in text
    assert r"\pm" in text
    assert export.export(tracker, experiment, row["run_id"]).folder == mlruns / "tables" / "toy"


def test_study_of_likelihoods_end_to_end(mlruns: Path) -> None:
    """All families share one table in bits/dim; options that a likelihood lacks are blank; the figures are drawn."""
    study = by_likelihood()
    assert run_study(study, "--seeds", "1") == 0
    folder = mlruns / "tables" / "toy"
    table = pd.read_csv(folder / "table.csv")
    assert table["test/bits_per_dim"].between(2, 20).all()
    assert len(table) == 3
    assert set(study.tabulate) <= set(pd.read_csv(folder / "runs.csv"))
    shown = (folder / "table.md").read_text()
    rows = [line.split("|")[1:4] for line in shown.splitlines() if line.startswith("| bernoulli")]
    assert [[cell.strip() for cell in row] for row in rows] == [["bernoulli", "", "3"]]
    assert "which is no density, those of the continuous Bernoulli" in shown
    for picture in ("arms", "decoder_samples"):
        assert (folder / f"{picture}.png").stat().st_size > 10_000


def test_a_diverged_cell_is_named_with_its_epoch(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaestudy.training.divergence.LOWEST_BOUND", -650.0)
    study = toy(
        base=toy().base.with_changes(epochs=2, minibatch=10),
        factors={"learning_rate": (1e-3, 10.0)},
        full={},
        baseline={"learning_rate": 1e-3},
    )
    assert run_study(study, "--seeds", "1") == 0
    table = pd.read_csv(mlruns / "tables" / "toy" / "table.csv").set_index("learning_rate")
    assert table["failed"].to_dict() == {0.001: 0, 10.0: 1}
    assert math.isnan(table.loc[10.0, "test/elbo"])
    notes = (mlruns / "tables" / "toy" / "table.md").read_text()
    assert re.search(r"learning_rate=10: 1 of 1 failed: .*epoch \d+", notes)
