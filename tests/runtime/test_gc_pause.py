"""Tests that the garbage collector pauses during slow imports and at the exit, and at no other time."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from vaestudy.runtime.gc_pause import gc_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with gc_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_the_last_collection_passes_over_what_was_imported() -> None:
    code = (
        "import atexit, gc\n"
        "before = gc.get_freeze_count()\n"  # not 0 in Python 3.12
        "atexit.register(lambda: print(gc.get_freeze_count() - before > 1000))\n"  # registered first, so it runs last
        "from vaestudy.runtime.gc_pause import gc_paused\n"
        "for _ in range(2):\n"
        "    with gc_paused():\n"
        "        import vaestudy.config\n"
        "print(gc.get_freeze_count() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
