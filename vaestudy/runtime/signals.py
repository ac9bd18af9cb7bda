"""SIGINT and SIGTERM: the first unwinds the work in good order, which takes seconds; the second ends it at once.

To end at once is as safe as a kill -9 is: the next run of the same command makes good what was left.

A KeyboardInterrupt alone is not enough: raised within a destructor or another callback of C code, Python prints it and
goes on. So the signal is remembered, and loops `check` for it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class _State:
    depth: int = 0
    """How many `whole` blocks are open."""
    came: bool = False
    """The first signal came."""


_state = _State()


@contextmanager
def handling_signals() -> Iterator[None]:
    """Handle both signals as told above; in a thread that gets none, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _first) for number in SIGNALS}
    try:
        yield
    finally:
        _state.came = False
        for number, handler in before.items():
            if signal.getsignal(number) is _first:  # else we are about to exit, and another may be on its way
                signal.signal(number, handler)


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """What happens inside is not cut in two by the first signal, which waits for a `check` or the end.

    Raises:
        KeyboardInterrupt: at the end, if a signal came.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
        if not _state.depth:
            raise_if_interrupted()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within `whole`, something long that the first signal may end anywhere."""
    raise_if_interrupted()
    depth, _state.depth = _state.depth, 0
    try:
        yield
    finally:
        _state.depth = depth


def raise_if_interrupted() -> None:
    """End here, if the first signal came.

    Raises:
        KeyboardInterrupt: it did.
    """
    if _state.came:
        raise KeyboardInterrupt


def dask_setup(worker: object) -> None:
    """Called by Dask in each worker of this machine: a terminal's Ctrl-C reaches all, and the driver alone answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _first(number: int, frame: object) -> None:
    for following in SIGNALS:
        signal.signal(following, _second)
    _state.came = True
    if not _state.depth:
        raise KeyboardInterrupt


def _second(number: int, frame: object) -> None:
    os.write(2, b"interrupted again: ended at once\n")
    os._exit(130)
