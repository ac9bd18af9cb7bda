"""The origin of a number: code revision, package versions, hardware. Together they make a result reproducible."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vaestudy.runtime.paths import checkout

PACKAGES = ("vaestudy", "torch", "torchvision", "mlflow", "optuna", "numpy", "pandas", "safetensors", "mlxtend")
"""Packages whose version a number may depend on."""


@dataclass(frozen=True)
class CodeRevision:
    """The revision of the code that runs."""

    commit: str
    """The commit's hash, or "unknown"."""
    state: str
    """"clean" or "dirty"; outside a git checkout, a text that says so."""


@functools.cache
def code_revision() -> CodeRevision:
    """Return the revision of the checkout that this package runs from.

    Changes in docs/ and README.md do not make the checkout "dirty": exported tables and pictures change no result.
    """
    root = checkout()
    if not (root / ".git").exists():
        return CodeRevision("unknown", "not run from a git checkout")
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!README.md")
    return CodeRevision(commit or "unknown", "dirty" if changed else "clean")


def _git(root: Path, *arguments: str) -> str:
    """Return the output of a git command, without white space around it; empty if git cannot be run."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


@functools.cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that a number may depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


@functools.cache
def hardware() -> dict[str, str]:
    """Return the processor, the number of its cores, the architecture and the operating system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line
            for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {"cpu": model, "cores": str(os.cpu_count()), "machine": platform.machine(), "system": platform.platform()}
