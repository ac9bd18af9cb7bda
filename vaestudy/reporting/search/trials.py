"""The trials of a sweep's searches as one JSON file, and back as Optuna studies in memory.

The file is attached to the sweep run in MLflow as `TRIALS_FILE`. So tables and figures need no storage of Optuna.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

TRIALS_FILE = "search/trials.json"
FORMAT = 1
"""The number of the file's format."""
CONSTRAINTS = "constraints"
"""The name, or the beginning of the names, of the system attributes in which Optuna keeps constraints."""


def trials_json(studies: Mapping[str, optuna.Study]) -> bytes:
    """Return the trials of several Optuna studies as a JSON file.

    Args:
        studies: the name of an arm -> its study; "" for the only search of a sweep.
    """
    content = {"format": FORMAT, "studies": {arm: _study_fields(study) for arm, study in studies.items()}}
    return json.dumps(content, allow_nan=False).encode()


def read_trials(content: bytes) -> dict[str, optuna.Study]:
    """Return the studies that `trials_json` wrote, in memory: the name of an arm -> its study.

    Raises:
        ValueError: the content is not such a file, or is of a later format.
    """
    stored = json.loads(content)
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise ValueError(f"{TRIALS_FILE} is not of format {FORMAT}")
    return {arm: _study(arm, fields) for arm, fields in stored["studies"].items()}


def _study_fields(study: optuna.Study) -> dict[str, Any]:
    """Return a study as values of JSON."""
    return {
        "directions": [direction.name for direction in study.directions],
        "metric_names": study.metric_names,
        "trials": [_trial_fields(trial) for trial in study.get_trials(deepcopy=False)],
    }


def study_in_memory(directions: list[StudyDirection], name: str) -> optuna.Study:
    """Return a new study in memory. The library would say on stderr that it was made."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(study_name=name, directions=directions)
    finally:
        optuna.logging.set_verbosity(before)


def _study(arm: str, fields: dict[str, Any]) -> optuna.Study:
    """Return a study in memory."""
    directions = [StudyDirection[name] for name in fields["directions"]]
    study = study_in_memory(directions, arm or "search")
    if fields["metric_names"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(fields["metric_names"])
    study.add_trials(_trial(trial) for trial in fields["trials"])
    return study


def _trial_fields(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial as values of JSON."""
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": None if trial.values is None else [_number_field(value) for value in trial.values],
        "params": trial.params,
        "distributions": {name: distribution_to_json(d) for name, d in trial.distributions.items()},
        "intermediate_values": {step: _number_field(value) for step, value in trial.intermediate_values.items()},
        "datetime_start": trial.datetime_start and trial.datetime_start.isoformat(),
        "datetime_complete": trial.datetime_complete and trial.datetime_complete.isoformat(),
        "user_attrs": trial.user_attrs,
        "constraints": {k: v for k, v in trial.system_attrs.items() if k.split(":")[0] == CONSTRAINTS},
    }


def _trial(fields: dict[str, Any]) -> FrozenTrial:
    """Return a trial; the study to which it is added numbers it by its position, as it was numbered before."""
    return FrozenTrial(
        number=fields["number"],
        trial_id=fields["number"],
        state=TrialState[fields["state"]],
        value=None,
        values=None if fields["values"] is None else [float(value) for value in fields["values"]],
        datetime_start=_time(fields["datetime_start"]),
        datetime_complete=_time(fields["datetime_complete"]),
        params=fields["params"],
        distributions={name: json_to_distribution(text) for name, text in fields["distributions"].items()},
        user_attrs=fields["user_attrs"],
        system_attrs=fields["constraints"],
        intermediate_values={int(step): float(value) for step, value in fields["intermediate_values"].items()},
    )


def _number_field(value: float) -> float | str:
    """Return a number as a value of JSON, which has no infinity and no nan: these become text."""
    return value if math.isfinite(value) else str(float(value))


def _time(text: str | None) -> datetime | None:
    """Return the time that a text in ISO format stands for."""
    return datetime.fromisoformat(text) if text else None
