"""Python's garbage collector, kept from walking what never becomes garbage."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """For slow imports: what modules bring stays, and walking it while it grows is a quarter of the time they take.

    The interpreter's last collection passes over it too: with torch that is a second after all work is done.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
