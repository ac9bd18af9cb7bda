"""The folder mlruns/ with all records, and the names of files in it."""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from pathlib import Path

from vaestudy.runtime.project import project

MLRUNS_VARIABLE = "VAESTUDY_MLRUNS"
"""The environment variable that sets the folder of `mlruns`."""


def mlruns() -> Path:
    """Return the folder for all records: VAESTUDY_MLRUNS if it is set, else mlruns/ in the project's folder."""
    named = os.environ.get(MLRUNS_VARIABLE)
    return Path(named).resolve() if named else project() / "mlruns"


def user_temporary(name: str) -> Path:
    """Return a path for this user in the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"vaestudy-{name}-{slug(_user_name())}"


def _user_name() -> str:
    """Return the name of this process's user, or the user's number if the system has no name for it.

    A container that was started with an arbitrary user id has no entry for it in the list of users.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # KeyError before Python 3.13; ImportError without the module pwd
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def slug(text: str) -> str:
    """Return `text` as a file name. It contains no slash and starts with no dot, so it stays inside its folder."""
    return re.sub(r"[^A-Za-z0-9._=+~-]+", "-", text).strip("-.") or "-"


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
