"""Test a kill before each operation of the outbox and of delivery, with and without the tracker, each once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.robustness.operations import SCENARIOS
from vaestudy.runtime.project import repository

LONG_FORM_ONLY = {"a driver", "a driver that delivers what waits", "a driver with a pruned trial"}
"""Scenarios that only `python -m tests.robustness.operations` tries: their operations are those of the others."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks a process with many libraries")
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in LONG_FORM_ONLY])
def test_a_kill_before_each_operation(scenario: str) -> None:
    """The tries are forks of a new process. Forks of the tests' process would take longer after each test."""
    command = [sys.executable, "-m", "tests.robustness.operations", scenario]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every record was found once" in done.stdout
