"""TODO"""

from __future__ import annotations

import math

REFERENCE_MINIBATCH = 100  # where every scaling of the step size is 1


def constant(epoch: int, epochs: int) -> float:
    return 1.0


def iwae(epoch: int, epochs: int) -> float:
    """10^(-i/7) in stage i = 0..7, stage i lasting 3^i of 3280 parts of the run (Burda et al. 2015, section 5)."""
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
