"""The base configurations of the sweeps that were recorded, by the name of the sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import TrackerUnavailable
from vaestudy.tracking import outbox
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker

Fields = dict[str, Any]
"""The fields of a configuration, as JSON has them."""


def recorded_bases(uri: str, study: str, report: Callable[[str], None]) -> tuple[dict[str, Fields], bool]:
    """Return the base configurations of a study's recorded sweeps.

    Args:
        uri: the address of the tracker.
        study: the study's name.
        report: receives messages for the user, one line each.

    Returns:
        (name of the sweep -> its base configuration, whether the tracker answered); if it did not, the sweeps whose
        results wait in the outbox.
    """
    waiting = outbox.waiting_entries(report, uri, study=study)
    found = {entry.sweep: entry.base.model_dump(mode="json") for _, entry in waiting}
    try:
        tracker = Tracker(uri)
        experiments = study_experiments(tracker).get(study, [])
        rows = tracker.runs(experiments, {"role": "study"}).to_dict("records")
    except TrackerUnavailable:
        return found, False
    # A sweep that is older than a field has no value of it; it was made with what is now the field's default.
    defaults = RunConfig().model_dump(mode="json")
    tagged = [row for row in rows if isinstance(row.get("tags.base"), str)]
    return found | {str(row["tags.sweep"]): defaults | json.loads(row["tags.base"]) for row in tagged}, True
