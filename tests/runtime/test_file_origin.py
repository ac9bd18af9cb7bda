"""Tests of what a sweep records of its study's file."""

from __future__ import annotations

from pathlib import Path

from tests.support.repositories import git
from vaestudy.runtime.file_origin import origin_of
from vaestudy.runtime.provenance import UNKNOWN


def test_a_file_in_a_repository(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    study = root / "studies" / "one.py"
    study.parent.mkdir(parents=True)
    study.write_text("a = 1\n")
    git(root, "init", "-q")
    (root / "other.py").write_text("")
    git(root, "add", "other.py")
    git(root, "commit", "-q", "-m", "first")
    new = origin_of(study)
    assert (new.file, new.repository, new.state, new.changes) == ("studies/one.py", "demo", "not committed", "")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "second")
    git(root, "remote", "add", "origin", "https://me:secret@host.example/demo.git")
    clean = origin_of(study)
    assert (clean.commit, clean.state) == (git(root, "rev-parse", "HEAD"), "clean")
    assert clean.repository == "https://host.example/demo.git"
    assert clean.files() == {"study/one.py": b"a = 1\n"}
    (root / "other.py").write_text("b = 2\n")
    assert origin_of(study).state == "clean"  # another file does not change this one
    study.write_text("a = 2\n")
    changed = origin_of(study)
    assert changed.tags()["study.state"] == "changed"
    files = changed.files()
    assert files["study/one.py"] == b"a = 2\n"
    assert {"-a = 1", "+a = 2"} <= set(files["study/changes.diff"].decode().splitlines())
    study.write_text("a = 1\n")
    patch = tmp_path / "p.diff"
    patch.write_bytes(files["study/changes.diff"])
    git(root, "apply", str(patch))
    assert study.read_text() == "a = 2\n"


def test_a_file_without_a_repository(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a = 1\n")
    found = origin_of(tmp_path / "one.py")
    assert found.tags() == {
        "study.file": "one.py", "study.repository": "", "study.commit": UNKNOWN, "study.state": "no repository"
    }  # fmt: skip
