"""Compare the two records of a search, Optuna's trials and MLflow's runs, after it was disturbed and then completed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from vaestudy.runtime.addresses import database_uri
from vaestudy.study.search import TAKEN_OVER
from vaestudy.tracking import outbox
from vaestudy.tracking.destination import with_record
from vaestudy.tracking.mlflow_tracker import Tracker

STATES = {
    "complete": TrialState.COMPLETE, "repeated": TrialState.COMPLETE, "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED, "diverged": TrialState.FAIL,
}  # fmt: skip
"""Outcome of a trial -> its state in Optuna. A repeated trial may be PRUNED, too."""

Searches = dict[str, list[FrozenTrial]]


def searches_of(storage: Any, sweep: str) -> Searches:
    """Return the trials of each search of a sweep: name of the arm -> its trials."""
    names = [name for name in optuna.get_all_study_names(storage) if name.startswith(f"{sweep}/")]
    return {name: optuna.load_study(study_name=name, storage=storage).trials for name in sorted(names)}


def journal(home: Path, study: str, sweep: str) -> Any:
    """Return Optuna's storage in the journal of a sweep."""
    backend = optuna.storages.journal.JournalFileBackend(str(home / "optuna" / study / f"{sweep}.journal"))
    return optuna.storages.JournalStorage(backend)


def essence(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    """Return what must be equal in two executions of one search."""
    left_out = ("run_ids", "worker", TAKEN_OVER)
    return [
        (
            t.number, t.state, t.params, t.values, t.intermediate_values, t.constraints,
            {key: value for key, value in t.user_attrs.items() if key not in left_out},
        )
        for t in trials
    ]  # fmt: skip


def faults(home: Path, study: str, sweep: str, budget: int, searches: Searches) -> list[str]:
    """Return what is wrong with a sweep's completed searches, one line each.

    Args:
        home: the folder of all records.
        study: the name of the study.
        sweep: the name of the sweep.
        budget: the number of trials of each search.
        searches: Optuna's trials of each search.
    """
    tracker = Tracker(database_uri(home / "mlflow.db"))
    experiment = tracker.experiments()[study]
    (parent,) = tracker.runs(experiment, {"role": "study", "sweep": sweep})["run_id"]
    runs = tracker.runs(experiment, parent=parent)
    wrong = [f"{row['name']} is left RUNNING" for row in runs[runs["status"] == "RUNNING"].to_dict("records")]
    done = runs[with_record(runs)]
    records: dict[str, list[dict[str, Any]]] = {}
    for row in done.to_dict("records"):
        records.setdefault(row["tags.config.key"], []).append(row)
    wrong += [f"the run {key} has {len(rows)} records" for key, rows in records.items() if len(rows) > 1]
    asked_for: set[str] = set()
    for name, trials in searches.items():
        for problem in _trial_faults(trials, budget, records, asked_for):
            wrong.append(f"{name}: {problem}")
    final = json.loads(tracker.read_file(parent, "search/final.json"))
    cells = Counter(done.loc[done["tags.role"] == "trial", "tags.config.key"])
    wanted = {key for found in final.values() for key in found["keys"]}
    if set(cells) != wanted:
        wrong.append(f"{len(cells)} cells in place of {len(wanted)}")
    searched = set(done.loc[done["tags.role"] == "search", "tags.config.key"])
    wrong += [f"the record of {key} belongs to no trial" for key in searched - asked_for]
    wrong += [f"left in the outbox: {path}" for root in outbox.roots() if root.is_dir() for path in root.iterdir()]
    return wrong


def _trial_faults(
    trials: list[FrozenTrial], budget: int, records: dict[str, list[dict[str, Any]]], asked_for: set[str]
) -> Iterator[str]:
    """Yield what is wrong with the trials of one search; add the keys of their runs to `asked_for`."""
    if [trial.number for trial in trials] != list(range(len(trials))):
        yield f"its trials have the numbers {[trial.number for trial in trials]}"
    outcomes = Counter(trial.user_attrs.get("outcome") for trial in trials)
    if (count := sum(outcomes[name] for name in ("complete", "repeated", "pruned", "diverged"))) != budget:
        yield f"{count} trials count, and the budget is {budget}: {dict(outcomes)}"
    for trial in trials:
        outcome, keys = str(trial.user_attrs.get("outcome")), trial.user_attrs.get("keys", [])
        if trial.state != STATES.get(outcome) and not (outcome == "repeated" and trial.state == TrialState.PRUNED):
            yield f"trial {trial.number} is {trial.state.name} and {outcome}"
        if "same_as" in trial.user_attrs or outcome in ("infeasible", "diverged"):
            continue
        asked_for.update(keys)
        found = [records[key][0] for key in keys if key in records]
        if outcome == "complete":
            good = len(found) == len(keys) and {row["status"] for row in found} == {"FINISHED"}
            value = sum(row["metrics.valid/elbo"] for row in found) / max(len(found), 1)
            good = good and trial.value is not None and abs(value - trial.value) <= 1e-9 * abs(value)
        elif len(keys) > 1:  # pruned between two seeds
            good = 0 < len(found) < len(keys) and {row["status"] for row in found} == {"FINISHED"}
        else:
            good = [row["status"] for row in found] == ["KILLED"] and (
                found[0]["metrics.pruned/epoch"] == trial.user_attrs["pruned_epoch"] == len(trial.intermediate_values)
            )
        if not good:
            yield f"trial {trial.number} is {outcome}; its runs are {[row['status'] for row in found]}"
        if trial.user_attrs["run_ids"] and trial.user_attrs["run_ids"] != [row["run_id"] for row in found]:
            yield f"trial {trial.number} names other runs than MLflow has"
