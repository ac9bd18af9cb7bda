"""Test the outbox: the tracker is out of reach at the start or later, or the disk is full.

The study goes on, no result is lost, and `vaestudy sync` can be repeated without publishing anything twice.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import end, free_port, wait_for_port
from tests.support.studies import recorded, run_study, toy
from vaestudy.cli.main import main
from vaestudy.runtime import addresses
from vaestudy.tracking import outbox
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.publisher import Publisher
from vaestudy.tracking.unavailable import reaching_tracker


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def serve(port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start an MLflow server on the loopback interface; return when it accepts connections."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
               "--backend-store-uri", addresses.database_uri(folder / "server.db"),
               "--artifacts-destination", str(folder / "artifacts")]  # fmt: skip
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "server.log").open("ab")
    server = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, start_new_session=True)
    wait_for_port(port)
    return server


@pytest.mark.slow
def test_server_down_at_the_start_then_up(tmp_path: Path, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    assert run_study(toy(), "--seeds", "1", "--tracking-uri", uri) == 1
    err = capsys.readouterr().err
    assert err.count("tracking is out of reach") == 1
    assert "2 results wait on disk" in err
    assert len(outbox.waiting_entries(print, uri)) == 2
    assert main(["sync"]) == 1  # still down
    assert len(outbox.waiting_entries(print, uri)) == 2
    assert run_study(toy(), "--seeds", "1", "--tracking-uri", uri) == 1  # runs no cell again
    assert "2 runs, 2 done" in capsys.readouterr().err
    server = serve(port, tmp_path)
    try:
        assert main(["sync"]) == 0
        assert "2 results delivered, 0 waiting" in capsys.readouterr().out
        assert main(["sync"]) == 0
        assert "0 results delivered, 0 waiting" in capsys.readouterr().out
        assert run_study(toy(), "--seeds", "2", "--tracking-uri", uri) == 0
        tracker = Tracker(uri)
        runs = tracker.runs(tracker.experiments()["toy"], {"role": "trial"})
    finally:
        end(server)
    assert runs["status"].tolist() == ["FINISHED"] * 4
    assert runs["tags.config.key"].is_unique


@pytest.mark.parametrize("place", range(2))
def test_results_that_an_earlier_revision_left_are_delivered(
    place: int, tmp_path: Path, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Earlier revisions used other folder names; records that wait there are published too."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    assert run_study(toy(), "--seeds", "1", "--tracking-uri", uri) == 1
    current, former = outbox.roots()[0], outbox.former_roots()[place]
    former.parent.mkdir(parents=True, exist_ok=True)
    current.rename(former)
    assert former.name.startswith(("spool", "vaestudy-spool"))
    assert len(outbox.waiting_entries(print, uri)) == 2
    server = serve(port, tmp_path)
    try:
        assert main(["sync"]) == 0
        runs = Tracker(uri).runs(Tracker(uri).experiments()["toy"], {"role": "trial"})
    finally:
        end(server)
    assert "2 results delivered, 0 waiting" in capsys.readouterr().out
    assert runs["status"].tolist() == ["FINISHED"] * 2
    assert outbox.waiting_entries(print) == []


@pytest.mark.slow
def test_server_stops_and_starts_in_the_midst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed during a run and started again three runs later: every result is published."""
    port, ends, finish = free_port(), 0, Publisher.finish
    uri, server = f"http://127.0.0.1:{port}", serve(port, tmp_path)

    def disturbed(self: Publisher, *arguments) -> str | None:
        nonlocal ends, server
        ends += 1
        if ends == 2:
            end(server)
        elif ends == 5:
            server = serve(port, tmp_path)
        return finish(self, *arguments)

    monkeypatch.setattr(Publisher, "finish", disturbed)
    try:
        assert run_study(toy(), "--seeds", "3", "--tracking-uri", uri) == 0
        tracker = Tracker(uri)
        runs = tracker.runs(tracker.experiments()["toy"], {"role": "trial"})
    finally:
        end(server)
    assert capsys.readouterr().err.count("tracking is out of reach") == 1
    done = runs[runs["status"] == "FINISHED"]
    assert len(done) == 6
    assert done["tags.config.key"].is_unique
    assert "RUNNING" not in set(runs["status"])
    assert "KILLED" in set(runs["status"])  # the run that was open when the server was killed
    assert outbox.waiting_entries(print) == []


