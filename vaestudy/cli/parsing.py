"""What the command `vaestudy` and the command lines of study files share: exit codes, location flags, early checks."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaestudy.cli.flags import Parser, flag
from vaestudy.cli.short_help import Entry
from vaestudy.config.fields import is_whole_number
from vaestudy.errors import BadInput, TrackerUnavailable, one_line
from vaestudy.runtime import addresses
from vaestudy.runtime.credentials import without_credentials
from vaestudy.runtime.signals import handling_signals
from vaestudy.runtime.surroundings import settle

LOCATIONS = {
    "data_dir": "Folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache]",
    "tracking_uri": "Address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db]",
}
"""Name of a location flag -> its help text."""


def run_guarded(name: str, work: Callable[[], int]) -> int:
    """Run `work` and return the exit code. SIGTERM interrupts it in the same way as Ctrl-C.

    An error in the input and an interrupt are reported as one line on stderr. If stdout is closed, nothing is printed
    and the exit code is 1.

    Args:
        name: the command's name, with which each line begins.
        work: the work; it returns the exit code.
    """
    settle()
    try:
        with handling_signals():
            code = work()
            if sys.stdout is not None:  # None if it was closed before the start
                sys.stdout.flush()
            return code
    except BadInput as error:
        print(f"{name}: {without_credentials(one_line(str(error)))}", file=sys.stderr)
        return 2
    except TrackerUnavailable as error:  # what the command needs is at an address that cannot be used
        print(f"{name}: the tracker cannot be used: {without_credentials(one_line(str(error)))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def add_location_flags(parser: Parser, *names: str) -> None:
    """Add some of the flags of `LOCATIONS` to `parser`."""
    for name in names:
        metavar = "PATH" if name == "data_dir" else "URI"
        parser.group("places").add_argument(flag(name), metavar=metavar, help=LOCATIONS[name])
        parser.add_entry(Entry("places", flag(name), metavar))


def data_root_of(values: dict[str, Any]) -> Path:
    """Remove `data_dir` from the flags' values and return the folder of the data sets.

    Raises:
        BadInput: the folder that the user named is missing or cannot be read.
    """
    from vaestudy.data.datasets import data_root

    return data_root(Path(values.pop("data_dir")) if "data_dir" in values else None)


def port_of(values: dict[str, Any], default: str) -> int:
    """Return the port that `--port` gives.

    Raises:
        BadInput: it is no port.
    """
    port = values.get("port", default)
    if not is_whole_number(port) or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise BadInput(f"--port {port}: must be a whole number from 1 to 65535")
    return int(port)


def require_free(port: int) -> None:
    """Raise if another program listens on a port of this machine.

    Raises:
        BadInput: one does.
    """
    if not addresses.is_free(port):
        raise BadInput(f"--port {port}: another program listens there; choose another port")


def require_cuda_driver(device: str) -> None:
    """Raise if `device` is a CUDA device and no driver for it is installed.

    This check is quick. A later check with torch (`run.execute.require_device`) is exact.

    Raises:
        BadInput: there is no driver.
    """
    if not device.startswith("cuda") or Path("/dev/kfd").exists():
        return
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise BadInput(f"--device {device}: this machine has no CUDA driver; choose from: cpu") from None
