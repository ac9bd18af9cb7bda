"""Tests of parts that a user declares in a project: where they are found, what is recorded of them, and bad files.

Each command runs in a process of its own, as the registries of this process would keep what a test declares.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaestudy.runtime.project import repository
from vaestudy.tracking.mlflow_tracker import Tracker

PARTS = '''"""The parts of this project."""

from vaestudy import LIKELIHOODS
from vaestudy.model.likelihoods.bernoulli import Bernoulli


@LIKELIHOODS.part("inverted", family="bernoulli", support="{0, 1}")
class Inverted(Bernoulli):
    """The Bernoulli of 1 - x."""

    def log_prob(self, x, head, log_guard=0.0):
        return super().log_prob(1 - x, head, log_guard)
'''
STUDY = """
from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="own",
    doc="Is an own likelihood known to the workers?",
    base=RunConfig(dataset="mnist-5k", subset=200, epochs=1, hidden=(8,), latent_dim=2, iwae=(1,), figures=()),
    factors={"likelihood": ("bernoulli", "inverted")},
    baseline={"likelihood": "bernoulli"},
    tabulate=("test/elbo",),
    figures=(),
    seeds=1,
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
"""
TINY = [
    "--dataset",
    "mnist-5k",
    "--subset",
    "200",
    "--epochs",
    "1",
    "--hidden",
    "8",
    "--latent-dim",
    "2",
    "--iwae",
    "1",
    "--figures",
    "reconstructions",
]


@pytest.fixture
def project(tmp_path: Path, mlruns: Path) -> Path:
    """Return the folder of a project without files."""
    (tmp_path / "demo" / "studies").mkdir(parents=True)
    return tmp_path / "demo"


def vaestudy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return run([sys.executable, "-m", "vaestudy", *arguments], folder)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with this package."""
    surroundings = {name: value for name, value in os.environ.items() if name != "VAESTUDY_PROJECT"}
    surroundings |= {"PYTHONPATH": str(repository())}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def test_a_part_in_parts_py_trains_and_is_recorded(project: Path, empty_store: Path) -> None:
    (project / "parts.py").write_text(PARTS)
    done = vaestudy(project, "train", "--likelihood", "inverted", *TINY, "--json")
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout.splitlines()[-1])["run_id"]
    tracker = Tracker(f"sqlite:///{empty_store / 'mlflow.db'}")
    assert json.loads(tracker.get(run_id)["tags.parts"]) == {"parts.py": hashlib.sha256(PARTS.encode()).hexdigest()}
    assert tracker.read_file(run_id, "parts/parts.py").decode() == PARTS
    again = vaestudy(project, "evaluate", run_id, "--iwae", "2")
    assert again.returncode == 0, again.stderr
    wrong = vaestudy(project, "train", "--likelihood", "invertd")
    assert wrong.returncode == 2
    assert "did you mean 'inverted'" in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize("place", ["studies/own.py", "own.py"])
def test_the_workers_know_a_part_in_a_studys_file(project: Path, empty_store: Path, place: str) -> None:
    (project / place).write_text(PARTS + STUDY)
    done = run([sys.executable, place, "--workers", "2"], project)
    assert done.returncode == 0, done.stderr
    assert "inverted" in done.stdout
    if place.startswith("studies"):
        tables = vaestudy(project, "tables", "own")
        assert tables.returncode == 0, tables.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = (\n# vaestudy .part(", "line 1: SyntaxError"),
        ("\nimport nothing_here  # vaestudy .part(", "line 2: ModuleNotFoundError: No module named 'nothing_here'"),
        (PARTS.replace('"inverted"', '"beta"'), "line 7: likelihood 'beta' is declared already, by vaestudy"),
        (PARTS.replace("family", "famly"), "unknown field of a likelihood 'famly'"),
    ],
)
def test_a_file_of_parts_that_cannot_be_used(project: Path, text: str, line: str) -> None:
    (project / "parts.py").write_text(text)
    done = vaestudy(project, "train", "--likelihood", "inverted")
    assert done.returncode == 2
    (shown,) = done.stderr.splitlines()
    assert "parts.py" in shown
    assert line in shown
    assert vaestudy(project, "train", "--latent-dim", "0").returncode == 2  # what names no such part imports no file


@pytest.mark.slow
def test_what_names_no_own_part_imports_no_file_of_the_user(project: Path, empty_store: Path) -> None:
    (project / "parts.py").write_text(PARTS + "\nraise RuntimeError\n")
    done = vaestudy(project, "train", *TINY, "--likelihood", "bernoulli")
    assert done.returncode == 0, done.stderr
