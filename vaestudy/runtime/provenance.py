"""The origin of a number: code revision, package versions, hardware. Together they make a result reproducible."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vaestudy.errors import LONGEST_REASON
from vaestudy.runtime.project import checkout

PACKAGES = ("vaestudy", "torch", "torchvision", "mlflow", "optuna", "numpy", "pandas", "safetensors", "mlxtend")
"""Packages whose version a number may depend on."""


UNKNOWN = "unknown"
"""The commit where git could not tell it, and the start of a state that git could not tell."""

GIT_SECONDS = 20
"""Seconds after which a git command is given up."""


@dataclass(frozen=True)
class CodeRevision:
    """The revision of the code that runs."""

    commit: str
    """The commit's hash, or UNKNOWN."""
    state: str
    """"clean" or "dirty"; outside a git checkout, a text that says so; else "unknown: " and the reason."""

    def __str__(self) -> str:
        """Return the first digits of the commit with the state in brackets, for a line of text."""
        state = self.state.removeprefix(f"{UNKNOWN}: ") if self.commit == UNKNOWN else self.state
        return f"{self.commit[:10]} ({state})"


class GitFailed(Exception):
    """Git could not answer. The message is the reason."""


@functools.cache
def code_revision() -> CodeRevision:
    """Return the revision of the checkout that this package runs from, as it is at the first call."""
    return revision_of(checkout())


def revision_of(root: Path) -> CodeRevision:
    """Return the revision of the checkout whose root is `root`.

    Changes in docs/ and README.md do not make the checkout "dirty": exported tables and pictures change no result.
    A repository in a folder above `root` is not asked: its commits do not say which revision of this package runs.
    """
    if not (root / ".git").exists():
        return CodeRevision(UNKNOWN, "not run from a git checkout")
    commit = UNKNOWN
    try:
        commit = git(root, "log", "-1", "--format=%H", "--no-show-signature")
        changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!README.md")
    except GitFailed as error:
        return CodeRevision(commit, f"{UNKNOWN}: {error}")
    return CodeRevision(commit, "dirty" if changed else "clean")


def git(root: Path, *arguments: str) -> str:
    """Return the output of a git command about the checkout at `root`, without white space around it.

    The command names the repository, so git does not search for one, and does not refuse a folder that another user
    owns: the code in this folder runs anyway. It writes nothing and starts no file monitor.

    Raises:
        GitFailed: git cannot be run, takes too long, or reports an error.
    """
    options = (f"--git-dir={root / '.git'}", f"--work-tree={root}", "--no-optional-locks", "-c", "core.fsmonitor=false")
    # Variables such as GIT_DIR or GIT_INDEX_FILE, which git sets for its hooks, would make it read another repository.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    surroundings |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=root,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=GIT_SECONDS,
        )
    except FileNotFoundError:
        raise GitFailed("git is not installed") from None
    except OSError as error:
        raise GitFailed(f"git cannot be run ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git did not answer within {GIT_SECONDS} s") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise GitFailed(f"git says: {reason.removeprefix('fatal: ')[:LONGEST_REASON]}")
    return done.stdout.strip()


@functools.cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that a number may depend on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # for example vaestudy itself, run from a folder on PYTHONPATH
        return "not installed"


@functools.cache
def hardware() -> dict[str, str]:
    """Return the processor, the number of its cores, the architecture and the operating system."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    if names := [line for line in lines if line.startswith("model name")]:
        model = names[0].split(":", 1)[1].strip()
    return {"cpu": model, "cores": str(os.cpu_count()), "machine": platform.machine(), "system": platform.platform()}
