"""Tests of projects: the package works without a checkout, in a folder that `vaestudy new` has written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vaestudy.cli.main import main
from vaestudy.runtime.project import repository


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package alone, as `pip install` of a wheel leaves it."""
    folder = tmp_path_factory.mktemp("site-packages")
    shutil.copytree(repository() / "vaestudy", folder / "vaestudy", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def vaestudy(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command line in a folder."""
    left_out = ("VAESTUDY_MLRUNS", "VAESTUDY_PROJECT", "MLFLOW_TRACKING_URI")
    surroundings = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-m", "vaestudy", *arguments]
    surroundings |= {"PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def test_an_empty_folder_says_what_to_do(installed: Path, tmp_path: Path) -> None:
    done = vaestudy(installed, tmp_path, "studies")
    assert done.returncode == 0
    assert "`vaestudy new PROJECT`" in done.stdout
    tables = vaestudy(installed, tmp_path, "tables")
    assert tables.returncode == 2
    assert "vaestudy new PROJECT" in tables.stderr
    assert "make " not in done.stdout + tables.stderr
    assert not list(tmp_path.iterdir())


def test_a_new_project(installed: Path, tmp_path: Path) -> None:
    done = vaestudy(installed, tmp_path, "new", "demo")
    assert done.returncode == 0, done.stderr
    project = tmp_path / "demo"
    assert {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()} == {
        ".gitignore", "README.md", "studies/first_study.py"
    }  # fmt: skip
    deeper = project / "studies"
    for shown in (
        vaestudy(installed, deeper, "studies"),
        vaestudy(installed, tmp_path, "--project", "demo", "studies"),
    ):
        assert "vaestudy run first-study" in shown.stdout
    wrong = vaestudy(installed, project, "run", "first-stdy")
    assert wrong.returncode == 2
    assert "did you mean 'first-study'" in wrong.stderr
    again = vaestudy(installed, tmp_path, "new", "demo")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "the folder is not empty" in again.stderr
    nowhere = vaestudy(installed, tmp_path, "--project=nowhere", "studies")
    assert nowhere.returncode == 2
    assert "`vaestudy new nowhere`" in nowhere.stderr


def test_a_project_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder may be read-only. A patched `write_bytes` stands for it, as root may write everywhere."""

    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert main(["new", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vaestudy: the project cannot be written to {tmp_path}")
    assert line.endswith("Permission denied")


def test_a_file_in_place_of_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for folder, message in (("file", "is a file; choose a new folder"), ("file/demo", "cannot be")):
        assert main(["new", str(tmp_path / folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
