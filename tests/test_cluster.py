"""A Dask cluster that already stands: the same work goes there, a worker may die, and nothing listens elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from faults import STUDY
from test_study import conduct, toy

from vaestudy import places
from vaestudy.tracking import Tracker
from vaestudy.workers import DaskPool


def listening(port: int) -> bool:
    with closing(socket.socket()) as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """(a scheduler's address, its two workers), all on the loopback interface."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address, log = f"tcp://127.0.0.1:{port}", (tmp_path / "dask.log").open("wb")

    def dask(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1"]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    scheduler = dask("scheduler", "--port", str(port), "--no-dashboard")
    for _ in range(300):
        if listening(port):
            break
        time.sleep(0.1)
    words = ("--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--dashboard-address", "127.0.0.1:0")
    workers = [dask("worker", address, *words) for _ in range(2)]
    try:
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def test_a_worker_of_a_standing_cluster_dies(cluster, tmp_path: Path, mlruns: Path) -> None:
    address, workers = cluster
    script = tmp_path / "standing.py"
    script.write_text(STUDY.replace('name="faults"', 'name="standing"').replace("seeds=3", "seeds=1"))
    command = [sys.executable, str(script), "--scheduler", address, "--retries", "3"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (mlruns / "checkpoints").is_dir() or driver.poll() is not None or list(mlruns.glob("artifacts/*/*/*")):
            break
        time.sleep(0.1)
    time.sleep(2)
    os.killpg(workers[0].pid, signal.SIGKILL)
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    tracker = Tracker(places.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["standing"], {"role": "trial"})
    done = runs[runs["status"] == "FINISHED"]
    assert len(done) == 4
    assert done["tags.config.key"].is_unique
    assert workers[1].poll() is None  # the cluster goes on without us


def test_no_scheduler_there(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct(toy(), "--scheduler", "tcp://127.0.0.1:9") == 2
    assert "--scheduler tcp://127.0.0.1:9: no scheduler answers there" in capsys.readouterr().err
    assert not mlruns.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/net")
def test_our_own_cluster_listens_on_the_loopback_interface_alone() -> None:
    def open_elsewhere() -> set[str]:
        found = set()
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                local, _, state = line.split()[1:4]
                loopback = local.startswith(("0100007F:", "00000000000000000000000001000000:"))
                if state == "0A" and not loopback:
                    found.add(local)
        return found

    before = open_elsewhere()
    pool = DaskPool(1, retries=0)
    try:
        assert open_elsewhere() - before == set()
    finally:
        pool.close()
