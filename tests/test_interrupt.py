"""Ctrl-C once: the study stops within seconds and says how to go on; twice: it ends at once, without damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import CELLS, STUDY, numbers
from processes import end

from vaestudy import cli, places
from vaestudy.delivery import Delivery
from vaestudy.run import Record
from vaestudy.tracking import Tracker


def start(folder: Path, home: Path) -> subprocess.Popen[str]:
    """The fault harness's study with two workers, under way."""
    script = folder / "faults.py"
    script.write_text(STUDY)
    command = [sys.executable, str(script), "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(home.glob("artifacts/faults/*/artifacts/weights.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once(number: signal.Signals, tmp_path: Path, mlruns: Path) -> None:
    process = start(tmp_path, mlruns)
    try:
        began = time.monotonic()
        os.killpg(process.pid, number)  # as a terminal does: to the driver and all it has started
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        end(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert took < 10
    finished, complete, running, _ = numbers(mlruns)
    assert f"stopped: {len(finished)} of {CELLS} runs are done, {CELLS - len(finished)} are left" in err
    assert "faults.py --workers 2\n" in err.split("to go on from here:")[1]
    assert running == 0
    assert finished == complete


def test_twice_then_the_same_command_again(tmp_path: Path, mlruns: Path) -> None:
    process = start(tmp_path, mlruns)
    try:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
        assert process.returncode == 130
        assert took < 2
        assert "ended at once" in err
    finally:
        end(process)
    command = [sys.executable, str(tmp_path / "faults.py"), "--workers", "2"]
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    finished, complete, running, _ = numbers(mlruns)
    assert set(finished.values()) == set(complete.values()) == {1}
    assert len(finished) == len(complete) == CELLS
    assert running == 0


def test_in_the_middle_of_a_single_runs_delivery(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Delivery.finish

    def interrupted(self: Delivery, key: str, record: Record) -> str | None:
        signal.raise_signal(signal.SIGINT)
        return finish(self, key, record)

    monkeypatch.setattr(Delivery, "finish", interrupted)
    words = "train --dataset mnist-5k --subset 100 --epochs 1 --hidden 8 --latent-dim 2 --iwae 1 --threads 1"
    assert cli.main(words.split()) == 130
    tracker = Tracker(places.database_uri(mlruns / "mlflow.db"))
    (experiment,) = [e for e in tracker.client.search_experiments() if e.name == "train"]
    (held,) = tracker.client.search_runs([experiment.experiment_id])
    assert held.info.status == "FINISHED"
    assert "test/elbo" in held.data.metrics
