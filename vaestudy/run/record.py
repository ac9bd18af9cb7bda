"""The data that a run leaves behind, and the messages that a worker sends about it.

All are plain data without torch objects, so they can be sent between processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vaestudy.config.run_config import RunConfig
from vaestudy.scoring.bounds import Metrics
from vaestudy.training.divergence import NonFiniteLoss


@dataclass(frozen=True)
class Record:
    """Everything a run leaves behind, in memory."""

    config: RunConfig
    metrics: Metrics
    """Final values: test/..., along/..., gradient/... and timings."""
    history: list[Metrics]
    """The train/... and valid/... metrics of each epoch."""
    kl_per_dimension: list[float]
    """Mean KL of each latent dimension on the test split, in nats."""
    files: dict[str, bytes]
    """Path inside the run's folder -> content: weights, configuration, scores, figures."""
    facts: dict[str, str]
    """Code revision, versions, hardware, data fingerprint and sizes, by name."""
    data: dict[str, str]
    """Name, fingerprint and split sizes of the data set."""
    notices: tuple[str, ...] = ()
    """Messages for the user about this run, one line each."""
    pruned_epoch: int | None = None
    """The epoch after which the run was pruned; None if it was not."""


@dataclass(frozen=True)
class RunFailure:
    """The outcome of a run that ended without a record."""

    reason: str
    traceback: str
    diverged: bool
    """Whether the loss became non-finite. The configuration causes this, so a retry would end in the same way."""
    facts: dict[str, str] = field(default_factory=dict)
    """What a record of the run would have under this name; empty if the run crashed."""
    data: dict[str, str] = field(default_factory=dict)
    """What a record of the run would have under this name; empty if the run crashed."""

    @classmethod
    def of_divergence(cls, error: NonFiniteLoss, traceback: str) -> RunFailure:
        """Return the outcome of a run that diverged."""
        return cls(str(error), traceback, diverged=True, facts=error.facts or {}, data=error.data or {})


@dataclass(frozen=True)
class EpochEnd:
    """The message that a run has finished an epoch."""

    key: str
    """The key of the run's configuration."""
    epoch: int
    metrics: Metrics


@dataclass(frozen=True)
class RunEnd:
    """The message that a run has ended, with its outcome."""

    key: str
    outcome: Record | RunFailure
