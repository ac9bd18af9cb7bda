"""`vaestudy article`: the plan, the missing runs, a command that was interrupted, and further looks.

Runs are not trained: their metrics are formulas of the configuration.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.formula_runs import formula_run
from tests.support.reports import all_runs
from vaestudy.claims.looks import Looks
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.markdown import BEGIN, END
from vaestudy.cli import article_work
from vaestudy.cli.main import main
from vaestudy.config.run_config import RunConfig
from vaestudy.evidence import collect
from vaestudy.run.record import Record
from vaestudy.runtime import addresses
from vaestudy.sweep import worker_pool
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.training.train import OnEpoch

QUICK = ["article", "--quick", "--workers", "0"]
QUICK_RUNS = 12
"""C14 has six arms; --quick runs two seeds of each."""
Run = Callable[[RunConfig, Path, OnEpoch], Record]


def by_dimension(gain: float = 10.0, spread: float = 0.1) -> Run:
    """Return what executes a run: its reconstruction term rises by `gain` nats with each doubling of D."""

    def run(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        record = formula_run(config, root, on_epoch)
        term = -150 + gain * math.log2(config.latent_dim) + spread * math.sin(7.0 * config.seed + config.latent_dim)
        found = {"test/log_likelihood": term, "test/elbo": term - 20, "test/active_units": 2.0}
        return replace(record, metrics=record.metrics | found | {"seconds/total": 60.0})

    return run


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Return the list of the runs that are executed; they are those of `by_dimension`."""
    return executing(monkeypatch, by_dimension())


