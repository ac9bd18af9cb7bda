"""SCHEDULES and LR_SCALINGS: factors by which the configured step size is multiplied.

A schedule takes the epoch, from 1, and the number of epochs. A schedule that declares `takes_drops` takes the drops of
the configuration too. A scaling takes the minibatch size M; its factor is 1 at M = 100.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Callable

from vaestudy.config.registry import SCHEDULES
from vaestudy.config.run_config import RunConfig

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


def drops(epoch: int, epochs: int, drops: tuple[int, ...], factor: float) -> float:
    """Return factor^d, where d is the number of drops after which the epoch comes.

    Args:
        epoch: the epoch, from 1.
        epochs: the number of epochs; not used.
        drops: increasing numbers of epochs: a drop 200 is first used in epoch 201, as in torch's `MultiStepLR`.
        factor: what each drop multiplies the step size by.
    """
    return factor ** bisect_left(drops, epoch)


def make_schedule(config: RunConfig) -> Callable[[int], float]:
    """Return the function epoch, from 1 -> factor of the step size, for a resolved configuration."""
    schedule = SCHEDULES.load(config.schedule)
    if SCHEDULES[config.schedule].takes_drops:
        schedule = functools.partial(schedule, drops=config.lr_drops, factor=config.lr_drop_factor)
    return functools.partial(schedule, epochs=config.epochs)


def unscaled(M: int) -> float:
    """Return 1 for every minibatch size M."""
    return 1.0


def by_square_root(M: int) -> float:
    """Return sqrt(M / 100)."""
    return math.sqrt(M / REFERENCE_MINIBATCH)


def linear(M: int) -> float:
    """Return M / 100."""
    return M / REFERENCE_MINIBATCH
