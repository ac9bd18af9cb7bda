"""How much memory this machine has, and how much this process may still allocate."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def capacity() -> int:
    """Return the bytes of this machine, or of this process's control group if that has a limit."""
    found = [_physical()]
    with contextlib.suppress(OSError, ValueError):  # no control group, or a group without a limit ("max")
        found.append(int((CGROUP / "memory.max").read_text()))
    return min(found)


def available() -> int:
    """Return the bytes that this process and its children may still allocate."""
    found = [_physical()]
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")))
    with contextlib.suppress(OSError, ValueError):  # no control group, or a group without a limit ("max")
        limit = int((CGROUP / "memory.max").read_text())
        found.append(limit - int((CGROUP / "memory.current").read_text()))
    return min(found)


def _physical() -> int:
    """Return the bytes of this machine; where the system does not say it, a very large number."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**63


def gibibytes(count: int) -> str:
    """Return a number of bytes as text, in GiB."""
    return f"{count / 2**30:,.1f} GiB"
