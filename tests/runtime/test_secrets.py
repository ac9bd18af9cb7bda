"""Test that the user and the password of an address are shown nowhere and stored nowhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.support.processes import free_port
from tests.support.studies import run_study, toy
from vaestudy.cli.main import main
from vaestudy.errors import BadInput
from vaestudy.runtime.paths import slug
from vaestudy.sweep import driver
from vaestudy.sweep.trial_storage import DatabaseTrialStorage, JournalTrialStorage, journal_folder
from vaestudy.tracking.mlflow_tracker import Tracker

SECRETS = (b"alice", b"s5word")


def test_a_study_whose_server_is_down(
    mlruns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result waits; no output and no file has the password, and no name of a file."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    study = toy(factors={"latent_dim": (2,)}, full={}, seeds=1)
    assert run_study(study, "--tracking-uri", "http://alice:p@s5word@127.0.0.1:9") == 1
    out, err = capsys.readouterr()
    assert "tracking is out of reach" in err
    written = [path for path in mlruns.rglob("*") if path.is_file()]
    assert list(mlruns.glob("optuna/http-127.0.0.1-9/toy/*.journal"))
    assert [path for path in written if path.name == "entry.json"]
    texts = [path.read_bytes() for path in written]
    names = "\n".join(str(path.relative_to(tmp_path)) for path in written)
    for secret in SECRETS:
        assert not any(secret in text for text in [*texts, names.encode(), out.encode(), err.encode()])


def test_the_link_to_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MlflowClient, "search_experiments", lambda *arguments, **named: [])
    link = Tracker("http://alice:s5word@h:5000").link("1", "0123")
    assert link == "http://h:5000/#/experiments/1/runs/0123?workflowType=machine_learning"


def test_the_command_that_goes_on() -> None:
    command = [
        "python",
        "s.py",
        "--storage=postgresql://alice:p/s5word@h/db",
        "--tracking-uri",
        "http://alice:s5word@h",
    ]
    shown = driver._public_command(command)
    assert shown.startswith("python s.py --storage=postgresql://h/db --tracking-uri http://h (")
    assert driver._public_command(["python", "s.py", "--seeds", "3"]) == "python s.py --seeds 3"


def test_the_pages_of_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """All users of a machine may read a command line, so the address is in the environment."""
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.extend(arguments))
    monkeypatch.setattr(Tracker, "__init__", lambda self, uri: None)
    address = "postgresql+psycopg://alice:s5word@h:5432/db"
    main(["ui", "--tracking-uri", address, "--port", str(free_port())])
    _, command, env = started
    assert not any("s5word" in word or "alice" in word for word in command)
    assert env["MLFLOW_BACKEND_STORE_URI"] == address


def test_the_storage_of_trials() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput, match=r"--storage postgresql://127.0.0.1:9/x: cannot be used") as caught:
        DatabaseTrialStorage("postgresql://alice:p%40s5word@127.0.0.1:9/x", "study")
    assert "alice" not in str(caught.value)
    assert "s5word" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["sqlite:///{}/a.db", "sqlite:///{}/./a.db?timeout=30", "sqlite+pysqlite:///{}/a.db"]
)
def test_one_tracker_has_one_folder_of_journals(address: str, mlruns: Path, tmp_path: Path) -> None:
    assert journal_folder(address.format(tmp_path)) == mlruns / "optuna" / slug(str(tmp_path / "a.db"))
    assert journal_folder(f"sqlite:///{mlruns}/mlflow.db") == mlruns / "optuna"


def test_files_that_are_no_generation(tmp_path: Path) -> None:
    for name in ("mnist", "mnist~2", "mnist~²", "mnist~old", "mnist~", "mnist-5k", "mnist~" + "9" * 20):
        (tmp_path / f"{name}.journal").touch()
    assert sorted(JournalTrialStorage(tmp_path).sweep_names("mnist")) == ["mnist", "mnist~2"]
