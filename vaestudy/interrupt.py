"""SIGINT and SIGTERM: the first unwinds the work in good order, which takes seconds; the second ends it at once.

To end at once is as safe as a kill -9 is: the next run of the same command makes good what was left.
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
    """The first signal came while one was."""


_state = _State()


@contextmanager
def orderly() -> Iterator[None]:
    """Handle both signals as told above; in a thread that gets none, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _first) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _first:  # else we are about to exit, and another may be on its way
                signal.signal(number, handler)


@contextmanager
def whole() -> Iterator[None]:
    """What happens inside is not cut in two by the first signal, which waits for its end.

    Raises:
        KeyboardInterrupt: at the end, if a signal came.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
        if _state.came and not _state.depth:
            _state.came = False
            raise KeyboardInterrupt


def _first(number: int, frame: object) -> None:
    for following in SIGNALS:
        signal.signal(following, _second)
    if _state.depth:
        _state.came = True
    else:
        raise KeyboardInterrupt


def _second(number: int, frame: object) -> None:
    os.write(2, b"interrupted again: ended at once\n")
    os._exit(130)
