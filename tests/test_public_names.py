"""`import vaestudy`: what it offers, and that it is quick."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vaestudy


@pytest.mark.parametrize("name", vaestudy.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(vaestudy, name) is not None
    assert name in dir(vaestudy)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'studdy_main'; its public names: .*study_main"):
        _ = vaestudy.studdy_main


def test_importing_it_imports_nothing_slow() -> None:
    code = "import sys, vaestudy; vaestudy.RunConfig, vaestudy.Study; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_run_without_tracking(mlruns, capsys: pytest.CaptureFixture[str]) -> None:
    """The package `vaestudy.run` is the function, whether or not a module of it was imported before."""
    from vaestudy.run import execute

    config = vaestudy.RunConfig(
        dataset="mnist-5k", subset=60, epochs=1, hidden=(8,), iwae=(1,), figures=(), minibatch=90
    )
    record = vaestudy.run(config)
    assert record.metrics["test/elbo"] < 0
    assert record.config.valid_size == 500
    assert "one step an epoch" in capsys.readouterr().err
    assert record.metrics["test/elbo"] == execute.run(config, report=lambda line: None).metrics["test/elbo"]
    assert not mlruns.exists()
