"""Fixtures of all tests. Every test writes its records into a temporary folder only, and no test needs a network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(autouse=True)
def copied_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy MLflow's empty database where a test in this process would make one.

    Nothing is imported for it: as long as no test has used the tracker, there is nothing to replace.
    """
    if tracker := sys.modules.get("vaestudy.tracking.mlflow_tracker"):
        empty = request.getfixturevalue("empty_database")
        monkeypatch.setattr(tracker, "make_database", lambda path: shutil.copy(empty, path))


@pytest.fixture
def empty_store(empty_database: Path, mlruns: Path) -> Path:
    """Return the folder for the records of one test, with MLflow's empty database.

    It is for tests that start processes, each of which would spend seconds on making the database.
    """
    mlruns.mkdir()
    shutil.copy(empty_database, mlruns / "mlflow.db")
    return mlruns


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the records of `support.tracked_store`, which take seconds to make. Change nothing in it."""
    from tests.support.tracked_store import make_store

    folder = tmp_path_factory.mktemp("made_store") / "mlruns"
    make_store(folder)
    return folder


@pytest.fixture
def store(made_store: Path, mlruns: Path) -> Path:
    """Return a copy of the records of `support.tracked_store`, and make the package use it."""
    shutil.copytree(made_store, mlruns)
    return mlruns


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium: that of the machine, else playwright's own. Skip the test if there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=next(iter(found), None), args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium can be started: {str(error).splitlines()[0]}")
        yield started
        started.close()
