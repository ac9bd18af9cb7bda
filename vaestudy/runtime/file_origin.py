"""The origin of a user's file, such as that of a study: its repository, commit and changes since, and its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaestudy.runtime import provenance
from vaestudy.runtime.credentials import shown

CHANGES = "changes.diff"
"""The name of the file with the changes since the commit."""


@dataclass(frozen=True)
class FileOrigin:
    """What a record keeps of a file, so that another person can tell which version of it was used."""

    file: str
    """The path in the repository, or the file's name if there is no repository."""
    repository: str
    """The address of the remote repository `origin`, without credentials; else the name of its folder; else ""."""
    commit: str
    """The commit's hash, or UNKNOWN."""
    state: str
    """ "clean" if the file is as in the commit, "changed", "not committed", "no repository", or why git cannot tell."""
    content: bytes
    changes: str
    """The changes since the commit, in git's format; empty if there are none."""

    def tags(self) -> dict[str, str]:
        """Return the tags of a record."""
        about = {"file": self.file, "repository": self.repository, "commit": self.commit, "state": self.state}
        return {f"study.{name}": value for name, value in about.items()}

    def files(self) -> dict[str, bytes]:
        """Return the files of a record: path -> content."""
        found = {f"study/{Path(self.file).name}": self.content}
        return found | ({f"study/{CHANGES}": self.changes.encode()} if self.changes else {})


def origin_of(path: Path) -> FileOrigin:
    """Return the origin of a file, as it is now.

    Raises:
        OSError: the file cannot be read.
    """
    content, path = path.read_bytes(), path.resolve()
    root = next((folder for folder in path.parents if (folder / ".git").exists()), None)
    if root is None:
        return FileOrigin(path.name, "", provenance.UNKNOWN, "no repository", content, "")
    name, commit = path.relative_to(root).as_posix(), provenance.UNKNOWN
    repository = root.name
    try:
        remote = provenance.git(root, "config", "--default", "", "--get", "remote.origin.url")
        repository = shown(remote) if "://" in remote else root.name
        commit = provenance.git(root, "log", "-1", "--format=%H", "--no-show-signature")
        known = provenance.git(root, "ls-files", "--", name)
        changes = provenance.git(root, "diff", "--no-ext-diff", "HEAD", "--", name) if known else ""
    except provenance.GitFailed as error:
        return FileOrigin(name, repository, commit, f"{provenance.UNKNOWN}: {error}", content, "")
    state = "not committed" if not known else "changed" if changes else "clean"
    return FileOrigin(name, repository, commit, state, content, f"{changes}\n" if changes else "")
