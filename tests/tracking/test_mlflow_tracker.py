"""Test that a tracker's folder can be moved or copied, and that its runs and artifacts stay readable."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vaestudy.runtime.addresses import database_uri
from vaestudy.tracking.mlflow_tracker import Tracker


def store(folder: Path) -> Tracker:
    return Tracker(database_uri(folder / "mlflow.db"))


FIRST = """
import sys
from vaestudy.tracking.mlflow_tracker import Tracker
tracker = Tracker(sys.argv[1])
run = tracker.start(tracker.create_experiment("a study", "", {}), "one", {})
tracker.files(run, {"note.txt": b"one"})
print(run)
"""


@pytest.mark.slow
@pytest.mark.parametrize("take", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_a_folder_that_was_moved_or_copied(take: Callable[[Path, Path], object], tmp_path: Path) -> None:
    """MLflow stores absolute addresses: files are read from the new folder, and nothing is written to the old one."""
    old, new = tmp_path / "a 50% _", tmp_path / "b"
    # In a process of its own, as MLflow also caches addresses within a process.
    command = [sys.executable, "-c", FIRST, database_uri(old / "mlflow.db")]
    run = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    take(old, new)
    before = sorted(old.rglob("*.txt"))
    moved = store(new)
    assert moved.read_file(run, "note.txt") == b"one"
    moved.files(run, {"more.txt": b"two"})
    later = moved.start(moved.experiments()["a study"], "two", {})
    moved.files(later, {"note.txt": b"three"})
    assert sorted(old.rglob("*.txt")) == before
    assert {path.read_bytes() for path in new.rglob("*.txt")} == {b"one", b"two", b"three"}


def test_artifacts_that_lie_elsewhere_stay_there(tmp_path: Path) -> None:
    tracker = store(tmp_path)
    elsewhere = (tmp_path / "disk" / "artifacts" / "theirs").as_uri()
    experiment = tracker.client.create_experiment("theirs", artifact_location=elsewhere)
    assert store(tmp_path).client.get_experiment(experiment).artifact_location == elsewhere


@pytest.mark.parametrize(("commit", "shown"), [("0123abc", "0123abc"), ("unknown", None), (None, None)])
def test_mlflow_is_told_a_commit_only_if_there_is_one(tmp_path: Path, commit: str | None, shown: str | None) -> None:
    tracker = store(tmp_path)
    run_id = tracker.start(tracker.create_experiment("e", "", {}), "r", {"code.revision": commit} if commit else {})
    tags = tracker.client.get_run(run_id).data.tags
    assert tags.get("mlflow.source.git.commit") == shown
    assert tags.get("vaestudy.code.revision") == commit
