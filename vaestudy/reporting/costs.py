"""How long runs take, as the record of finished runs says it, and how a plan shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.study.levels import level_text

SECONDS = "seconds/total"
"""The metric with the seconds of a run."""
TRAIN_SECONDS = "seconds/train_and_validate"
"""The metric with the part of the seconds that grows with the number of epochs."""
RECORDED, LIKE, UNKNOWN = "recorded", "recorded of a like configuration", "not known"
"""Where the seconds of a run come from."""
SAME_COST = (
    "seed",
    "init",
    "init_sigma",
    "sigma_floor",
    "log_guard",
    "reduction",
    "learning_rate",
    "lr_scaling",
    "schedule",
    "lr_drops",
    "lr_drop_factor",
    "optimizer_epsilon",
    "likelihood_sigma",
    "likelihood_floor",
)
"""Fields that hardly change how long a step takes. Runs that differ in these, and in `epochs`, are alike."""
ROUGHLY = 0.25
"""The share by which the seconds of a like configuration may be wrong."""
ONE_NUMBER = 1.2
"""The ratio of the ends of a range up to which it is shown as one number."""


@dataclass(frozen=True)
class Seconds:
    """How long something takes: a range, and where it comes from."""

    low: float
    """nan if it is not known."""
    high: float
    basis: str

    def times(self, low: float, high: float | None = None) -> Seconds:
        """Return the seconds with the ends of the range multiplied."""
        return Seconds(self.low * low, self.high * (low if high is None else high), self.basis)


def recorded_seconds(config: RunConfig, runs: Iterable[Mapping[str, Any]]) -> Seconds:
    """Return how long a run takes by the record of finished runs on a machine.

    Runs of the same configuration with any seed count alone, if there are any; else those of a like one, scaled by the
    number of epochs.

    Args:
        config: the resolved configuration of the run.
        runs: rows of finished runs (`reporting/run_list.py`).
    """
    wanted = {name: level_text(getattr(config, name)) for name in RunConfig.model_fields}
    same, like = [], []
    for run in runs:
        differing = {name for name, text in wanted.items() if level_text(run[name]) != text}
        if differing <= {"seed"}:
            same.append(float(run[SECONDS]))
        elif differing <= {"epochs", *SAME_COST} and TRAIN_SECONDS in run and run["epochs"]:
            train = float(run[TRAIN_SECONDS])
            like.append(float(run[SECONDS]) - train + train * (config.epochs or 0) / run["epochs"])
    if same:
        return Seconds(min(same), max(same), RECORDED)
    if like:
        return Seconds(min(like) * (1 - ROUGHLY), max(like) * (1 + ROUGHLY), LIKE)
    return Seconds(math.nan, math.nan, UNKNOWN)


def shown_minutes(low: float, high: float | None = None) -> str:
    """Return minutes as text; a range if its ends are far apart."""
    high = low if high is None else high
    if low != low or high != high:
        return "?"
    middle = (low + high) / 2
    if high < 1:
        return "under 1"
    if high <= ONE_NUMBER * low or f"{low:.0f}" == f"{high:.0f}":
        return "under 1" if middle < 1 else f"{middle:.0f}"
    return f"{'under 1' if low < 1 else f'{low:.0f}'} to {high:.0f}"
