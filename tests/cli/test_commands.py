"""What the commands print of a run's scores."""

from __future__ import annotations

import math

import pytest
from rich.console import Group

from vaestudy.cli.commands import _score_tables
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.console import PlainConsole


def printed(tables: Group, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the tables as the terminal has them."""
    PlainConsole(width=200).print(tables)
    return capsys.readouterr().out


def test_a_run_without_scores_of_its_own_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A trial of a search is scored by `evaluate --ais` alone. It has no active units on record."""
    ais = {"test/ais_50x2x3": -100.0, "test/ais_50x2x3_se": 2.0}
    out = printed(_score_tables(ais, 3, RunConfig()), capsys)
    assert "ais_50x2x3" in out
    assert "active_units" not in out
    assert "2 of 10" in printed(_score_tables(ais | {"test/active_units": 2.0}, 3, RunConfig(latent_dim=10)), capsys)
    one_image = ais | {"test/active_units": math.nan}
    assert "needs two test images" in printed(_score_tables(one_image, 1, RunConfig()), capsys)
