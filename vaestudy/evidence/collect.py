"""Collect the runs that are there, from MLflow and from committed files.

Tracked runs come first. A run that is not tracked is taken from the committed file, and the column SOURCE says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vaestudy.evidence.committed import data_folder, read_csv
from vaestudy.evidence.evidence import FACTS, SOURCE, TRACKED, Evidence
from vaestudy.evidence.needs import Need
from vaestudy.reporting.runs_frame import tidy_runs
from vaestudy.study.declaration import Study
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker


def collect(
    needs: Iterable[Need], dataset: str, quick: bool = False, tracker: Tracker | None = None, folder: Path | None = None
) -> Evidence:
    """Return the evidence that is there for some needs.

    Args:
        needs: what is needed.
        dataset: the data set.
        quick: look for runs of --quick.
        tracker: the tracker; without one, only committed runs are used.
        folder: the folder of committed files [default: docs/data of this checkout].
    """
    files: dict[str, set[str]] = {}
    studies: dict[str, Study] = {}
    for one in needs:
        files.setdefault(one.study, set()).add(one.file)
        studies[one.study] = one.declaration
    experiments = study_experiments(tracker) if tracker is not None else {}
    runs = {}
    for study, names in files.items():
        parts = [read_csv((folder or data_folder()) / name) for name in sorted(names)]
        if tracker is not None and study in experiments:
            parts.insert(0, _tracked(tracker, studies[study], experiments[study]))
        if parts := [part for part in parts if len(part)]:
            runs[study] = pd.concat(parts, ignore_index=True).drop_duplicates("tags.config.key")
    return Evidence(runs, dataset, quick)


def _tracked(tracker: Tracker, study: Study, experiments: list[str]) -> pd.DataFrame:
    """Return the tidy runs of a study's cells, of all its sweeps, without those that crashed."""
    found = tracker.runs(experiments, {"role": "trial"})
    if found.empty:
        return found
    tidy = tidy_runs(found, study)
    for column in FACTS:
        if column not in tidy:
            tidy[column] = ""
    tidy[SOURCE] = TRACKED
    return tidy[(tidy["status"] == "FINISHED") | (tidy["tags.diverged"] == "True")]
