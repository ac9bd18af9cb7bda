"""The number of decoder rows that a step computes at once.

A decoder row is one draw z of one image on its way through the decoder. The activations of these rows would be by far
the largest part of a step's memory. So `vaestudy/model/terms.py` computes more rows than this in chunks, and
`vaestudy/training/memory.py` estimates a run's memory from the same number. It is in a file of its own because the
estimate is made before torch is imported.
"""

from __future__ import annotations

MAX_ROWS = 10_000
"""Number of decoder rows whose activations are kept at once, for a likelihood with at most `USUAL_HEADS` outputs per
pixel."""

USUAL_HEADS = 2
"""Decoder outputs per pixel up to which `MAX_ROWS` applies: a location and a scale."""


def max_rows(heads: int) -> int:
    """Return the number of decoder rows whose activations are kept at once, for `heads` outputs per pixel."""
    return MAX_ROWS * USUAL_HEADS // max(USUAL_HEADS, heads)
