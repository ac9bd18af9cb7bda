"""The outcomes of trials: their names, and the colour and marker of each in all figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class Outcome:
    """How an outcome is drawn. The colours are those of Okabe and Ito, which colour-blind readers can tell apart."""

    colour: str
    marker: str
    hatch: str = ""


OUTCOMES = {
    "complete": Outcome("#0072B2", "o"),
    "repeated": Outcome("#56B4E9", "D", ".."),
    "pruned": Outcome("#E69F00", "v", "//"),
    "failed": Outcome("#000000", "X", "xx"),
    "diverged": Outcome("#D55E00", "^", "\\\\"),
    "infeasible": Outcome("#CC79A7", "s", "--"),
    "running": Outcome("#999999", "P"),
}
"""Outcome -> how it is drawn, in the order of legends and notes."""

OF_STATE = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""State of Optuna -> the outcome of a trial that does not name its own."""


def outcome_of(trial: FrozenTrial) -> str:
    """Return the outcome of a trial."""
    if not trial.state.is_finished():
        return "running"
    named = str(trial.user_attrs.get("outcome", ""))
    return named if named in OUTCOMES else OF_STATE[trial.state]


def counted(trials: Iterable[FrozenTrial]) -> str:
    """Return the number of trials of each outcome as text, such as "40 complete, 18 pruned"."""
    counts = Counter(map(outcome_of, trials))
    return ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])


def trials_with_value(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count for the best: those that are COMPLETE."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]


def sign_of(study: optuna.Study, objective: int = 0) -> float:
    """Return 1 if larger values of an objective are better, else -1."""
    return 1.0 if study.directions[objective] is StudyDirection.MAXIMIZE else -1.0


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the trial with the best value of the first objective, the earliest of equals; None if none has a value."""
    trials, sign = trials_with_value(study), sign_of(study)
    return max(trials, key=lambda trial: (sign * trial.values[0], -trial.number), default=None)


def epochs(trials: Iterable[FrozenTrial]) -> tuple[int, int]:
    """Return (epochs trained, epochs saved) of trials."""
    attributes = [trial.user_attrs for trial in trials]
    return sum(int(a.get("epochs") or 0) for a in attributes), sum(int(a.get("epochs_saved") or 0) for a in attributes)
