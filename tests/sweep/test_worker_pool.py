"""Test the workers on existing Dask clusters and on our own.

A worker or the scheduler dies, TLS is used, a run kills its worker, and our own cluster listens on the loopback
interface only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pandas as pd
import pytest

from tests.robustness.faults import STUDY, children
from tests.support.processes import end, free_port, wait_for_port
from tests.support.studies import run_study, toy
from vaestudy.config.run_config import RunConfig
from vaestudy.run.record import Record, RunEnd, RunFailure
from vaestudy.runtime import addresses
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.sweep.worker_pool import DaskPool
from vaestudy.tracking.mlflow_tracker import Tracker

Process = subprocess.Popen[bytes]


@contextmanager
def standing(
    folder: Path, scheme: str = "tcp", *tls: str, count: int = 1
) -> Iterator[tuple[str, Process, list[Process]]]:
    """Start a Dask cluster on the loopback interface; yield (the scheduler's address, the scheduler, the workers)."""
    port, log = free_port(), (folder / "dask.log").open("wb")
    address = f"{scheme}://127.0.0.1:{port}"

    def dask(*arguments: str) -> Process:
        command = [sys.executable, "-m", "dask", *arguments, "--host", f"{scheme}://127.0.0.1" if tls else "127.0.0.1"]
        return subprocess.Popen([*command, *tls], stdout=log, stderr=log, start_new_session=True)

    scheduler = dask("scheduler", "--port", str(port), "--no-dashboard")
    flags = ("--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--dashboard-address", "127.0.0.1:0")
    workers = [dask("worker", address, *flags) for _ in range(count)]
    try:
        wait_for_port(port)
        yield address, scheduler, workers
    finally:
        for process in (*workers, scheduler):
            end(process)


def script(folder: Path, name: str) -> Path:
    """Write the file of a study of four cells; return its path."""
    path = folder / f"{name}.py"
    path.write_text(STUDY.replace('name="faults"', f'name="{name}"').replace("seeds=3", "seeds=1"))
    return path


def runs_of(name: str) -> pd.DataFrame:
    tracker = Tracker(addresses.tracking_uri(None))
    return tracker.runs(tracker.experiments()[name], {"role": "trial"})


def finished(name: str) -> pd.DataFrame:
    runs = runs_of(name)
    return runs[runs["status"] == "FINISHED"]


def under_way(folder: Path, mlruns: Path, name: str, address: str) -> subprocess.Popen[str]:
    """Start a study on an existing cluster; return its driver when the first run is finished or nearly finished."""
    command = [sys.executable, str(script(folder, name)), "--scheduler", address, "--retries", "3"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(mlruns.glob("artifacts/*/*/artifacts/weights.safetensors")):
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return driver


@pytest.mark.slow
def test_a_worker_of_a_standing_cluster_dies(tmp_path: Path, empty_store: Path) -> None:
    with standing(tmp_path, count=2) as (address, _, workers):
        driver = under_way(tmp_path, empty_store, "standing", address)
        end(workers[0])
        _, err = driver.communicate(timeout=300)
        assert driver.returncode == 0, err
        assert workers[1].poll() is None  # the other worker is left alone
    done = finished("standing")
    assert len(done) == 4
    assert done["tags.config.key"].is_unique


@pytest.mark.slow
def test_the_scheduler_of_a_standing_cluster_dies(tmp_path: Path, empty_store: Path) -> None:
    with standing(tmp_path) as (address, scheduler, _):
        driver = under_way(tmp_path, empty_store, "gone", address)
        end(scheduler)
        _, err = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "study gone: the scheduler of the Dask cluster is gone" in err
    assert "to go on from here:" in err
    assert "Traceback" not in err
    assert not (runs_of("gone")["status"] == "RUNNING").any()
    again = [sys.executable, str(tmp_path / "gone.py"), "--workers", "1"]
    subprocess.run(again, check=True, capture_output=True, timeout=300)
    done = finished("gone")
    assert len(done) == 4
    assert done["tags.config.key"].is_unique


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return (a self-signed certificate, its key)."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([*openssl, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="makes its certificate with openssl")
def test_a_cluster_behind_tls(tmp_path: Path, empty_store: Path) -> None:
    cert, key = certificate(tmp_path)
    (tmp_path / "stranger").mkdir()
    stranger, its_key = certificate(tmp_path / "stranger")
    files = ("--tls-ca", str(cert), "--tls-cert", str(cert), "--tls-key", str(key))
    dask_files = ("--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key))
    with standing(tmp_path, "tls", *dask_files) as (address, *_):
        command = [sys.executable, str(script(tmp_path, "tls")), "--epochs", "1", "--scheduler", address]
        refused = [*command, "--tls-ca", str(stranger), "--tls-cert", str(stranger), "--tls-key", str(its_key)]
        done = subprocess.run(refused, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 2
        assert f"--scheduler {address}: no scheduler answers there" in done.stderr
        done = subprocess.run([*command, *files], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
    assert len(finished("tls")) == 4


def test_no_scheduler_there(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--scheduler", "tcp://127.0.0.1:9") == 2
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
    pool = DaskPool(1)
    try:
        assert open_elsewhere() - before == set()
    finally:
        pool.close()


def test_what_would_wake_a_worker_beside_its_work_is_slowed_down() -> None:
    wanted = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "2s"}
    pool = DaskPool(1)
    try:
        (there,) = pool._client.run(lambda: {name: dask.config.get(name) for name in wanted}).values()
        assert there == wanted
    finally:
        pool.close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds workers by way of /proc")
def test_a_trial_that_takes_its_worker_with_it_ends_alone(tiny: RunConfig, mlruns: Path) -> None:
    """The worker gets SIGKILL each time the run is tried, as from the kernel's out-of-memory killer."""
    pool, deadly = DaskPool(1), tiny.with_changes(epochs=2000)
    killed: list[int] = []
    try:
        pool.submit(deadly, Path())
        ends: list[RunEnd] = []
        while not ends:
            for event in pool.events():
                if isinstance(event, RunEnd):
                    ends.append(event)
                elif not set(found := children(os.getpid())) & set(killed):
                    for pid in found:
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
        assert len(killed) == 1  # Dask did not repeat the run; the driver decides that
        (end_of_it,) = ends
        assert isinstance(end_of_it.outcome, RunFailure)
        assert end_of_it.outcome.reason.startswith("the worker was lost: KilledWorker")
        pool.submit(tiny, Path())
        others: list[RunEnd] = []
        while pool.busy:
            others += [event for event in pool.events() if isinstance(event, RunEnd)]
        assert isinstance(others[0].outcome, Record)
    finally:
        pool.close()


@pytest.mark.slow
def test_workers_notice_that_a_driver_that_judges_is_gone(tiny: RunConfig, tmp_path: Path) -> None:
    """A worker that waits for the answer of a killed driver is free within seconds, not after `ANSWER_SECONDS`."""
    code = (
        "import os, pathlib, sys\n"
        "from vaestudy.config.run_config import RunConfig\n"
        "from vaestudy.sweep.sweep_options import SweepOptions\n"
        "from vaestudy.sweep.worker_pool import DaskPool\n"
        "pool = DaskPool(1, SweepOptions(scheduler=sys.argv[1]))\n"
        "config = RunConfig.model_validate_json(sys.argv[2])\n"
        "pool.submit(config, pathlib.Path(), lambda event: os.kill(os.getpid(), 9))\n"
        "while True:\n"
        "    list(pool.events())\n"
    )
    with standing(tmp_path) as (address, _, _):
        driver = subprocess.run([sys.executable, "-c", code, address, tiny.model_dump_json()], check=False, timeout=120)
        assert driver.returncode == -signal.SIGKILL
        pool, began = DaskPool(1, SweepOptions(scheduler=address)), time.monotonic()
        assert pool.count == 1
        pool.submit(tiny, Path(), lambda event: event.epoch == 1)
        ends = []
        while pool.busy:
            ends += [event for event in pool.events() if isinstance(event, RunEnd)]
            assert time.monotonic() - began < 60
        pool.close()
    assert [end.outcome.pruned_epoch for end in ends if isinstance(end.outcome, Record)] == [1]
