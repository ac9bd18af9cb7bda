"""Helpers for processes that tests start, and for the ports on which these processes listen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import closing


def free_port() -> int:
    """Return the number of a port on which nothing listens."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listening(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with closing(socket.socket()) as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Wait until something listens on a port of this machine.

    Raises:
        TimeoutError: nothing listens after this number of seconds.
    """
    deadline = time.monotonic() + seconds
    while not listening(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {seconds} s")
        time.sleep(0.1)


def end(process: subprocess.Popen) -> None:
    """Kill a process that was started in a new session, and all processes of that session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
