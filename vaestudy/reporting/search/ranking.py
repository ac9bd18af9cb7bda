"""Whether tuning changes the ranking of a study's arms: a comparison with the same study without tuning.

The rule, which was fixed before any result: two arms differ if the 95 % t-interval over seeds of their difference at
the same seed excludes 0; otherwise they are tied. A pair is reversed if it differs in both sweeps, in opposite
directions. The intervals are not adjusted for the number of pairs.
"""

from __future__ import annotations

import itertools
import re

import pandas as pd

from vaestudy.reporting.grouping import runs_by_cell
from vaestudy.reporting.runs_frame import interval, tidy_runs
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Level, Study, level_text
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker

NAMED = 3
"""At most so many reversed pairs are named."""
RULE = "two arms differ if the 95 % interval over seeds of their difference at the same seed excludes 0, else they tie"
Arm = tuple[Level, ...]
Signs = dict[tuple[Arm, Arm], int]
"""Pair of arms -> 1 if the first has more of a metric, -1 if it has less, 0 if they are tied."""


def ranking_note(tracker: Tracker, searched: Searched, tuned: pd.DataFrame) -> str:
    """Return the sentence on where the ranking of the untuned study changes, or why that is not known.

    Args:
        tracker: the store of the runs.
        searched: the searches of the tuned sweep.
        tuned: the tidy final runs of the tuned sweep.
    """
    name, study, metric = searched.untuned, searched.study, searched.study.tabulate[0]
    untuned = _untuned_runs(tracker, study, name) if name else None
    if untuned is None:
        return f"Whether the ranking changes is not known: the untuned study ({name or 'no sweep'}) is not tracked."
    data = "tags.data.fingerprint"
    if set(untuned[data].dropna()) != set(tuned[data].dropna()):
        return f"Whether the ranking changes is not known: the untuned sweep {name} has other data."
    before, after = signs(untuned, study, metric), signs(tuned, study, metric)
    pairs = [pair for pair in after if pair in before]
    if not pairs:
        return f"Whether the ranking changes is not known: the untuned sweep {name} has no two of these arms."
    return f"{changes_text(before, after, metric, study)} (untuned: sweep {name}; {RULE})."


def signs(runs: pd.DataFrame, study: Study, metric: str) -> Signs:
    """Return for each pair of arms whether the first has more (1) or less (-1) of a metric, or they are tied (0)."""
    cells = {arm: cell.set_index("seed")[metric].dropna() for arm, cell in runs_by_cell(runs, study).items()}
    cells = {arm: values for arm, values in cells.items() if len(values)}
    found: Signs = {}
    for one, other in itertools.combinations(cells, 2):
        mean, half = interval((cells[one] - cells[other]).dropna())
        found[one, other] = (1 if mean > 0 else -1) if abs(mean) > half else 0
    return found


def changes_text(before: Signs, after: Signs, metric: str, study: Study) -> str:
    """Return what tuning changes in the ranking by a metric, without a full stop."""
    pairs = [pair for pair in after if pair in before]
    reversals = [(pair, after[pair]) for pair in pairs if before[pair] * after[pair] < 0]
    parted = sum(1 for pair in pairs if after[pair] and not before[pair])
    joined = sum(1 for pair in pairs if before[pair] and not after[pair])
    above = [pair if sign > 0 else pair[::-1] for pair, sign in reversals[:NAMED]]
    named = "; ".join(f"{_name(one, study)} now has more than {_name(other, study)}" for one, other in above)
    more = f"; and {len(reversals) - NAMED} more" if len(reversals) > NAMED else ""
    named = f" ({named}{more})" if named else ""
    return (
        f"Tuning reverses the order by {label(metric)} of {len(reversals)} of {len(pairs)} pairs of arms{named}; "
        f"{parted} pairs tie without it and differ with it, {joined} differ without it and tie with it"
    )


def _name(arm: Arm, study: Study) -> str:
    """Return the levels of an arm as text."""
    return ", ".join(f"{name}={level_text(level)}" for name, level in zip(study.factors, arm, strict=True))


def _untuned_runs(tracker: Tracker, study: Study, name: str) -> pd.DataFrame | None:
    """Return the tidy runs of the newest generation of the untuned sweep; None if none has finished runs."""
    experiments = study_experiments(tracker).get(study.name, [])
    sweeps = tracker.runs(experiments, {"role": "study"})
    if sweeps.empty:
        return None
    generations = {
        int(found[1] or 1): (str(run["experiment"]), str(run["run_id"]))
        for run in sweeps.to_dict("records")
        if (found := re.fullmatch(re.escape(name) + r"(?:~(\d+))?", str(run["tags.sweep"])))
    }
    for _, (experiment, run_id) in sorted(generations.items(), reverse=True):
        factors = Study.stored(tracker.read_file(run_id, "study.json").decode()).factors
        children = tracker.runs(experiment, {"role": "trial"}, run_id)
        if set(factors) != set(study.factors) or children.empty:
            continue
        tidy = tidy_runs(children, study)
        if (tidy["status"] == "FINISHED").any() and study.tabulate[0] in tidy:
            return tidy
    return None
