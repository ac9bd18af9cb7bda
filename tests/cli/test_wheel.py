"""Tests of the wheel: what is in it, and that it works in an environment of its own, without a checkout.

The environment sees the packages of the one that runs the tests, so nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.own_data import pictures, store
from vaestudy.runtime.project import repository

SETTINGS = ("PYTHONPATH", "VAESTUDY_MLRUNS", "VAESTUDY_PROJECT", "MLFLOW_TRACKING_URI")
"""Variables of the tests that an installed package must not see."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout. It is built by the installed hatchling, without a network."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(repository()))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of a new environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    pip("--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    # The folders of this environment, but not its own .pth files, one of which names the checkout.
    outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "outer.pth").write_text("\n".join(outer) + "\n")
    return folder / "bin"


def pip(*arguments: str) -> None:
    """Run pip without a network; a failure shows what it said."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run(programs: Path, folder: Path, name: str, *arguments: str) -> str:
    """Run a program of the environment in a folder; return what it printed."""
    surroundings = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    surroundings["PATH"] = f"{programs}{os.pathsep}{surroundings['PATH']}"
    command = [str(programs / name), *arguments]
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "make " not in done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    package = repository() / "vaestudy"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert names == {name for name in files if "__pycache__" not in name}
    assert {Path(name).suffix for name in names} > {".py", ".j2", ".css", ".md"}
    assert "Requires-Python: >=3.11" in text


@pytest.mark.slow
def test_an_installed_wheel_runs_the_study_of_a_new_project(programs: Path, tmp_path: Path) -> None:
    run(programs, tmp_path, "vaestudy", "new", "demo")
    project = tmp_path / "demo"
    shown = run(programs, project, "vaestudy", "run", "first-study", "--quick", "--workers", "0")
    assert "samples" in shown
    assert (project / "mlruns" / "tables" / "first-study" / "table.md").is_file()
    (project / "mlruns" / "tables" / "first-study" / "table.md").unlink()
    run(programs, project, "vaestudy", "tables")
    assert (project / "mlruns" / "tables" / "first-study" / "table.md").is_file()


@pytest.mark.slow
def test_an_installed_wheel_trains_on_colour_images(programs: Path, tmp_path: Path) -> None:
    run(programs, tmp_path, "vaestudy", "new", "demo")
    project = tmp_path / "demo"
    store(project / "colours.npz", images=pictures(120, 32, 32, 3))
    flags = ["--dataset", "colours.npz", "--latent-dim", "2", "--hidden", "8", "--epochs", "1", "--iwae", "1"]
    shown = run(programs, project, "vaestudy", "train", *flags, "--json")
    result = json.loads(shown.splitlines()[-1])
    assert result["status"] == "FINISHED"
    assert result["test/elbo"] < 0
    code = "import sys, vaestudy; print(vaestudy.__file__, vaestudy.load(sys.argv[1]).shape)"
    where, shape = run(programs, project, "python", "-c", code, result["run_id"]).strip().split(" ", 1)
    assert Path(where).is_relative_to(programs.parent)
    assert shape == "32 x 32 x 3"
