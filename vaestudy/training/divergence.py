"""When a run counts as diverged: the exceptions, and the check of the bounds."""

from __future__ import annotations

import math

from vaestudy.scoring.bounds import Metrics

# Nats per image. For comparison: p = 1/2 for each pixel gives -543, a uniform density gives 0.
LOWEST_BOUND = -1e6


class NonFiniteLoss(ArithmeticError):
    """The loss became nan or infinite: the run has diverged and has no result."""

    run_id: str | None = None
    """The tracked run that holds its epochs; None if it is not tracked."""
    facts: dict[str, str] | None = None
    """What the run's record would have as `facts`; None if it was trained without a record."""
    data: dict[str, str] | None = None
    """What the run's record would have as `data`; None if it was trained without a record."""

    def __init__(self, value: float, epoch: int, step: int, log_likelihood: float, kl: float) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(
            f"the loss is {value} in epoch {epoch}, step {step} (log_likelihood {log_likelihood:.6g}, kl {kl:.6g} nats)"
        )


class ExplodedBound(NonFiniteLoss):
    """A bound is not finite, or so low that it has no meaning: the run has diverged and has no result."""

    def __init__(self, name: str, value: float, epoch: int) -> None:
        self.epoch = epoch
        ArithmeticError.__init__(self, f"{name} is {value:.6g} after epoch {epoch}")


def raise_if_diverged(metrics: Metrics, epoch: int) -> None:
    """Raise unless the bounds in `metrics` are finite and, after the first epoch, not below LOWEST_BOUND.

    A very low bound in the first epoch is not counted as a divergence.

    Raises:
        ExplodedBound: a bound is not finite, or it is below LOWEST_BOUND after the first epoch.
    """
    for name in {"train/elbo", "valid/elbo", "test/elbo"} & metrics.keys():
        value = metrics[name]
        if not math.isfinite(value) or (epoch > 1 and value < LOWEST_BOUND):
            raise ExplodedBound(name, value, epoch)
