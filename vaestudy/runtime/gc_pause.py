"""A pause of Python's garbage collector during slow imports, whose objects never become garbage."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable the garbage collector while slow imports run in the block.

    The objects that modules create stay alive. Without the pause, the collector visits them again and again, which is a
    quarter of the time of the imports.

    Also freeze all objects at the exit of the interpreter, so that its last collection skips them. With torch that
    collection takes a second after all work is done.
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
