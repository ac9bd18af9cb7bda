"""Tests of interrupts.

After one Ctrl-C a study stops within seconds and prints the command that continues it. After two it ends at once,
without damage. Python prints a KeyboardInterrupt within a destructor and then drops it, so some tests send a signal
there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.robustness.faults import CELLS, STUDY, children, numbers
from tests.support.processes import end
from tests.support.studies import toy
from vaestudy.cli.main import main
from vaestudy.cli.study import study_main
from vaestudy.run.record import EpochEnd, Record
from vaestudy.runtime import addresses, signals
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.publisher import Publisher

TRAIN = "train --dataset mnist-5k --subset 100 --epochs 3 --hidden 8 --latent-dim 2 --iwae 1 --threads 1"


class Destructor:
    """An object that sends SIGINT when it is destroyed, where the exception cannot be caught."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Return a list that collects the exceptions that Python could not raise."""
    found: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(args.exc_type))
    return found


def start(folder: Path, home: Path) -> subprocess.Popen[str]:
    """Start the fault harness's study with two workers; return its process once a run has recorded its weights."""
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
def test_both_signals_stop_the_work(number: signal.Signals) -> None:
    with signals.handling_signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.slow
def test_once(tmp_path: Path, empty_store: Path) -> None:
    process = start(tmp_path, empty_store)
    try:
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)  # like a terminal: to the driver and all processes that it started
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        end(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert took < 30  # two to ten seconds on two cores that other tests use, too
    finished, complete, running, _ = numbers(empty_store)
    assert f"stopped: {len(finished)} of {CELLS} runs are done, {CELLS - len(finished)} are left" in err
    assert "faults.py --workers 2\n" in err.split("to go on from here:")[1]
    assert running == 0
    assert finished == complete


@pytest.mark.slow
def test_twice_then_the_same_command_again(tmp_path: Path, empty_store: Path) -> None:
    process = start(tmp_path, empty_store)
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
    finished, complete, running, _ = numbers(empty_store)
    assert set(finished.values()) == set(complete.values()) == {1}
    assert len(finished) == len(complete) == CELLS
    assert running == 0


def test_in_the_middle_of_a_single_runs_delivery(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Publisher.finish

    def interrupted(self: Publisher, key: str, record: Record) -> str | None:
        signal.raise_signal(signal.SIGINT)
        return finish(self, key, record)

    monkeypatch.setattr(Publisher, "finish", interrupted)
    assert main(TRAIN.split()) == 130
    tracker = Tracker(addresses.database_uri(mlruns / "mlflow.db"))
    (experiment,) = [e for e in tracker.client.search_experiments() if e.name == "train"]
    (tracked,) = tracker.client.search_runs([experiment.experiment_id])
    assert tracked.info.status == "FINISHED"
    assert "test/elbo" in tracked.data.metrics


def test_a_session_of_python_outlives_the_second() -> None:
    """Whoever presses a notebook's stop button twice stops the work and keeps the session."""
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    steps = []

    def work() -> None:
        with signals.handling_signals(end_at_second=False), signals.deferring_interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("deferred")
            signal.raise_signal(signal.SIGINT)
            steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["deferred"]
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    signals.raise_if_interrupted()


def test_lost_in_a_destructor_it_comes_at_the_next_check(lost: list[type[BaseException]]) -> None:
    with signals.handling_signals():
        signals.raise_if_interrupted()
        Destructor()
        assert lost == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            signals.raise_if_interrupted()
    signals.raise_if_interrupted()  # the signal does not affect the next command


def test_within_a_whole_it_waits_for_a_check_or_the_end() -> None:
    steps = []

    def to_the_end() -> None:
        with signals.deferring_interrupts(), signals.deferring_interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("inside")
        steps.append("never")

    def to_a_check() -> None:
        with signals.deferring_interrupts():
            signal.raise_signal(signal.SIGINT)
            signals.raise_if_interrupted()
            steps.append("never")

    def at_once() -> None:
        with signals.deferring_interrupts(), signals.interruptible():
            signal.raise_signal(signal.SIGINT)
            steps.append("never")

    for work in (to_the_end, to_a_check, at_once):
        with signals.handling_signals(), pytest.raises(KeyboardInterrupt):
            work()
    assert steps == ["inside"]


def test_lost_in_a_single_run_it_comes_at_the_next_epoch(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, lost: list[type[BaseException]]
) -> None:
    epochs = []

    def epoch(self: Publisher, event: EpochEnd) -> None:
        epochs.append(event.epoch)
        Destructor()

    monkeypatch.setattr(Publisher, "epoch", epoch)
    assert main(TRAIN.split()) == 130
    assert epochs == [1]
    assert lost == [KeyboardInterrupt]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_destructor_in_a_study(
    workers: str, monkeypatch: pytest.MonkeyPatch, lost: list[type[BaseException]], capsys: pytest.CaptureFixture[str]
) -> None:
    began = []

    def begin(self: Publisher, name: str, *rest: object) -> str:
        if not began:
            Destructor()
        began.append(name)
        return "run"

    monkeypatch.setattr(Publisher, "begin", begin)
    assert study_main(toy(), ["--workers", workers]) == 130
    assert len(began) == max(1, int(workers))
    assert not lost
    assert "stopped: 0 of" in capsys.readouterr().err


@pytest.mark.slow
def test_workers_leave_the_answer_to_the_driver(tmp_path: Path, empty_store: Path) -> None:
    process = start(tmp_path, empty_store)
    try:
        for worker in children(process.pid):
            os.kill(worker, signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        end(process)
    assert process.returncode == 0, err
    assert "crashed" not in err
    finished, _, _, _ = numbers(empty_store)
    assert len(finished) == CELLS
