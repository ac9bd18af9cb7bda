"""Tests of `vaestudy train --from RUN`: a tracked run is trained again, and its record is compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.studies import recorded, run_study, toy
from vaestudy.cli import commands
from vaestudy.cli.main import main
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime import addresses, project, provenance
from vaestudy.runtime.provenance import CodeRevision
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.stored_form import TAG
from vaestudy.tracking.unavailable import reaching_tracker

FLAGS = "--dataset mnist-5k --subset 60 --epochs 2 --hidden 8 --latent-dim 3 --iwae 1 3 --minibatch 30 --figures"
HERE, ELSEWHERE = CodeRevision("a" * 40, "clean"), CodeRevision("b" * 40, "clean")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code have a clean revision, whatever the checkout is like."""
    monkeypatch.setattr(provenance, "code_revision", lambda: HERE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run once; return the folder of its records. Making a new one for each test would take seconds."""
    folder = tmp_path_factory.mktemp("store") / "mlruns"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(provenance, "code_revision", lambda: HERE)
        patched.setenv("VAESTUDY_MLRUNS", str(folder))
        patched.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert main(["train", *FLAGS.split(), "training_curves"]) == 0
    return folder


@pytest.fixture
def run_id(store: Path, mlruns: Path) -> str:
    """Return the id of the run in a copy of the store."""
    shutil.copytree(store, mlruns)
    (row,) = singles()
    return str(row["run_id"])


def tracker() -> Tracker:
    return Tracker(addresses.tracking_uri(None))


def singles() -> list[dict[str, Any]]:
    """Return the tracked single runs, newest first."""
    return tracker().runs(tracker().experiments()["train"]).to_dict("records")


def test_a_run_of_a_study_is_repeated_exactly(
    run_id: str, mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_show_results", lambda *_: None)  # tables and pictures take seconds
    assert run_study(toy(), "--seeds", "1") == 0
    before = recorded(mlruns)[0].set_index("run_id")
    original = before[before["params.latent_dim"] == "3"].iloc[0]
    capsys.readouterr()

    assert main(["train", "--from", original.name[:10], "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["repeats"], found["exact"], found["differing"]) == (original.name, True, {})
    row, _ = singles()
    assert row["run_id"] == found["run_id"]
    assert (row["status"], row["tags.role"]) == ("FINISHED", "train")
    assert (row["tags.repeats"], row["tags.repeats.exact"]) == (original.name, "True")
    assert "tags.repeats.differs" not in row
    measured = {name for name in before if name.startswith(("metrics.train", "metrics.valid", "metrics.test"))}
    assert len(measured) > 20
    assert {name: row[name] for name in measured} == {name: original[name] for name in measured}
    one, two = (tracker().read_file(id, "weights.safetensors") for id in (original.name, found["run_id"]))
    assert one == two
    assert recorded(mlruns)[0].shape[0] == len(before)  # the study has no new run


def test_the_lines_of_an_exact_repetition(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    tracker().metrics(run_id, {"test/iwae_7": -1.0})  # as `vaestudy evaluate` adds it
    assert main(["train", "--from", run_id[:8]]) == 0
    out, err = capsys.readouterr()
    assert f"\nrepeats run {run_id} exactly (" in out
    assert "in only one of the two records, so not compared: test/iwae_7\n" in out
    assert err == ""


def test_an_altered_record_is_found_out(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    tracker().client.log_metric(run_id, "valid/elbo", -1.5, step=1)
    tracker().client.log_metric(run_id, "test/kl", 2.5, step=0)
    assert main(["train", "--from", run_id, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["exact"] is False
    assert {name: was for name, (was, _) in found["differing"].items()} == {"valid/elbo, epoch 1": -1.5, "test/kl": 2.5}
    assert f"does not repeat run {run_id}: 2 values differ" in err
    assert "test/kl: 2.5 on record" in err
    assert singles()[0]["tags.repeats.exact"] == "False"


def test_another_revision(run_id: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "code_revision", lambda: ELSEWHERE)
    assert main(["train", "--from", run_id]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in ("aaaaaaaaaa (clean) on record", "bbbbbbbbbb (clean) now", "--any-revision"):
        assert part in err
    assert len(singles()) == 1

    monkeypatch.setattr(provenance, "versions", lambda: {"python": "3", "torch": "9.9.9", "mlflow": "0", "numpy": "0",
                                                         "vaestudy": "0"})  # fmt: skip
    assert main(["train", "--from", run_id, "--any-revision", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "now: another revision may give other numbers\n" in err
    assert "version.torch: " in err
    assert "9.9.9 now\n" in err
    assert "version.mlflow" not in err  # changes no bits
    assert json.loads(out)["exact"] is True
    row = singles()[0]
    assert (row["tags.repeats"], row["tags.code.revision"]) == (run_id, ELSEWHERE.commit)
    for part in ("code.revision: aaaaaaaaaa (clean) on record, bbbbbbbbbb (clean) now", "9.9.9 now"):
        assert part in row["tags.repeats.differs"]
    glossary = (project.repository() / "docs" / "glossary.md").read_text(encoding="utf-8")
    named = [name.removeprefix("tags.") for name in row if name.startswith("tags.repeats")]
    assert len(named) == 3
    assert all(f"| `{name}` |" in glossary for name in named)


def test_a_repetition_whose_record_waits(
    run_id: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracker goes at the end; the run that is delivered later still says what it repeats."""

    @reaching_tracker
    def away(*_: object) -> None:
        raise OSError("connection lost")

    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "finish", away)
        assert main(["train", "--from", run_id, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["exact"]) == ("WAITING", True)
    assert main(["sync"]) == 0
    row = singles()[0]
    assert (row["status"], row["tags.repeats"], row["tags.repeats.exact"]) == ("FINISHED", run_id, "True")


@pytest.mark.parametrize(
    ("tag", "value", "parts"),
    [
        ("data.fingerprint", "0", ["was made from other images than mnist-5k"]),
        ("config.key", "0", ["its tag config.key is 0", "altered"]),
    ],
)
def test_what_cannot_be_repeated(
    tag: str, value: str, parts: list[str], run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker().client.set_tag(run_id, TAG + tag, value)
    assert main(["train", "--from", run_id]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in (*parts, run_id):
        assert part in err
    assert len(singles()) == 1


def test_a_diverged_run_is_repeated(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no record, but the facts of one and its epochs; the same divergence is a failed run again."""
    command = "train --dataset mnist-5k --subset 200 --epochs 2 --learning-rate 1e6"
    assert main(command.split()) == 1
    capsys.readouterr()
    failed = singles()[0]
    assert failed["tags.code.revision"] == HERE.commit
    assert main(["train", "--from", failed["run_id"], "--json"]) == 1
    out, err = capsys.readouterr()
    assert "is FAILED (the loss is nan" in err
    assert "with 1 of 2 epochs on record; all epochs are trained" in err
    assert "not compared" not in err
    again = json.loads(out)
    assert (again["status"], again["exact"], again["repeats"]) == ("FAILED", True, failed["run_id"])
    assert singles()[0]["tags.repeats"] == failed["run_id"]

    tracker().client.set_tag(failed["run_id"], TAG + "failure", "the loss is inf in epoch 1")
    assert main(["train", "--from", failed["run_id"]]) == 1
    assert "divergence: the loss is inf in epoch 1 on record, the loss is nan" in capsys.readouterr().err


def test_a_run_without_files_and_epochs_is_repeated(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was killed before its first epoch ended has its parameters alone."""
    row = tracker().get(run_id)
    origin = {"config.key": row["tags.config.key"], "code.revision": HERE.commit, "code.state": "clean"}
    begun = tracker().start(row["experiment"], "begun", origin)
    tracker().params(begun, RunConfig(**json.loads(tracker().read_file(run_id, "config.json"))).model_dump(mode="json"))
    assert main(["train", "--from", begun]) == 0
    out, err = capsys.readouterr()
    assert f"run {begun} is RUNNING with 0 of 2 epochs on record" in err
    assert f"run {begun} has no metrics on record, so nothing could be compared" in out
    assert "tags.repeats.exact" not in {name for name, value in singles()[0].items() if value == value}


def test_the_run_of_a_whole_sweep_has_no_configuration(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tracker().start(tracker().get(run_id)["experiment"], "toy", {"role": "study"})
    assert main(["train", "--from", sweep]) == 2
    assert f"no run {sweep!r} is tracked" in capsys.readouterr().err
