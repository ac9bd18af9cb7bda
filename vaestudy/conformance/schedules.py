"""The checks of a schedule of the step size, and of a rule by which the step size grows with the minibatch."""

from __future__ import annotations

import math
from collections.abc import Callable

from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, Part, require
from vaestudy.training.schedules import REFERENCE_MINIBATCH, make_schedule

CHECKS = Checks()
SCALING_CHECKS = Checks()

EPOCHS = (1, 2, 3, 10, 75, 500, 3_280)
"""Numbers of epochs of a run."""
MINIBATCHES = (1, 2, 20, 100, 500, 60_000)


def made(part: Part, epochs: int) -> Callable[[int], float]:
    """Return the schedule of a run with a number of epochs. One that takes drops drops after a third and a half."""
    drops = tuple(sorted({max(1, epochs // 3), max(1, epochs // 2)})) if part.spec.takes_drops else ()
    return make_schedule(RunConfig(schedule=part.name, lr_drops=drops, epochs=epochs))


def factors(part: Part, epochs: int) -> list[float]:
    """Return the factor of each epoch of a run."""
    schedule = made(part, epochs)
    return [schedule(epoch) for epoch in range(1, epochs + 1)]


@CHECKS.first
def returns_a_number(part: Part) -> None:
    """It takes the epoch, from 1, and the number of epochs, and returns a number."""
    for epochs in EPOCHS:
        for epoch, factor in enumerate(factors(part, epochs), start=1):
            require(
                isinstance(factor, int | float),
                f"epoch {epoch} of {epochs} has a {type(factor).__name__}, not a number",
            )


@CHECKS
def finite_and_not_negative(part: Part) -> None:
    """Each factor is finite and 0 or more."""
    for epochs in EPOCHS:
        for epoch, factor in enumerate(factors(part, epochs), start=1):
            require(math.isfinite(factor) and factor >= 0, f"the factor of epoch {epoch} of {epochs} is {factor:g}")


@CHECKS
def first_epoch_trains(part: Part) -> None:
    """The first epoch trains: its factor is above 0."""
    for epochs in EPOCHS:
        require((first := factors(part, epochs)[0]) > 0, f"the factor of epoch 1 of {epochs} is {first:g}")


@CHECKS
def epoch_alone_decides(part: Part) -> None:
    """The epoch alone decides the factor, so a run that is continued in any epoch has the same factors."""
    for epochs in EPOCHS[:-1]:
        forward = factors(part, epochs)
        for epoch in range(epochs, 0, -1):
            factor = made(part, epochs)(epoch)
            require(
                factor == forward[epoch - 1],
                f"epoch {epoch} of {epochs} has the factor {forward[epoch - 1]:g} in a run from the start, {factor:g} "
                "in one that continues there",
            )


@SCALING_CHECKS.first
def positive(part: Part) -> None:
    """It takes the minibatch size M and returns a finite number above 0."""
    for M in MINIBATCHES:
        factor = part.load()(M)
        require(isinstance(factor, int | float), f"M={M} has a {type(factor).__name__}, not a number")
        require(math.isfinite(factor) and factor > 0, f"the factor of M={M} is {factor:g}")


@SCALING_CHECKS
def one_at_the_reference(part: Part) -> None:
    """The factor is 1 at M = 100, for which learning rates are given."""
    factor = part.load()(REFERENCE_MINIBATCH)
    require(abs(factor - 1) <= 1e-12, f"the factor of M={REFERENCE_MINIBATCH} is {factor:g}")


@SCALING_CHECKS
def minibatch_alone_decides(part: Part) -> None:
    """M alone decides the factor."""
    for M in MINIBATCHES:
        one, again = part.load()(M), part.load()(M)
        require(one == again, f"the factor of M={M} is {one:g}, and {again:g} when it is called again")
