"""Reads a tracked run back: its configuration, its tags and every value that it recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.config.messages import validated
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.scoring.bounds import Metrics
from vaestudy.tracking.mlflow_tracker import Tracker

CURVES = ("train/", "valid/", "test/kl_per_dimension")
"""How the names of metrics begin that have a value for each epoch or dimension."""


@dataclass(frozen=True)
class RecordedRun:
    """What the tracker holds of one run."""

    run_id: str
    status: str
    config: RunConfig
    tags: dict[str, str]
    """The tags of vaestudy, without their prefix."""
    metrics: Metrics
    """Name -> the last recorded value."""
    curves: dict[str, dict[int, float]]
    """Name of each metric of `CURVES` -> step -> value. The step is an epoch, or a latent dimension."""

    @property
    def epochs(self) -> int:
        """The number of epochs on record."""
        return max((max(steps) for name, steps in self.curves.items() if name.startswith("train/")), default=0)

    @property
    def is_complete(self) -> bool:
        """Whether the run ended with a record of all its epochs."""
        return self.status == "FINISHED" and self.epochs == self.config.epochs

    @property
    def divergence(self) -> str | None:
        """Why the run diverged; None if it did not."""
        return self.tags.get("failure") if self.tags.get("diverged") == "True" else None


def read_recorded_run(tracker: Tracker, run_id: str) -> RecordedRun:
    """Return what the tracker holds of a run.

    Raises:
        BadInput: there is no such run, or it is not the run of one model, or its configuration cannot be read.
    """
    row = tracker.get(run_id)
    if "tags.config.key" not in row:
        raise BadInput(f"run {run_id} is not the run of one model, so it has no configuration to repeat")
    config = recorded_config(row)
    metrics: Metrics = _columns(row, "metrics.")
    curves = {name: tracker.curve(run_id, name) for name in metrics if name.startswith(CURVES)}
    return RecordedRun(run_id, row["status"], config, _columns(row, "tags."), metrics, curves)


def _columns(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the columns whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def recorded_config(row: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run from what is stored of it (`stored_form`).

    A field that is newer than the run has its default: the run was made with what is now the default.

    Args:
        row: the run as `Tracker.get` returns it.

    Raises:
        BadInput: the parameters are not a configuration of this revision, or were altered after the run.
    """
    run_id, values = row["run_id"], {name: param_value(name, text) for name, text in _columns(row, "params.").items()}
    try:
        config = validated(RunConfig, values)
    except BadInput as error:
        raise BadInput(f"run {run_id} cannot be repeated by this code revision: {error}") from None
    if config.valid_size is None or config.epochs is None or config.dataset == "auto":
        raise BadInput(f"run {run_id} has no complete configuration on record: dataset, valid_size or epochs is open")
    if config.key != (key := row["tags.config.key"]):
        raise BadInput(
            f"run {run_id}: its parameters have the key {config.key}, and its tag config.key is {key}: "
            "the record was altered, or a later revision made it"
        )
    return config


def param_value(field: str, text: str) -> Any:
    """Return the value of a parameter, the inverse of `stored_form.param_text`."""
    known = RunConfig.model_fields.get(field)
    if known is None or known.annotation is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
