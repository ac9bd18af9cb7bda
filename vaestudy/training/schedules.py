"""TODO"""

from __future__ import annotations

import math
from collections.abc import Callable

REFERENCE_MINIBATCH = 100  # where every scaling of the step size is 1


def _constant(epoch: int, epochs: int) -> float:
    return 1.0


def _iwae(epoch: int, epochs: int) -> float:
    """10^(-i/7) in stage i = 0..7, stage i lasting 3^i of 3280 parts of the run (Burda et al. 2015, section 5)."""
    part = (epoch - 1) * 3280 / epochs
    stage = next(i for i in range(8) if part < (3 ** (i + 1) - 1) / 2)
    return float(10 ** (-stage / 7))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": _constant,
    "iwae": _iwae,
}

LR_SCALINGS: dict[str, Callable[[int], float]] = {
    "none": lambda M: 1.0,
    "sqrt": lambda M: math.sqrt(M / REFERENCE_MINIBATCH),
    "linear": lambda M: M / REFERENCE_MINIBATCH,
}
