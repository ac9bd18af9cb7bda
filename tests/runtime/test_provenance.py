"""The revision of the code: git is asked about our folder and no other, and what it cannot tell is "unknown"."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.repositories import git
from vaestudy.runtime import provenance
from vaestudy.runtime.provenance import CodeRevision, revision_of


def repository(folder: Path, content: str = "1") -> str:
    """Make a repository with one commit at `folder`; return the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    (folder / "code.py").write_text(content)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", content)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ours"


def test_clean_dirty_and_files_that_change_no_result(root: Path) -> None:
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "a.md").write_text("1")
    commit = repository(root)
    assert revision_of(root) == CodeRevision(commit, "clean")
    (root / "docs" / "a.md").write_text("2")
    assert revision_of(root).state == "clean"
    (root / "code.py").write_text("2")
    assert revision_of(root) == CodeRevision(commit, "dirty")


def test_variables_of_another_repository_change_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, other = repository(root), tmp_path / "other"
    assert repository(other, "2") != commit
    listed = git(root, "rev-parse", "--local-env-vars").split()
    assert {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} <= set(listed)
    for name in (*listed, "GIT_CEILING_DIRECTORIES", "GIT_LITERAL_PATHSPECS", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert revision_of(root) == CodeRevision(commit, "clean")


def test_a_repository_above_is_not_asked(root: Path, tmp_path: Path) -> None:
    repository(tmp_path)
    root.mkdir()
    assert revision_of(root) == CodeRevision("unknown", "not run from a git checkout")
    (root / ".git").mkdir()  # the rest of a repository: git would go on to search in the folders above
    found = revision_of(root)
    assert found.commit == "unknown"
    assert found.state.startswith("unknown: git says: not a git repository")


def test_a_worktree(root: Path, tmp_path: Path) -> None:
    commit = repository(tmp_path / "main")
    git(tmp_path / "main", "worktree", "add", "-q", str(root))
    assert (root / ".git").is_file()
    assert revision_of(root) == CodeRevision(commit, "clean")
    shutil.rmtree(tmp_path / "main")
    assert revision_of(root).state.startswith("unknown: git says: not a git repository")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_folder_of_another_user(root: Path) -> None:
    commit = repository(root)
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345)
    assert revision_of(root) == CodeRevision(commit, "clean")


def test_no_commit_yet(root: Path) -> None:
    root.mkdir()
    git(root, "init", "-q")
    found = revision_of(root)
    assert found.commit == "unknown"
    assert "does not have any commits yet" in found.state


@pytest.mark.parametrize("head", ["", "ref: refs/heads/gone/..", "0" * 40, "f" * 40, "HEAD"])
def test_a_broken_head(root: Path, head: str) -> None:
    repository(root)
    (root / ".git" / "HEAD").write_text(head + "\n")
    found = revision_of(root)
    assert found.commit == "unknown"
    assert found.state.startswith("unknown: git says: ")
    assert "\n" not in found.state


def test_a_damaged_index_leaves_the_commit_known(root: Path) -> None:
    commit = repository(root)
    (root / ".git" / "index").write_bytes(b"torn")
    found = revision_of(root)
    assert found.commit == commit
    assert found.state.startswith("unknown: git says: ")
    assert str(found).startswith(f"{commit[:10]} (unknown: git says: ")


@pytest.mark.parametrize(
    ("script", "state"),
    [
        (None, "unknown: git is not installed"),
        ("#!/bin/sh\nexit 3\n", "unknown: git says: exit code 3"),
        ("#!/bin/sh\nexec sleep 60\n", "unknown: git did not answer within 0.2 s"),
        ("\x7fELF no program", "unknown: git cannot be run (Exec format error)"),
    ],
)
def test_git_that_does_not_answer(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, state: str
) -> None:
    repository(root)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sleep").symlink_to(shutil.which("sleep") or "/bin/sleep")
    if script is not None:
        (programs / "git").write_text(script)
        (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(provenance, "GIT_SECONDS", 0.2)
    assert revision_of(root) == CodeRevision("unknown", state)


def test_nothing_is_written(root: Path) -> None:
    repository(root)
    os.utime(root / "code.py", (1, 1))  # the index would be refreshed
    before = (root / ".git" / "index").read_bytes()
    assert revision_of(root).state == "clean"
    assert (root / ".git" / "index").read_bytes() == before


@pytest.mark.parametrize(
    ("commit", "state", "text"),
    [
        ("0123456789abcdef", "clean", "0123456789 (clean)"),
        ("unknown", "not run from a git checkout", "unknown (not run from a git checkout)"),
        ("unknown", "unknown: git is not installed", "unknown (git is not installed)"),
        ("0123456789abcdef", "unknown: git says: x", "0123456789 (unknown: git says: x)"),
    ],
)
def test_as_text(commit: str, state: str, text: str) -> None:
    assert str(CodeRevision(commit, state)) == text


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package-anywhere",))
    assert provenance.versions.__wrapped__()["no-such-package-anywhere"] == "not installed"
