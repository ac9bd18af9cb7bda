"""Where a number comes from: code revision, versions, hardware. Everything a stranger needs to obtain it again."""

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


@dataclass(frozen=True)
class CodeRevision:
    """The revision of the code that runs."""

    commit: str
    """The commit's hash, or "unknown"."""
    state: str
    """Either "clean" or "dirty"; outside a checkout, that it is none."""


@functools.cache
def code_revision() -> CodeRevision:
    """Return the revision of the checkout that this package runs from.

    A table exported or a picture drawn changes no result, so docs/ does not make a checkout dirty.
    """
    root = checkout()
    if not (root / ".git").exists():
        return CodeRevision("unknown", "not run from a git checkout")
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!README.md")
    return CodeRevision(commit or "unknown", "dirty" if changed else "clean")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


@functools.cache
def versions() -> dict[str, str]:
    """Version of Python and of each package a number may depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


@functools.cache
def hardware() -> dict[str, str]:
    """The processor, its cores, the system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {"cpu": model, "cores": str(os.cpu_count()), "machine": platform.machine(), "system": platform.platform()}
