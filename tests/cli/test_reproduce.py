"""`vaestudy reproduce`: the plan, the missing runs, a command that was interrupted, what is published, and bad input.

Runs are not trained, but in the slow test: their metrics are formulas of the configuration.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.formula_runs import formula_run
from vaestudy.cli.main import main
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.reproductions.table import BEGIN, END
from vaestudy.run.record import Record, RunFailure
from vaestudy.runtime import addresses
from vaestudy.sweep import worker_pool
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.training.train import OnEpoch

QUICK = ["reproduce", "--quick", "--workers", "0", "--protocols", "altosaar"]
Run = Callable[[RunConfig, Path, OnEpoch], Record]


def executing(monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None, crash: bool = False) -> list[RunConfig]:
    """Execute runs by a formula; return the list to which each run is added when it ends.

    Args:
        stop_after: interrupt the process after so many runs.
        crash: let every run crash.
    """
    done: list[RunConfig] = []

    def run(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        if len(done) == stop_after:
            raise KeyboardInterrupt
        if crash:
            return RunFailure("broken", "Traceback", diverged=False)  # type: ignore[return-value]
        record = formula_run(config.with_changes(epochs=1), root, on_epoch)
        value = -105.6 + 0.1 * math.sin(7.0 * config.seed)
        bounds = {f"test/iwae_{K}": value + math.log(K) for K in config.iwae}
        done.append(config)
        return replace(
            record, config=config, metrics=record.metrics | bounds | {"test/elbo": value, "seconds/total": 30.0}
        )

    monkeypatch.setattr(worker_pool, "run_safely", run)
    return done


def lines_of(out: str) -> dict[str, list[str]]:
    """Return the first word of each line -> all its words."""
    return {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}


def test_it_runs_what_is_missing_once(
    monkeypatch: pytest.MonkeyPatch, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = executing(monkeypatch)
    assert main(QUICK) == 0
    assert [config.seed for config in done] == [0, 1]
    out, err = capsys.readouterr()
    assert "a look, not a result" in err
    file = mlruns / "reproduce" / "mnist-5k-quick" / "reproduce.md"
    assert str(file) in out
    text = file.read_text()
    assert text.startswith("**A look")
    assert text.count("| a look |") == len(PROTOCOLS["altosaar"].numbers)
    assert main(QUICK) == 0
    assert len(done) == 2
    assert file.read_text() == text
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()["reproduce-altosaar"]
    assert set(tracker.runs(experiment, {"role": "trial"})["status"]) == {"FINISHED"}


def test_interrupted_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = executing(monkeypatch, stop_after=1)
    assert main(QUICK) == 130
    rest = executing(monkeypatch)
    assert main(QUICK) == 0
    assert [config.seed for config in first + rest] == [0, 1]


def test_a_crash_is_reported_and_no_value(monkeypatch: pytest.MonkeyPatch, mlruns: Path) -> None:
    executing(monkeypatch, crash=True)
    assert main([*QUICK, "--retries", "0"]) == 1
    assert "| not run |" in (mlruns / "reproduce" / "mnist-5k-quick" / "reproduce.md").read_text()


def test_the_plan_counts_and_writes_nothing(
    mlruns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaestudy.evidence.committed.repository", lambda: tmp_path)  # no run is committed
    assert main(["reproduce", "--plan", "--workers", "2"]) == 0
    rows = lines_of(capsys.readouterr().out)
    assert rows["aevb"][1:4] == ["0", "0", "24"]
    assert rows["iwae"][1:4] == ["0", "0", "16"]
    missing = [int(rows[name][3]) for name in PROTOCOLS]
    assert int(rows["all"][3]) == sum(missing)
    assert float(rows["all"][4]) == pytest.approx(sum(float(rows[name][4]) for name in PROTOCOLS), abs=3)
    assert not mlruns.exists()


def test_the_plan_knows_the_runs_and_their_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    executing(monkeypatch, stop_after=1)
    assert main(QUICK) == 130
    capsys.readouterr()
    assert main([*QUICK, "--plan"]) == 0
    row = lines_of(capsys.readouterr().out)["altosaar"]
    assert row[1:4] == ["1", "0", "1"]
    assert " ".join(row[4:]) == "under 1 (recorded)"


def test_publishing_writes_the_runs_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published is what the committed runs alone give: an offline command changes no byte."""
    checkout = tmp_path / "checkout"
    (checkout / "docs").mkdir(parents=True)
    page = checkout / "docs" / "reproduce.md"
    page.write_text(f"# Title\n{BEGIN}\n{END}\nend\n")
    for module in ("cli.reproduce", "evidence.committed"):
        monkeypatch.setattr(f"vaestudy.{module}.repository", lambda: checkout)
    monkeypatch.setattr(datasets, "find_dataset", lambda *_: ("mnist", None))
    monkeypatch.setattr("vaestudy.cli.evidence_work.find_dataset", lambda *_: ("mnist", None))
    done = executing(monkeypatch)
    command = ["reproduce", "--workers", "0"]
    assert main([*command, "--protocols", "pytorch-examples"]) == 0
    assert [config.seed for config in done] == list(range(10))
    monkeypatch.setattr("vaestudy.cli.reproduce_work.run_missing", lambda work: True)
    assert main([*command, "--publish"]) == 0
    text = page.read_text()
    assert text.startswith(f"# Title\n{BEGIN}\n|")
    assert text.endswith(f"{END}\nend\n")
    row = next(line for line in text.splitlines() if line.startswith("| pytorch-examples"))
    assert "| 105.56 to 105.61 ± 0.30 | " in row
    assert "| yes | 10 |" in row
    assert text.count("| not run |") == sum(len(each.numbers) for each in PROTOCOLS.values()) - 1
    assert [path.name for path in (checkout / "docs" / "data").iterdir()] == ["reproduce-pytorch-examples.csv"]
    written = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    assert main(["reproduce", "--publish", "--offline"]) == 0
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == written


