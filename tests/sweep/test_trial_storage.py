"""Test Optuna's trials in a PostgreSQL database that the tests start.

Two drivers with two workers each share the database; a second driver on the same sweep is refused.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from tests.robustness.faults import STUDY
from tests.support.processes import free_port
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.sweep.trial_storage import DatabaseTrialStorage
from vaestudy.tracking.mlflow_tracker import Tracker

BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Start a new PostgreSQL server on the loopback interface; return the URI of its database."""
    pytest.importorskip("psycopg")
    binaries = BIN[-1] if BIN else Path(shutil.which("initdb") or "/nowhere/initdb").parent
    if not (binaries / "initdb").exists():
        pytest.skip("no PostgreSQL server is installed")
    root = os.geteuid() == 0
    if root and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if root:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()

    def run(*command: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if root else []
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd=folder)

    owner = "postgres" if root else getpass.getuser()
    run(str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", owner)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://{owner}@127.0.0.1:{port}/postgres"
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def command(folder: Path, name: str, database: str) -> list[str]:
    script = folder / f"{name}.py"
    study = STUDY.replace('name="faults"', f'name="{name}"')
    script.write_text(study.replace("epochs=12", "epochs=2").replace("seeds=3", "seeds=1"))
    return [sys.executable, str(script), "--storage", database, "--workers", "2"]


def test_two_drivers_and_four_workers(database: str, tmp_path: Path, mlruns: Path) -> None:
    drivers = [
        subprocess.Popen(command(tmp_path, name, database), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for driver in drivers:
        _, err = driver.communicate(timeout=300)
        assert driver.returncode == 0, err
    tracker = Tracker(addresses.tracking_uri(None))
    for name in ("one", "two"):
        runs = tracker.runs(tracker.experiments()[name], {"role": "trial"})
        assert len(runs) == 4
        assert set(runs["status"]) == {"FINISHED"}
        assert runs["tags.config.key"].is_unique
        trials = optuna.load_study(study_name=f"{name}/mnist-5k", storage=database).trials
        assert Counter(t.state.name for t in trials) == {"COMPLETE": 4}
    again = subprocess.run(command(tmp_path, "one", database), capture_output=True, text=True, check=False)
    assert "4 runs, 4 done" in again.stderr
    assert not list(mlruns.glob("optuna/*"))


def test_the_second_driver_is_told_who_the_first_is(database: str) -> None:
    first, second = DatabaseTrialStorage(database, "study"), DatabaseTrialStorage(database, "study")
    with first.locked("mnist"):
        with pytest.raises(BadInput, match=rf"study study \(mnist\) is being run by vaestudy process {os.getpid()} on"):
            second.locked("mnist").__enter__()
        with second.locked("another"):
            pass
    with second.locked("mnist"):
        pass


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(BadInput, match=r"--storage postgresql://127.0.0.1:9/x: cannot be used") as caught:
        DatabaseTrialStorage("postgresql://me:secret@127.0.0.1:9/x", "study")
    assert "secret" not in str(caught.value)
