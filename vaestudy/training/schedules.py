"""SCHEDULES and LR_SCALINGS: factors by which the configured step size is multiplied.

A schedule takes the epoch, from 1, and the number of epochs. A scaling takes the minibatch size M; its factor is 1 at
M = 100.
"""

from __future__ import annotations

import math

REFERENCE_MINIBATCH = 100  # the M at which every scaling is 1


def constant(epoch: int, epochs: int) -> float:
    """Return 1 for every epoch."""
    return 1.0


def cosine(epoch: int, epochs: int) -> float:
    """Return (1 + cos(pi (epoch - 1) / epochs)) / 2, which falls from 1 towards 0. Loshchilov & Hutter 2017."""
    return (1.0 + math.cos(math.pi * (epoch - 1) / epochs)) / 2.0


def iwae(epoch: int, epochs: int) -> float:
    """Return 10^(-i/7) in stage i = 0..7. Burda et al. 2015, section 5.

    The run is divided into 3280 equal parts; stage i is 3^i parts long.
    """
    part = (epoch - 1) * 3280 / epochs
    stage = next(i for i in range(8) if part < (3 ** (i + 1) - 1) / 2)
    return float(10 ** (-stage / 7))


def unscaled(M: int) -> float:
    """Return 1 for every minibatch size M."""
    return 1.0


def by_square_root(M: int) -> float:
    """Return sqrt(M / 100)."""
    return math.sqrt(M / REFERENCE_MINIBATCH)


def linear(M: int) -> float:
    """Return M / 100."""
    return M / REFERENCE_MINIBATCH