def test_a_page_without_marks_is_refused_before_any_run(
    tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "reproduce.md").write_text("# Title\n")
    monkeypatch.setattr("vaestudy.cli.reproduce.repository", lambda: tmp_path)
    assert main(["reproduce", "--publish"]) == 2
    assert capsys.readouterr().err.startswith("vaestudy: reproduce.md: must have the lines")
    assert not mlruns.exists()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--protocols aebv", ["unknown protocol 'aebv' (did you mean 'aevb'?)"]),
        ("--protocols", ["--protocols", "expected at least one argument"]),
        ("--seeds 0", ["--seeds 0", "1 or more"]),
        ("--seeds 3 --quick", ["--seeds: not with --quick"]),
        ("--offline --workers 2", ["--workers: not with --offline"]),
        ("--plan --publish", ["--publish: not with --plan"]),
        ("--publish --protocols aevb", ["--protocols: not with --publish"]),
        ("--publish --dataset kmnist", ["--dataset kmnist: not with --publish, which is for mnist"]),
        ("--dataset mnits", ["mnits", "mnist"]),
        ("--data-dir /nowhere", ["--data-dir /nowhere: no such directory"]),
        ("--iwae 5", ["unknown flag '--iwae'"]),
    ],
)
def test_bad_input_is_one_line(flags: str, parts: list[str], mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", *flags.split()]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert not mlruns.exists()


def test_every_protocol_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in PROTOCOLS)


@pytest.mark.slow
def test_a_quick_reproduction_end_to_end(empty_store: Path) -> None:
    """Run the command as a user does, with worker processes and real training."""
    command = [sys.executable, "-m", "vaestudy", "reproduce", "--quick", "--protocols", "altosaar", "pytorch-examples"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 runs are missing: reproduce-pytorch-examples, reproduce-altosaar" in done.stderr
    file = empty_store / "reproduce" / "mnist-5k-quick" / "reproduce.md"
    text = file.read_text()
    assert text.count("| a look |") == sum(len(PROTOCOLS[name].numbers) for name in ("altosaar", "pytorch-examples"))
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "missing" not in again.stderr
    assert file.read_text() == text
