"""Git repositories of tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run a git command in a folder, with settings of its own; return the output."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    options = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=")
    command = ["git", *options, *arguments]
    return subprocess.run(command, cwd=folder, env=own, check=True, capture_output=True, text=True).stdout.strip()
