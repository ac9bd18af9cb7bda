"""TODO"""

from __future__ import annotations

MAX_ROWS = 10_000
"""Decoder rows whose activations are kept at once, of a likelihood with HEADS outputs per pixel or fewer."""

USUAL_HEADS = 2


def max_rows(heads: int) -> int:
    """Decoder rows whose activations are kept at once, for so many outputs per pixel."""
    return MAX_ROWS * USUAL_HEADS // max(USUAL_HEADS, heads)
