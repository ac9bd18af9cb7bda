"""A tracker out of reach, at the start or midway: nothing stops, nothing is lost, and delivery can be repeated."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from test_study import books, conduct, toy

from vaestudy import cli, places, spool
from vaestudy.tracking import Tracker


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def serve(port: int, folder: Path) -> subprocess.Popen[bytes]:
    """A tracking server on the loopback interface, ready to answer."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
               "--backend-store-uri", places.database_uri(folder / "server.db"),
               "--artifacts-destination", str(folder / "artifacts")]  # fmt: skip
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "server.log").open("ab")
    server = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, start_new_session=True)
    for _ in range(600):
        with closing(socket.socket()) as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    raise RuntimeError((folder / "server.log").read_text())


def stop(server: subprocess.Popen[bytes]) -> None:
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_server_down_at_the_start_then_up(tmp_path: Path, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    assert conduct(toy(), "--seeds", "1", "--tracking-uri", uri) == 1
    err = capsys.readouterr().err
    assert err.count("tracking is out of reach") == 1
    assert "2 results wait on disk" in err
    assert len(spool.waiting(uri)) == 2
    assert cli.main(["sync"]) == 1  # still down
    assert len(spool.waiting(uri)) == 2
    assert conduct(toy(), "--seeds", "1", "--tracking-uri", uri) == 1  # repeats nothing
    assert "2 runs, 2 done" in capsys.readouterr().err
    server = serve(port, tmp_path)
    try:
        assert cli.main(["sync"]) == 0
        assert "2 results delivered, 0 waiting" in capsys.readouterr().out
        assert cli.main(["sync"]) == 0
        assert "0 results delivered, 0 waiting" in capsys.readouterr().out
        assert conduct(toy(), "--seeds", "2", "--tracking-uri", uri) == 0
        tracker = Tracker(uri)
        runs = tracker.runs(tracker.experiments()["toy"], {"role": "trial"})
    finally:
        stop(server)
    assert runs["status"].tolist() == ["FINISHED"] * 4
    assert runs["tags.config.key"].is_unique


def test_database_locked_midway(mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """A lock that somebody holds for long: the results wait, and the next run of the study delivers them."""
    assert conduct(toy(), "--seeds", "1") == 0
    finish = Tracker.finish

    def locked(self: Tracker, run_id: str, record) -> None:
        with closing(sqlite3.connect(mlruns / "mlflow.db", isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            monkeypatch.setattr(Tracker, "finish", finish)
            finish(self, run_id, record)

    monkeypatch.setattr(Tracker, "finish", locked)
    assert conduct(toy(), "--seeds", "2") == 1
    captured = capsys.readouterr()
    assert "tracking is out of reach" in captured.err
    assert "1 results wait on disk" in captured.err
    children, _ = books(mlruns)
    assert children["status"].tolist().count("RUNNING") == 1  # what could not be closed
    assert cli.main(["sync"]) == 0
    assert conduct(toy(), "--seeds", "2") == 0
    children, states = books(mlruns)
    done = children[children["status"] == "FINISHED"]
    assert len(done) == 4
    assert done["tags.config.key"].is_unique
    assert "RUNNING" not in set(children["status"])
    assert states == ["COMPLETE"] * 4
    assert spool.waiting() == []


def test_a_full_disk_under_mlruns_uses_the_other_place(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = spool._write

    def full(folder: Path, entry: spool.Entry) -> None:
        if folder.is_relative_to(mlruns):
            raise OSError(28, "No space left on device")
        write(folder, entry)

    def refuse(self: Tracker, run_id: str, record) -> None:
        raise OSError(28, "No space left on device")

    finish = Tracker.finish
    monkeypatch.setattr(spool, "_write", full)
    monkeypatch.setattr(Tracker, "finish", refuse)
    assert conduct(toy(), "--seeds", "1") == 1
    assert all(not folder.is_relative_to(mlruns) for folder, _ in spool.waiting())
    before = {entry.key: entry.record for _, entry in spool.waiting()}
    assert len(before) == 2
    monkeypatch.setattr(Tracker, "finish", finish)
    assert cli.main(["sync"]) == 0
    children, _ = books(mlruns)
    done = children[children["status"] == "FINISHED"].set_index("tags.config.key")
    for key, record in before.items():
        assert done.loc[key, "metrics.test/elbo"] == record.metrics["test/elbo"]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A recording folder on a disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    monkeypatch.setenv("VAESTUDY_MLRUNS", str(disk / "mlruns"))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_midway(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct(toy(), "--seeds", "20") == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err or "disk is full" in err
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    assert conduct(toy(), "--seeds", "20") == 0
    assert "40 runs, 0 done" not in capsys.readouterr().err
    children, states = books(small_disk / "mlruns")
    done = children[children["status"] == "FINISHED"]
    assert len(done) == 40
    assert done["tags.config.key"].is_unique
    assert "RUNNING" not in set(children["status"])
    assert states.count("COMPLETE") == 40
    assert "RUNNING" not in states
    assert spool.waiting() == []
