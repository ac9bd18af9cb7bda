"""Where a number comes from: code revision, versions, hardware. Everything a stranger needs to obtain it again."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("vaestudy", "torch", "torchvision", "mlflow", "optuna", "numpy", "pandas", "safetensors", "mlxtend")


@functools.cache
def code_revision() -> tuple[str, str]:
    """(commit, "clean" or "dirty") of the checkout this package runs from; ("unknown", ...) outside one.

    A table exported or a picture drawn changes no result, so docs/ does not make a checkout dirty.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return "unknown", "not run from a git checkout"
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!README.md")
    return commit or "unknown", "dirty" if changed else "clean"


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
