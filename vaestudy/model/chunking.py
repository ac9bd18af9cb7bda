"""TODO"""

from __future__ import annotations

ROWS = 10_000
"""Decoder rows whose activations are kept at once, of a likelihood with HEADS outputs per pixel or fewer."""

HEADS = 2


def rows(heads: int) -> int:
    """Decoder rows whose activations are kept at once, for so many outputs per pixel."""
    return ROWS * HEADS // max(HEADS, heads)
