"""Processes that tests start beside themselves, and the ports they listen on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import closing


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listening(port: int) -> bool:
    with closing(socket.socket()) as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Wait until something listens.

    Raises:
        TimeoutError: nothing did.
    """
    deadline = time.monotonic() + seconds
    while not listening(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {seconds} s")
        time.sleep(0.1)


def end(process: subprocess.Popen) -> None:
    """Kill a process that leads a session of its own, and all it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
