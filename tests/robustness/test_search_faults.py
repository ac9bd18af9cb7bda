"""Test searches whose records are damaged or out of reach, or whose driver is stopped: no trial is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from optuna.storages.journal import JournalFileBackend

from tests.robustness.search_records import essence, faults, journal, searches_of
from tests.support.formula_runs import formula_run
from tests.support.studies import run_study, searching, toy
from vaestudy.cli import commands
from vaestudy.cli.main import main
from vaestudy.errors import TrackerUnavailable
from vaestudy.study.declaration import Study
from vaestudy.study.search_space import Choices
from vaestudy.sweep import worker_pool
from vaestudy.tracking.mlflow_tracker import Tracker

NAME, SWEEP, TRIALS = "toy-search", "mnist-5k", 6


def pruned_search(**changes: Any) -> Study:
    """Return a study whose search prunes some of its trials by epochs."""
    fields = {"trials": TRIALS, "pruner": "HyperbandPruner", "sampler": "TPESampler", "seed": 4} | changes
    return searching(fields, base=toy().base.with_changes(epochs=9), seeds=1)


@pytest.fixture(autouse=True)
def by_formula(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let runs be a formula, and leave out tables; return the keys of the runs that are executed."""
    executed: list[str] = []

    def run(config: Any, *rest: Any) -> Any:
        executed.append(config.key)
        return formula_run(config, *rest)

    monkeypatch.setattr(worker_pool, "run_safely", run)
    monkeypatch.setattr(commands, "_show_results", lambda to, out: None)
    return executed


def trials(home: Path) -> Any:
    return searches_of(journal(home, NAME, SWEEP), SWEEP)


def undisturbed(study: Study, monkeypatch: pytest.MonkeyPatch, home: Path) -> list[tuple[Any, ...]]:
    """Return the trials of a search that nothing disturbs."""
    with monkeypatch.context() as patch:
        patch.setenv("VAESTUDY_MLRUNS", str(home))
        assert run_study(study) == 0
        return essence(trials(home)[f"{SWEEP}/search"])


def assert_intact(home: Path, expected: list[tuple[Any, ...]]) -> None:
    """Check that the two records agree and that the trials are those of the undisturbed search."""
    found = trials(home)
    assert faults(home, NAME, SWEEP, TRIALS, found) == []
    assert essence(found[f"{SWEEP}/search"]) == expected
    assert {t[6]["outcome"] for t in expected} >= {"complete"}


def cut(part: float) -> Callable[[Path], None]:
    """Return a function that cuts a journal to a part of its lines, and tears the next line."""

    def damage(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        kept = int(part * len(lines))
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][:7])

    return damage


@pytest.mark.parametrize(
    ("damage", "changes"),
    [(Path.unlink, {}), (cut(0.4), {}), (cut(0.7), {"pruner": "WilcoxonPruner", "seeds": 3, "trials": 6})],
    ids=["deleted", "cut", "cut-with-seeds"],
)
def test_trials_that_are_lost_are_made_again_from_the_runs_in_mlflow(
    damage: Callable[[Path], None], changes: Any, by_formula: list[str], mlruns: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    study = pruned_search(**changes)
    expected = undisturbed(study, monkeypatch, tmp_path / "reference")
    by_formula.clear()
    assert run_study(study) == 0
    before = sorted(by_formula)
    damage(mlruns / "optuna" / NAME / f"{SWEEP}.journal")
    assert run_study(study) == 0
    assert_intact(mlruns, expected)
    assert sorted(by_formula) == before  # nothing was trained a second time


def test_the_tracker_is_away_during_a_search(
    by_formula: list[str], mlruns: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """The records wait, also those of pruned runs; `vaestudy sync` delivers them, and nothing is trained again."""
    study = pruned_search()
    expected = undisturbed(study, monkeypatch, tmp_path / "reference")
    by_formula.clear()
    start = Tracker.start
    with mock.patch.object(Tracker, "start", side_effect=TrackerUnavailable("away")):
        assert run_study(study) == 1
    assert Tracker.start is start
    assert len(by_formula) == TRIALS + 2
    assert main(["sync"]) == 0
    assert f"{TRIALS + 2} results delivered, 0 waiting" in capsys.readouterr().out
    assert run_study(study) == 0
    assert len(by_formula) == TRIALS + 2
    assert_intact(mlruns, expected)


def test_a_disk_that_is_full_while_a_trial_is_written(
    by_formula: list[str], mlruns: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    study = pruned_search()
    expected = undisturbed(study, monkeypatch, tmp_path / "reference")
    append, writes = JournalFileBackend.append_logs, 0

    def fill(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        nonlocal writes
        writes += 1
        if writes == 70:
            with Path(self._file_path).open("ab") as file:
                file.write(b'{"op_code": 5, "wor')
            raise OSError(28, "No space left on device")
        append(self, logs)

    with mock.patch.object(JournalFileBackend, "append_logs", fill):
        assert run_study(study) == 1
    assert writes == 70
    err = capsys.readouterr().err
    assert "trials cannot be written" in err
    assert "the same command goes on once there is room" in err
    assert "Traceback" not in err
    assert run_study(study) == 0
    assert_intact(mlruns, expected)


def test_an_interrupt_in_mid_search(mlruns: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """It costs one message, and the trial that was open goes on under its number."""
    study = pruned_search()
    expected = undisturbed(study, monkeypatch, tmp_path / "reference")
    capsys.readouterr()

    def interrupted(config: Any, root: Path, on_epoch: Any) -> Any:
        def on_epoch_once(epoch: int, metrics: Any) -> None:
            on_epoch(epoch, metrics)
            if len(trials(mlruns)[f"{SWEEP}/search"]) == 3:
                raise KeyboardInterrupt

        return formula_run(config, root, on_epoch_once)

    with mock.patch.object(worker_pool, "run_safely", interrupted):
        assert run_study(study) == 130
    err = capsys.readouterr().err
    assert err.count("stopped during the search; the trials so far are kept; to go on from here:") == 1
    assert "Traceback" not in err
    assert [t.state.name for t in trials(mlruns)[f"{SWEEP}/search"]][2:] == ["RUNNING"]
    assert run_study(study) == 0
    assert_intact(mlruns, expected)


def test_a_finite_space_and_a_budget_in_epochs_that_it_cannot_use_up(by_formula: list[str], mlruns: Path) -> None:
    study = searching({"space": {"minibatch": Choices(15, 30)}, "trials": None, "epochs": 100}, seeds=1)
    assert run_study(study) == 0
    outcomes = [t.user_attrs["outcome"] for t in trials(mlruns)[f"{SWEEP}/search"]]
    assert outcomes.count("complete") == 2
    assert 50 <= outcomes.count("repeated") < 60
