"""Fixtures of all tests. Every test writes its records into a temporary folder only, and no test needs a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput
from vaestudy.training import traced_gradient


@pytest.fixture(autouse=True)
def mlruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for the records of one test, and make the package use it."""
    folder = tmp_path / "mlruns"
    monkeypatch.setenv("VAESTUDY_MLRUNS", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return MLflow's database without any run. It takes MLflow seconds to make one."""
    from vaestudy.tracking.local_store import make_database

    path = tmp_path_factory.mktemp("tracker") / "mlflow.db"
    make_database(path)
    return path


@pytest.fixture
def copied_tracker(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy MLflow's database where the test would make a new one."""
    from vaestudy.tracking import mlflow_tracker

    monkeypatch.setattr(mlflow_tracker, "make_database", lambda path: shutil.copy(empty_database, path))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Let torch use one thread."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> RunConfig:
    """Return a resolved configuration whose training takes very little time."""
    config = RunConfig(
        dataset="mnist-5k", subset=200, epochs=2, hidden=(32,), latent_dim=4, iwae=(1, 5), figures=(), minibatch=50
    )
    return datasets.resolve(config, Path())[0]


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """Return the folder of full MNIST. Skip the test if MNIST is missing or damaged there."""
    root = datasets.data_root(None)
    if not DATASETS.load("mnist").present(root):
        pytest.skip(f"full MNIST is not under {root} (set VAESTUDY_DATA_DIR)")
    try:
        DATASETS.load("mnist").verify(root)
    except BadInput as error:
        pytest.skip(str(error))
    return root


@pytest.fixture
def trace_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace a training step at its first call."""
    monkeypatch.setattr(traced_gradient, "CALLS_BEFORE_TRACE", 0)
