"""TODO"""

from __future__ import annotations

import math

from vaestudy.scoring.bounds import Metrics

LOWEST_BOUND = -1e6  # nats per image; a coin per pixel gives -543, a uniform density 0


class NonFiniteLoss(ArithmeticError):
    """The loss became nan or infinite: the run has diverged and has no result."""

    def __init__(self, value: float, epoch: int, step: int, log_likelihood: float, kl: float) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(
            f"the loss is {value} in epoch {epoch}, step {step} (log_likelihood {log_likelihood:.6g}, kl {kl:.6g} nats)"
        )


class ExplodedBound(NonFiniteLoss):
    """The bound is finite no more, or so low that the run means nothing: it has diverged and has no result."""

    def __init__(self, name: str, value: float, epoch: int) -> None:
        self.epoch = epoch
        ArithmeticError.__init__(self, f"{name} is {value:.6g} after epoch {epoch}")


def raise_if_diverged(metrics: Metrics, epoch: int) -> None:
    """Refuse to go on from a bound that is not finite, or that has exploded; a wild first epoch is no divergence.

    Raises:
        ExplodedBound: so it is.
    """
    for name in {"train/elbo", "valid/elbo", "test/elbo"} & metrics.keys():
        value = metrics[name]
        if not math.isfinite(value) or (epoch > 1 and value < LOWEST_BOUND):
            raise ExplodedBound(name, value, epoch)