def executing(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[RunConfig]:
    """Execute runs by a function; return the list to which each run is added when it ends."""
    done: list[RunConfig] = []

    def and_note(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        record = run(config, root, on_epoch)
        done.append(config)
        return record

    monkeypatch.setattr(worker_pool, "run_safely", and_note)
    return done


def finished() -> list[str]:
    """Return the keys of the finished runs of the study of C14."""
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["latent-dims"], {"role": "trial"})
    return sorted(runs.loc[runs["status"] == "FINISHED", "tags.config.key"])


def test_it_runs_what_is_missing_once(executed: list[RunConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--claims", "C14"]) == 0
    assert len(executed) == len(set(finished())) == QUICK_RUNS
    out, err = capsys.readouterr()
    assert "a look on little data, not a result" in err
    assert "C14" in out
    assert main([*QUICK, "--claims", "C14"]) == 0
    assert len(executed) == QUICK_RUNS


def test_interrupted_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        if len(done) == 5:
            raise KeyboardInterrupt
        return by_dimension()(config, root, on_epoch)

    done = executing(monkeypatch, interrupted)
    assert main([*QUICK, "--claims", "C14"]) == 130
    before = finished()
    assert len(before) == 5
    again = executing(monkeypatch, by_dimension())
    assert main([*QUICK, "--claims", "C14"]) == 0
    assert len(again) == QUICK_RUNS - 5
    assert len(finished()) == len(set(finished())) == QUICK_RUNS
    assert set(before) < set(finished())


def test_a_run_that_crashes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        if config.latent_dim == 5:
            return worker_pool.RunFailure("broken", "Traceback", diverged=False)  # type: ignore[return-value]
        return by_dimension()(config, root, on_epoch)

    executing(monkeypatch, crashing)
    assert main([*QUICK, "--claims", "C14", "--retries", "0"]) == 1


def test_the_plan_counts_and_writes_nothing(
    mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collect, "data_folder", lambda: tmp_path / "no-committed-runs")
    assert main(["article", "--plan", "--claims", "C14", "C13"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["C14"][1:5] == ["undecided", "0", "0", "60"]
    assert rows["C13"][1:5] == ["undecided", "0", "0", "10"]
    assert rows["all"][1] == "70"
    assert "Minutes" in " ".join(rows["C14"])
    assert not mlruns.exists()


def test_the_plan_counts_the_committed_runs(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/data has all runs that the published verdicts rest on, so a fresh clone need not train to see them."""
    assert main(["article", "--plan"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["C14"][1:5] == ["holds", "0", "60", "0"]
    assert rows["all"] == ["all", "0"]
    assert not mlruns.exists()


def test_the_plan_knows_the_runs_and_their_time(executed: list[RunConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--claims", "C14"]) == 0
    capsys.readouterr()
    assert main(["article", "--plan", "--quick", "--claims", "C14"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["C14"][1:5] == ["holds", "12", "0", "0"]
    assert rows["all"][1] == "0"


def test_offline_runs_nothing(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["article", "--offline", "--claims", "C14", "--out", str(mlruns.parent / "report")]) == 0
    assert not mlruns.exists()


@pytest.mark.slow
def test_further_looks_add_seeds_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gains are small against the spread: more seeds are added twice at most, and all of them are tracked once."""
    done = executing(monkeypatch, by_dimension(gain=3.0, spread=2.0))
    command = ["article", "--dataset", "mnist-5k", "--workers", "0", "--claims", "C14"]
    assert main([*command, "--until-decided", "--most-seeds", "14"]) == 0
    seeds = {D: {run.seed for run in done if run.latent_dim == D} for D in (2, 3, 5, 10, 20, 50)}
    assert all(set(range(10)) <= found <= set(range(14)) for found in seeds.values())
    assert seeds[2] == seeds[3] == set(range(14))  # the step from D=2 to 3 is undecided
    assert seeds[50] == set(range(10))
    assert len(finished()) == len(set(finished())) == len(done)
    count = len(done)
    assert main(command) == 0  # without the flag: the looks are kept, and nothing is run again
    assert len(done) == count


def test_the_report_is_written_and_logged(
    executed: list[RunConfig], mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "--claims", "C14"]) == 0
    folder = mlruns / "article" / "mnist-5k-quick"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == ["claims.html", "claims.md", "claims/C14.png"]
    before = {name: (folder / name).read_bytes() for name in names}
    page = before["claims.html"].decode()
    assert "A look on little data" in page
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["latent-dims"], {"role": "trial"})
    experiment = tracker.experiments()["latent-dims"]
    assert all(tracker.link(experiment, run_id) in page for run_id in runs["run_id"])
    (logged,) = tracker.runs(tracker.experiments()["article"])["run_id"]
    assert logged in capsys.readouterr().out
    assert tracker.read_file(logged, "claims.html") == before["claims.html"]
    assert main([*QUICK, "--claims", "C14"]) == 0  # the same evidence: the same bytes, and no second run
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert len(tracker.runs(tracker.experiments()["article"])) == 1


def test_publishing_writes_runs_report_and_readme(
    executed: list[RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published is what the committed runs alone give: an offline command changes no byte."""
    checkout = tmp_path / "checkout"
    (checkout / "docs" / "data").mkdir(parents=True)
    (checkout / "README.md").write_text(f"# Title\n{BEGIN}\n{END}\nend\n")
    for module in ("cli.article", "cli.article_work", "evidence.committed"):
        monkeypatch.setattr(f"vaestudy.{module}.repository", lambda: checkout)
    monkeypatch.setattr(article_work, "run_missing", lambda article: True)  # 386 runs are another test's matter
    monkeypatch.setattr(article_work, "tracker_of", lambda request: None)
    monkeypatch.setattr(article_work.Article, "collect", lambda self: setattr(self, "evidence", all_runs("C14")))
    assert main(["article", "--publish"]) == 0
    written = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    names = {str(path.relative_to(checkout)) for path in written}
    assert {"README.md", "docs/claims.html", "docs/claims.md", "docs/claims/C14.png"} < names
    assert "docs/data/latent-dims.csv" in names
    assert b"| [C14](docs/claims.md#c14) |" in written[checkout / "README.md"]
    monkeypatch.undo()
    for module in ("cli.article", "cli.article_work", "evidence.committed"):
        monkeypatch.setattr(f"vaestudy.{module}.repository", lambda: checkout)
    assert main(["article", "--publish", "--offline"]) == 0
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == written


def test_a_readme_without_marks_is_refused_before_any_run(
    tmp_path: Path, mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("# Title\n")
    for module in ("article", "article_work"):
        monkeypatch.setattr(f"vaestudy.cli.{module}.repository", lambda: tmp_path)
    assert main(["article", "--publish"]) == 2
    assert capsys.readouterr().err.startswith("vaestudy: README.md: must have the lines")
    assert not mlruns.exists()


@pytest.mark.slow
def test_a_look_that_was_interrupted_is_finished_before_the_next(monkeypatch: pytest.MonkeyPatch, mlruns: Path) -> None:
    """Killed in a further look, the command goes on with the seeds that were written down, and judges only then."""
    uninterrupted = by_dimension(gain=3.0, spread=2.0)

    def interrupted(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record:
        if len(done) == 63:
            raise KeyboardInterrupt
        return uninterrupted(config, root, on_epoch)

    command = ["article", "--dataset", "mnist-5k", "--workers", "0", "--claims", "C14"]
    command += ["--until-decided", "--most-seeds", "14"]
    done = executing(monkeypatch, interrupted)
    assert main(command) == 130
    looks = Looks.read(mlruns / "article" / "looks-mnist-5k.json")
    written = {one.name: one.seeds for one in looks.needs(CLAIMS["C14"])}
    assert len(looks.further["C14"]) == 1
    rest = executing(monkeypatch, uninterrupted)
    assert main(command) == 0
    first = rest[: sum(written.values()) - 63]
    assert {(run.latent_dim, run.seed) for run in first} <= {(D, seed) for D in (2, 3) for seed in range(10, 14)}
    assert len(finished()) == len(set(finished())) == 63 + len(rest)
    assert Looks.read(mlruns / "article" / "looks-mnist-5k.json").further["C14"][0] == looks.further["C14"][0]


@pytest.mark.parametrize("flags", [[], ["--plan"]])
def test_runs_of_two_data_sets_are_refused(
    flags: list[str], executed: list[RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "--claims", "C14"]) == 0
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["latent-dims"], {"role": "trial"})["run_id"]
    for number, run_id in enumerate(runs):
        tracker.tag(run_id, {"data.fingerprint": f"f{number % 2}"})
    capsys.readouterr()
    assert main([*QUICK, "--claims", "C14", *flags]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "vaestudy: the runs that are there give no verdict: one claim cannot rest on different data sets: f0, f1"
    )


def test_a_folder_that_cannot_be_written_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["article", "--offline", "--out", str(tmp_path / "new" / "folder")]) == 2
    assert f"{tmp_path} cannot be written to" in capsys.readouterr().err


def test_every_claim_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["article", "--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in CLAIMS)


@pytest.mark.slow
def test_a_quick_article_end_to_end(empty_store: Path) -> None:
    """Run the command as a user does, with worker processes and real training: C6 rests on two arms."""
    command = [sys.executable, "-m", "vaestudy", "article", "--quick", "--claims", "C6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 runs are missing: likelihoods" in done.stderr
    page = empty_store / "article" / "mnist-5k-quick" / "claims.html"
    before = page.read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "missing" not in again.stderr
    assert page.read_bytes() == before
