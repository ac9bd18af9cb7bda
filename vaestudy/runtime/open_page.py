"""Opens an address in a browser once a server answers there. It runs as a process of its own, beside the server.

python -m vaestudy.runtime.open_page ADDRESS PORT
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import webbrowser

PATIENCE_SECONDS = 120.0
"""How long the server may take until it answers."""


def has_browser() -> bool:
    """Return whether a page can be shown: there is a browser, and a screen for it.

    Without a screen `webbrowser` would take a text browser, which would write over the server's terminal.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def open_when_served(address: str, port: int) -> None:
    """Start a process that opens `address` as soon as this machine answers at `port`."""
    command = [sys.executable, "-m", "vaestudy.runtime.open_page", address, str(port)]
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def answers(port: int) -> bool:
    """Return whether something on this machine accepts connections at a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(address: str, port: int) -> int:
    """Wait until the port answers, then open the address; return 1 if it does not answer, or the server has ended."""
    server, end = os.getppid(), time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and os.getppid() == server:
        if answers(port):
            return 0 if webbrowser.open(address) else 1
        time.sleep(0.2)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2])))
