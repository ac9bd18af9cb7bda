"""The runs that a name of the command line stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.reporting import run_list
from vaestudy.reporting.run_list import Rows
from vaestudy.reporting.search.searched import FINAL_FILE
from vaestudy.study.levels import level_text
from vaestudy.study.run_names import RunName
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker

SHOWN_DIGITS = 12
"""The number of digits of a run's id in tables."""


@dataclass(frozen=True)
class Side:
    """One of the things that are compared: a run, or the runs of a cell that differ in their seeds alone."""

    label: str
    """How the user named it."""
    runs: Rows
    """The rows of its runs (`reporting/run_list.py`), by seed."""
    is_cell: bool

    def with_seeds(self, seeds: Sequence[int]) -> Side:
        """Return this side with only the runs of these seeds, in the order of `seeds`."""
        by_seed = {run["seed"]: run for run in self.runs}
        return Side(self.label, [by_seed[seed] for seed in seeds], self.is_cell)


def find_sides(tracker: Tracker, names: Sequence[RunName]) -> list[Side]:
    """Return the runs that are compared. If a cell is among them, the sides have the same seeds.

    Raises:
        BadInput: there is no such run or cell, a run has no scores on test, or the sides have no seed in common.
    """
    sides = [_run_side(tracker, name) if name.digits else _cell_side(tracker, name) for name in names]
    if not any(side.is_cell for side in sides):
        if len({side.runs[0]["id"] for side in sides}) < len(sides):
            raise BadInput("a run is named twice; name different runs")
        return sides
    common = sorted(set.intersection(*({run["seed"] for run in side.runs} for side in sides)))
    if not common:
        shown = "; ".join(f"{side.label}: {', '.join(str(run['seed']) for run in side.runs)}" for side in sides)
        raise BadInput(f"the runs have no seed in common ({shown}); name single runs by their ids")
    return [side.with_seeds(common) for side in sides]


def _run_side(tracker: Tracker, name: RunName) -> Side:
    """Return the side of a run that is named by its id."""
    row = run_list.run_row(tracker, tracker.full_run_id(name.digits))
    _require_scored(row)
    return Side(name.text[:SHOWN_DIGITS], [row], is_cell=False)


def _cell_side(tracker: Tracker, name: RunName) -> Side:
    """Return the side of a cell."""
    rows = [row for row in run_list.run_rows(tracker, name.study) if row.get("role") == "trial"]
    sweep = _sweep(rows, name)
    rows = [row for row in rows if row["sweep"] == sweep and row["status"] == "FINISHED"]
    rows = list({row["key"]: row for row in rows}.values())  # of runs with one configuration the newest
    if name.final:
        keys = _final_keys(tracker, name, sweep)
        found = [row for row in rows if row["key"] in keys]
    else:
        found = [row for row in rows if all(level_text(row[field]) == level for field, level in name.levels)]
    if not found:
        raise BadInput(
            f"run {name.text!r}: study {name.study}, sweep {sweep}, has no such finished run; {_there(rows)}"
        )
    differing = [
        f"{field} ({', '.join(sorted(values))})"
        for field in RunConfig.model_fields
        if field != "seed" and len(values := {level_text(row[field]) for row in found}) > 1
    ]
    if differing:
        raise BadInput(f"run {name.text!r}: several cells, which differ in {'; '.join(differing)}; add one of these")
    for row in found:
        _require_scored(row)
    return Side(name.text, sorted(found, key=lambda row: int(row["seed"])), is_cell=True)


def _there(rows: Rows) -> str:
    """Return the fields in which runs differ, with their values, for a message."""
    found = {field: dict.fromkeys(level_text(row[field]) for row in rows) for field in RunConfig.model_fields}
    some = [f"{field} is {', '.join(values)}" for field, values in found.items() if len(values) > 1]
    return "; ".join(some) if some else f"there are {len(rows)} finished runs"


def _sweep(rows: Rows, name: RunName) -> str:
    """Return the sweep of a cell: the one that is named, else the newest that is not --quick, else the newest."""
    sweeps = list(dict.fromkeys(str(row["sweep"]) for row in reversed(rows) if "sweep" in row))
    if name.sweep:
        if name.sweep not in sweeps:
            raise BadInput(f"run {name.text!r}: {unknown_name(f'sweep of {name.study}', name.sweep, sweeps)}")
        return name.sweep
    if not sweeps:
        raise BadInput(f"run {name.text!r}: study {name.study} has no runs of cells yet")
    return next((sweep for sweep in sweeps if not sweep.startswith("quick")), sweeps[0])


def _final_keys(tracker: Tracker, name: RunName, sweep: str) -> set[str]:
    """Return the keys of the runs of the best configuration of a search, or of its base."""

    experiments = study_experiments(tracker)[name.study]
    parents = tracker.runs(experiments, {"role": "study", "sweep": sweep})
    try:
        final = json.loads(tracker.read_file(str(parents["run_id"].iloc[0]), FINAL_FILE))
        return set(final[name.final]["keys"])
    except (BadInput, KeyError):
        raise BadInput(
            f"run {name.text!r}: study {name.study}, sweep {sweep}, compares no {name.final} configuration"
        ) from None


def _require_scored(row: dict[str, Any]) -> None:
    """Raise unless a run is finished and was scored on test.

    Raises:
        BadInput: it was not.
    """
    if row["status"] != "FINISHED" or "test/elbo" not in row:
        why = f"is {row['status']}" if row["status"] != "FINISHED" else "was not scored on test (a trial of a search)"
        raise BadInput(f"run {row['id']}: {why}, so it has no scores to compare")
