"""TODO"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaestudy.cli.flags import Parser, flag
from vaestudy.errors import BadInput
from vaestudy.runtime.signals import handling_signals

LOCATIONS = {
    "data_dir": "Folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache]",
    "tracking_uri": "Where runs are tracked [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db]",
}


def run_guarded(name: str, work: Callable[[], int]) -> int:
    """Run `work`, turning what the user can mend into one line on stderr. SIGTERM ends it as Ctrl-C does."""
    try:
        with handling_signals():
            return work()
    except BadInput as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def add_location_flags(parser: Parser, *names: str) -> None:
    group = parser.add_argument_group("places")
    for name in names:
        group.add_argument(flag(name), metavar="PATH" if name == "data_dir" else "URI", help=LOCATIONS[name])


def data_root_of(values: dict[str, Any]) -> Path:
    from vaestudy.data.datasets import data_root

    return data_root(Path(values.pop("data_dir")) if "data_dir" in values else None)


def require_cuda_driver(device: str) -> None:
    """Refuse `cuda` at once where no driver of the kind is installed; torch itself is asked later.

    Raises:
        BadInput: there is none.
    """
    if not device.startswith("cuda") or Path("/dev/kfd").exists():
        return
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise BadInput(f"--device {device}: this machine has no CUDA driver; choose from: cpu") from None
