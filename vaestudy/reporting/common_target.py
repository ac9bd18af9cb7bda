"""How many epochs a run takes to a target that it shares with the arms that it is compared with.

`epochs_to_95` is relative to the best value of the run itself, so an arm that ends low reaches its own goal early. Here
the goal is the same for all arms that can reach the same bound: those with the same levels of the factors in
SETS_THE_BOUND. (An arm with D=2 cannot reach what is easy at D=20, and nats of two likelihoods differ.) The goal is

    target = first + 0.95 (last - first)

where first and last are the mean bounds after the first and after the last epoch of one arm, the study's baseline with
the levels of this group. The baseline is declared before any run. The best arm would be chosen by the very values that
it is then compared with.

A run that never comes to the target has no number of epochs: it takes more than were trained. So has a run that failed.
Where an arm has such a run, the table says how many there are and gives no mean, as a mean over the other runs alone
would be too small.

The bound is the ELBO of the validation split, or of the train images if no run has a validation split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vaestudy.reporting.runs_frame import interval, runs_by_levels
from vaestudy.study.declaration import Study, level_text

RELATIVE = "epochs_to_95"
"""The metric that this measure stands beside."""
EPOCHS = "epochs_to_common_target"
"""The column of the epochs of a run; infinite if the run never reached the target."""
TARGET = "common_target"
"""The column of the target; nan if the arm that sets it has no finished run, or its bound does not rise."""
TRAINED = "epochs_recorded"
"""The column of the number of epochs on record."""
SETS_THE_BOUND = ("latent_dim", "likelihood")
"""The factors that set which bound can be reached."""
SHARE = 0.95

Curve = Mapping[int, float]
"""Epoch, from 1 on -> the bound after it."""


def curve_metric(runs: pd.DataFrame) -> str:
    """Return the name of the metric whose curve is read."""
    return "valid/elbo" if "valid/elbo" in runs and runs["valid/elbo"].notna().any() else "train/elbo"


def with_common_target(runs: pd.DataFrame, study: Study, curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Return tidy runs with the columns EPOCHS, TARGET and TRAINED.

    Args:
        runs: the tidy runs of a sweep.
        study: the study that declares the factors and the baseline.
        curves: id of a run -> its curve. A run without one never reached the target.
    """
    epochs = {str(run_id): {e: v for e, v in curve.items() if e >= 1} for run_id, curve in curves.items()}
    found = runs.assign(**{EPOCHS: math.inf, TARGET: math.nan})
    found[TRAINED] = [max(epochs.get(str(run_id), {}), default=0) for run_id in runs["run_id"]]
    for levels, group in _groups(runs, study).items():
        target = _target(group, study, levels, epochs)
        found.loc[group.index, TARGET] = target
        done = group[group["status"] == "FINISHED"]
        found.loc[done.index, EPOCHS] = [first_epoch(epochs.get(str(i), {}), target) for i in done["run_id"]]
    return found


def first_epoch(curve: Curve, target: float) -> float:
    """Return the first epoch with a bound of at least the target; infinite if there is none."""
    return min((float(epoch) for epoch, value in curve.items() if value >= target), default=math.inf)


def _groups(runs: pd.DataFrame, study: Study) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Return levels of the factors of SETS_THE_BOUND -> the runs that share a target."""
    names = _names(study)
    return runs_by_levels(runs, names) if names else {(): runs}


def _names(study: Study) -> list[str]:
    return [name for name in study.factors if name in SETS_THE_BOUND]


def _target(group: pd.DataFrame, study: Study, levels: Sequence[Any], curves: Mapping[str, Curve]) -> float:
    """Return the target of runs that share one; nan if there is none."""
    arm = group[group["status"] == "FINISHED"]
    for name, value in (study.baseline | dict(zip(_names(study), levels, strict=True))).items():
        arm = arm[arm[name] == value]
    mine = [curve for run_id in arm["run_id"] if (curve := curves.get(str(run_id)))]
    if not mine:
        return math.nan
    first, last = (sum(curve[end(curve)] for curve in mine) / len(mine) for end in (min, max))
    return first + SHARE * (last - first) if last > first else math.nan


def numbers(group: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of one arm: the mean of EPOCHS with its half-width, and the number of runs that reached it.

    The mean is nan unless all runs of the arm reached the target.
    """
    reached = int((group[EPOCHS] < math.inf).sum())
    mean, half = interval(group[EPOCHS]) if reached == len(group) else (math.nan, math.nan)
    trained = float(group[TRAINED].max()) if group[TARGET].notna().all() else math.nan
    return {EPOCHS: mean, f"{EPOCHS}_ci95": half, f"{EPOCHS}_reached": reached, f"{EPOCHS}_trained": trained}


def texts(full: pd.DataFrame) -> list[str]:
    """Return the column of a table: "6.3 ± 1.4", "> 10 in 2 of 3" or "> 10"; empty where there is no target.

    Args:
        full: a table with the columns of `numbers`, and with "seeds" and "failed".
    """
    columns = (EPOCHS, f"{EPOCHS}_ci95", f"{EPOCHS}_reached", f"{EPOCHS}_trained", "seeds", "failed")
    return [_text(*row) for row in full[list(columns)].itertuples(index=False)]


def _text(mean: float, half: float, reached: int, trained: float, seeds: int, failed: int) -> str:
    if trained != trained:
        return ""
    if reached < (count := seeds + failed):
        return f"> {trained:.0f}" + (f" in {count - reached} of {count}" if reached else "")
    return f"{mean:.1f} ± {half:.1f}" if half == half else f"{mean:.1f}"


def note(runs: pd.DataFrame, study: Study) -> str:
    """Return the line below a table that says what the column is."""
    names, found = _names(study), []
    for levels, group in _groups(runs, study).items():
        where = ", ".join(f"{name}={level_text(level)}" for name, level in zip(names, levels, strict=True))
        target = group[TARGET].iloc[0]
        found.append((f"{target:.1f}" if target == target else "none") + f" at {where}" * bool(where))
    split = curve_metric(runs).split("/")[0]
    shared = f"all arms with the same {' and '.join(names)}" if names else "all arms"
    return (
        "epochs to 95 %: of a run's own rise, which an arm that ends low completes early. epochs to common target: "
        f"until the ELBO on {split} is where the baseline has made 95 % of its rise from the first to the last epoch, "
        f"the same for {shared}: {'; '.join(found)}. «> N»: not in N epochs. A failed run counts as one that never "
        "came to the target, and there is no mean over the other runs."
    )
