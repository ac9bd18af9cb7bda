"""Test a kill before each operation of the outbox and of delivery, with and without the tracker, each once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.robustness.operations import SCENARIOS, empty_store, try_all

LONG_FORM_ONLY = {"a driver", "a driver that delivers what waits", "a driver with a pruned trial"}
"""Scenarios that only `python -m tests.robustness.operations` tries: their operations are those of the others."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a folder for the tries, and a store without runs."""
    folder = tmp_path_factory.mktemp("operations")
    return folder, empty_store(folder)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks a process with many libraries")
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in LONG_FORM_ONLY])
def test_a_kill_before_each_operation(scenario: str, stores: tuple[Path, Path]) -> None:
    assert try_all(scenario, *stores) == []
