"""TODO"""

from __future__ import annotations

from dataclasses import dataclass

from vaestudy.config.run_config import RunConfig
from vaestudy.scoring.bounds import Metrics


@dataclass(frozen=True)
class Record:
    """Everything a run leaves behind."""

    config: RunConfig
    metrics: Metrics
    """test/... and timings; final values."""
    history: list[Metrics]
    kl_per_dimension: list[float]
    files: dict[str, bytes]
    """Path within the run -> content: weights, configuration, scores, figures."""
    facts: dict[str, str]
    """Code revision, versions, hardware, data fingerprint and sizes."""
    data: dict[str, str]
    notices: tuple[str, ...] = ()
    """What the user should know of this run, a line each."""


@dataclass(frozen=True)
class RunFailure:
    """How a run ended without a record."""

    reason: str
    traceback: str
    diverged: bool
    """The loss became non-finite: an outcome of the configuration, which would come again."""


@dataclass(frozen=True)
class EpochEnd:
    """News of a run under way."""

    key: str
    epoch: int
    metrics: Metrics


@dataclass(frozen=True)
class RunEnd:
    """A run's end."""

    key: str
    outcome: Record | RunFailure