def test_a_single_run_whose_tracker_goes_waits_too(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Tracker.finish

    @reaching_tracker
    def refuse(self: Tracker, *arguments) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tracker, "finish", refuse)
    command = ["train", "--dataset", "mnist-5k", "--subset", "60", "--epochs", "1", "--figures", "reconstructions"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "No space left on device" in captured.err
    assert "the result waits on disk" in captured.err
    ((_, entry),) = outbox.waiting_entries(print)
    monkeypatch.setattr(Tracker, "finish", finish)
    assert main(["sync"]) == 0
    assert main(["sync"]) == 0
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["train"])
    assert sorted(runs["status"]) == ["FINISHED", "KILLED"]
    (row,) = runs[runs["status"] == "FINISHED"].to_dict("records")
    assert row["metrics.test/elbo"] == entry.record.metrics["test/elbo"]
    assert tracker.read_file(row["run_id"], "weights.safetensors") == entry.record.files["weights.safetensors"]
    assert "tags.mlflow.parentRunId" not in row
    assert set(tracker.experiments()) == {"Default", "train"}


@pytest.mark.slow
def test_database_locked_midway(mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """Another process locks the database for long: the record waits and is published when the study ends."""
    assert run_study(toy(), "--seeds", "1") == 0
    finish = Tracker.finish

    def locked(self: Tracker, *arguments) -> None:
        with closing(sqlite3.connect(mlruns / "mlflow.db", isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            monkeypatch.setattr(Tracker, "finish", finish)
            finish(self, *arguments)

    monkeypatch.setattr(Tracker, "finish", locked)
    assert run_study(toy(), "--seeds", "2") == 0
    assert capsys.readouterr().err.count("tracking is out of reach") == 1
    children, states = recorded(mlruns)
    assert children["status"].tolist().count("KILLED") == 1  # the run that was open during the lock
    done = children[children["status"] == "FINISHED"]
    assert len(done) == 4
    assert done["tags.config.key"].is_unique
    assert "RUNNING" not in set(children["status"])
    assert states == ["COMPLETE"] * 4
    assert outbox.waiting_entries(print) == []


def test_a_full_disk_under_mlruns_uses_the_other_place(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = outbox._write

    def full(folder: Path, entry: outbox.OutboxEntry) -> None:
        if folder.is_relative_to(mlruns):
            raise OSError(28, "No space left on device")
        write(folder, entry)

    @reaching_tracker
    def refuse(self: Tracker, *arguments) -> None:
        raise OSError(28, "No space left on device")

    finish = Tracker.finish
    monkeypatch.setattr(outbox, "_write", full)
    monkeypatch.setattr(Tracker, "finish", refuse)
    assert run_study(toy(), "--seeds", "1") == 1
    assert all(not folder.is_relative_to(mlruns) for folder, _ in outbox.waiting_entries(print))
    before = {entry.key: entry.record for _, entry in outbox.waiting_entries(print)}
    assert len(before) == 2
    monkeypatch.setattr(Tracker, "finish", finish)
    assert main(["sync"]) == 0
    children, _ = recorded(mlruns)
    done = children[children["status"] == "FINISHED"].set_index("tags.config.key")
    for key, record in before.items():
        assert done.loc[key, "metrics.test/elbo"] == record.metrics["test/elbo"]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set mlruns to a folder on a disk of 3 MB; return the disk's folder."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    monkeypatch.setenv("VAESTUDY_MLRUNS", str(disk / "mlruns"))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_midway(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds", "20") == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err or "disk is full" in err
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    assert run_study(toy(), "--seeds", "20") == 0
    assert "40 runs, 0 done" not in capsys.readouterr().err
    children, states = recorded(small_disk / "mlruns")
    done = children[children["status"] == "FINISHED"]
    assert len(done) == 40
    assert done["tags.config.key"].is_unique
    assert "RUNNING" not in set(children["status"])
    assert states.count("COMPLETE") == 40
    assert "RUNNING" not in states
    assert outbox.waiting_entries(print) == []
