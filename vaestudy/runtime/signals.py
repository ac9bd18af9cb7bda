"""Handle SIGINT and SIGTERM: the first signal stops the work in an orderly way, the second ends the process at once.

The first signal raises KeyboardInterrupt; closing everything takes seconds. Ending at once is as safe as `kill -9`: the
next start of the same command repairs what is left over.

A KeyboardInterrupt alone is not enough. If it is raised within a destructor or another callback of C code, Python
prints it and continues. So the signal is also remembered, and loops call `raise_if_interrupted`.
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
    """The state of signal handling in this process."""

    depth: int = 0
    """Number of open `deferring_interrupts` blocks."""
    interrupted: bool = False
    """Whether the first signal has arrived."""
    end_at_second: bool = True
    """Whether the second signal ends the process, and does not only raise KeyboardInterrupt again."""


_state = _State()


@contextmanager
def handling_signals(end_at_second: bool = True) -> Iterator[None]:
    """Handle both signals in the block as described at the top of this file.

    Outside the main thread nothing changes, because only the main thread receives signals.

    Args:
        end_at_second: if False, the second signal raises KeyboardInterrupt wherever it arrives, and the process goes
            on: a session of Python or of a notebook has more to lose than this work.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.end_at_second = end_at_second
    before = {number: signal.signal(number, _on_first_signal) for number in SIGNALS}
    try:
        yield
    finally:
        _state.interrupted = False
        for number, handler in before.items():
            # Another handler means that the process is about to exit, and that a further signal may follow.
            if signal.getsignal(number) is _on_first_signal or not end_at_second:
                signal.signal(number, handler)


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Defer the first signal while the block runs.

    It takes effect at the next `raise_if_interrupted`, or at the end of the outermost such block.

    Raises:
        KeyboardInterrupt: at the end of the outermost block, if a signal has arrived.
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
    """Let the first signal take effect anywhere in this block, for long work within `deferring_interrupts`.

    Raises:
        KeyboardInterrupt: at the start, if a signal has arrived.
    """
    raise_if_interrupted()
    depth, _state.depth = _state.depth, 0
    try:
        yield
    finally:
        _state.depth = depth


def raise_if_interrupted() -> None:
    """Raise if the first signal has arrived.

    Raises:
        KeyboardInterrupt: it has arrived.
    """
    if _state.interrupted:
        raise KeyboardInterrupt


def dask_setup(worker: object) -> None:
    """Ignore SIGINT in a Dask worker of this machine; Dask calls this function when the worker starts.

    Ctrl-C in a terminal reaches the driver and all workers, but only the driver must react.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_first_signal(number: int, frame: object) -> None:
    """Remember the signal, prepare for the second one, and raise KeyboardInterrupt unless it is deferred."""
    for following in SIGNALS:
        signal.signal(following, _on_second_signal if _state.end_at_second else signal.default_int_handler)
    _state.interrupted = True
    if not _state.depth:
        raise KeyboardInterrupt


def _on_second_signal(number: int, frame: object) -> None:
    """End the process at once."""
    os.write(2, b"interrupted again: ended at once\n")
    os._exit(130)
