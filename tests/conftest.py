"""Fixtures. Nothing recorded by a test lands outside a temporary folder, and no test needs a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput


@pytest.fixture(autouse=True)
def mlruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording folder of the test's own."""
    folder = tmp_path / "mlruns"
    monkeypatch.setenv("VAESTUDY_MLRUNS", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> RunConfig:
    """A resolved configuration that trains in a moment."""
    config = RunConfig(
        dataset="mnist-5k", subset=200, epochs=2, hidden=(32,), latent_dim=4, iwae=(1, 5), figures=(), minibatch=50
    )
    return datasets.resolve(config, Path())[0]


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """Where full MNIST is; tests that ask for it skip where it is not."""
    root = datasets.data_root(None)
    if not DATASETS.load("mnist").present(root):
        pytest.skip(f"full MNIST is not under {root} (set VAESTUDY_DATA_DIR)")
    try:
        DATASETS.load("mnist").verify(root)
    except BadInput as error:
        pytest.skip(str(error))
    return root
