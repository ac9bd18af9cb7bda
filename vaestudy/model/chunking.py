"""The number of decoder rows that a step computes at once.

A decoder row is one draw z of one image on its way through the decoder. The activations of these rows would be by far
the largest part of a step's memory. So `vaestudy/model/terms.py` computes more rows than this in chunks, and
`vaestudy/training/memory.py` estimates a run's memory from the same number. It is in a file of its own because the
estimate is made before torch is imported.
"""

from __future__ import annotations

from vaestudy.config.registry import ARCHITECTURES

USUAL_HEADS = 2
"""Decoder outputs per pixel up to which an architecture keeps all its rows: a location and a scale."""


def max_rows(heads: int, architecture: str) -> int:
    """Return the number of decoder rows whose activations are kept at once, for `heads` outputs per pixel.

    The architecture declares its number for at most `USUAL_HEADS` outputs per pixel.
    """
    return ARCHITECTURES[architecture].rows * USUAL_HEADS // max(USUAL_HEADS, heads)
