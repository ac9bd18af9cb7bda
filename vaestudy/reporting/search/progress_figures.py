"""Figures of one search as it went on: the objective by trial, learning curves, the workers' time, and the front."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from optuna.trial import FrozenTrial

from vaestudy.plotting import house_style
from vaestudy.reporting.search.drawing import (
    draw_outcomes,
    heading,
    limit_values,
    outcome_handles,
    value_label,
    valued,
    whole_ticks,
)
from vaestudy.reporting.search.outcomes import OUTCOMES, best_trial, outcome_of, sign_of
from vaestudy.reporting.search.searched import Searched
from vaestudy.study.search import SEED_PRUNER, TAKEN_OVER

Span = tuple[datetime, datetime]
PAUSE = 0.2
"""The timeline leaves out pauses. A pause is a time without trials that is longer than this share of the busy time."""
INSTANT = 0.004
"""A trial that takes less than this part of the timeline is drawn as a marker."""


def history(searched: Searched) -> Figure | None:
    """Draw the objective of each trial and the best so far. A strip below shows the trials that have no value."""
    study = searched.studies.get("")
    if study is None or not (trials := [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]):
        return None
    known = valued(study)[0]
    unknown = [trial for trial in trials if trial not in known]
    panels = len(study.directions) if known else 0
    heights = [4.0] * panels + [0.25 + 0.2 * max(1, len({outcome_of(t) for t in unknown}))] * bool(unknown)
    with house_style():
        figure = Figure(figsize=(8, 1.6 + sum(heights)), layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for objective, ax in enumerate(axes[:panels]):
            _history_panel(ax, searched, study, known, objective)
        if unknown:
            rows = sorted({outcome_of(t) for t in unknown}, key=list(OUTCOMES).index)
            y = [float(rows.index(outcome_of(t))) for t in unknown]
            draw_outcomes(axes[-1], unknown, [t.number for t in unknown], y)
            counts = Counter(outcome_of(t) for t in unknown)
            axes[-1].set_yticks(range(len(rows)), [f"{name} ({counts[name]})" for name in rows])
            axes[-1].set_ylim(len(rows) - 0.5, -0.5)
        axes[-1].set_xlabel("trial")
        whole_ticks(axes[-1])
        best = [Line2D([], [], color="black", drawstyle="steps-post", label="best so far")] if panels == 1 else []
        if handles := outcome_handles(known) + best * bool(known):
            figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        below = "; below: trials without a final value" if unknown and known else ""
        heading(figure, searched, f"objective by trial, one point for each trial{below}")
    return figure


def _history_panel(
    ax: Axes, searched: Searched, study: optuna.Study, trials: list[FrozenTrial], objective: int
) -> None:
    """Draw the values of one objective against the numbers of the trials."""
    values, sign = [trial.values[objective] for trial in trials], sign_of(study, objective)
    low, high = limit_values(ax, values, sign)
    draw_outcomes(ax, trials, [t.number for t in trials], list(np.clip(values, low, high)))
    ax.set_ylabel(value_label(searched.search.objectives[objective]))
    if len(study.directions) == 1:
        numbers = [*(t.number for t in trials), max(t.number for t in study.get_trials(deepcopy=False))]
        so_far = list(itertools.accumulate(values, max if sign > 0 else min))
        ax.step(numbers, [*so_far, so_far[-1]], where="post", color="black", linewidth=1.6, zorder=2)


def learning_curves(searched: Searched) -> Figure | None:
    """Draw the objective along each trial's training, with the epochs at which trials were pruned."""
    study = searched.studies.get("")
    trials = [] if study is None else [t for t in study.get_trials(deepcopy=False) if _finite(t.intermediate_values)]
    if study is None or not trials:
        return None
    best, sign = best_trial(study), sign_of(study)
    with house_style():
        figure = Figure(figsize=(8, 5.2), layout="constrained")
        ax = figure.subplots()
        ends = [points[max(points)] for trial in trials if (points := _finite(trial.intermediate_values))]
        low, high = limit_values(ax, ends, sign)
        for trial in trials:
            look = OUTCOMES[outcome_of(trial)]
            steps, values = zip(*sorted(_finite(trial.intermediate_values).items()), strict=True)
            is_best = best is not None and trial.number == best.number
            colour, width, alpha = ("black", 2.2, 1.0) if is_best else (look.colour, 0.9, 0.65)
            ax.plot(steps, values, color=colour, linewidth=width, alpha=alpha, zorder=3 if is_best else 2)
            end = float(np.clip(values[-1], low, high))
            ax.plot(steps[-1], end, color=colour, marker=look.marker, markersize=5.5, zorder=4, clip_on=False)
        by_seed = searched.search.pruner == SEED_PRUNER
        ax.set(xlabel="run of the trial, one a seed" if by_seed else "epoch")
        ax.set_ylabel(value_label(searched.search.objectives[0]))
        whole_ticks(ax)
        handles = outcome_handles(trials)
        if best is not None and best.intermediate_values:
            handles.append(Line2D([], [], color="black", linewidth=2.2, label=f"best, trial {best.number}"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        along = "over the seeds of each trial" if by_seed else "along training"
        heading(figure, searched, f"objective {along}, one line for each trial; the marker is at its end")
    return figure


def _finite(values: dict[int, float]) -> dict[int, float]:
    """Return the values that are finite numbers."""
    return {step: value for step, value in values.items() if math.isfinite(value)}


def timeline(searched: Searched) -> Figure | None:
    """Draw what each worker did when: one row a worker, a bar for each trial in the colour of its outcome."""
    trials = [t for t in searched.trials if t.datetime_start and t.datetime_complete]
    if not trials:
        return None
    spans = busy_times(trials)
    clock = _Clock([span for mine in spans.values() for span in mine])
    bars: set[str] = set()
    instants: set[str] = set()
    workers = sorted({int(t.user_attrs.get("worker") or 0) for t in trials})
    with house_style():
        figure = Figure(figsize=(10, 1.9 + 0.55 * len(workers)), layout="constrained")
        ax = figure.subplots()
        for index, trial in enumerate(trials):
            row, look = workers.index(int(trial.user_attrs.get("worker") or 0)), OUTCOMES[outcome_of(trial)]
            for start, end in [(clock.minutes(begin), clock.minutes(end)) for begin, end in spans[index]]:
                if end - start < INSTANT * clock.length:
                    ax.plot(start, row, color=look.colour, marker=look.marker, markersize=8, markeredgecolor="white",
                            markeredgewidth=0.8, zorder=3)  # fmt: skip
                    instants.add(outcome_of(trial))
                    continue
                bars.add(outcome_of(trial))
                ax.barh(row, end - start, left=start, height=0.7, color=look.colour, hatch=look.hatch,
                        edgecolor="white", linewidth=0.8, zorder=2)  # fmt: skip
        for pause in clock.pauses:
            ax.axvline(pause, color="0.3", linestyle="--", linewidth=1.2, zorder=4)
        ax.set_yticks(range(len(workers)), [f"worker {worker}" for worker in workers])
        ax.set_ylim(len(workers) - 0.4, -0.6)
        ax.set(xlabel="minutes since the start", xlim=(0, max(clock.length, 1e-9) * 1.005))
        ax.grid(visible=False, axis="y")
        handles = [
            Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=name)
            if name in bars
            else Line2D([], [], linestyle="none", color=look.colour, marker=look.marker, label=name)
            for name, look in OUTCOMES.items()
            if name in bars | instants
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False)
        cut = "; dashed: a pause, left out" if clock.pauses else ""
        short = "; a marker: a trial that took hardly any time" if instants else ""
        heading(figure, searched, f"what each worker did{cut}{short}")
    return figure


def busy_times(trials: Sequence[FrozenTrial]) -> dict[int, list[Span]]:
    """Return the times in which each trial was worked on: index among the trials -> (start, end) in order.

    A trial that a later driver took over, after a kill, was not worked on from the kill until then. The time of the
    kill is unknown: the last start or end of any trial before the takeover stands for it.

    Args:
        trials: trials that have a start and an end.
    """
    events = sorted(time for t in trials for time in (t.datetime_start, t.datetime_complete) if time is not None)
    found: dict[int, list[Span]] = {}
    for index, trial in enumerate(trials):
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        begin, found[index] = trial.datetime_start, []
        for text in trial.user_attrs.get(TAKEN_OVER, []):
            again = datetime.fromisoformat(text)
            last = max((event for event in events if begin <= event < again), default=begin)
            found[index].append((begin, last))
            begin = again
        found[index].append((begin, trial.datetime_complete))
    return found


class _Clock:
    """Minutes since the start of a search, without its pauses.

    Args:
        spans: the start and the end of each trial.
    """

    def __init__(self, spans: Sequence[tuple[datetime, datetime]]) -> None:
        self._start = min(start for start, _ in spans)
        merged: list[list[float]] = []
        for start, end in sorted((self._raw(a), self._raw(b)) for a, b in spans):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        busy = sum(end - start for start, end in merged)
        gaps = [(left[1], right[0]) for left, right in itertools.pairwise(merged)]
        self._cuts = [(begin, end) for begin, end in gaps if end - begin > max(PAUSE * busy, 1.0)]
        self.pauses = [self._without_cuts(begin) for begin, _ in self._cuts]
        """Where pauses were left out, in minutes."""
        self.length = self._without_cuts(merged[-1][1])
        """The whole time without pauses, in minutes."""

    def minutes(self, time: datetime) -> float:
        """Return a time in minutes since the start, without the pauses before it."""
        return self._without_cuts(self._raw(time))

    def _raw(self, time: datetime) -> float:
        return (time - self._start).total_seconds() / 60

    def _without_cuts(self, minutes: float) -> float:
        return minutes - sum(end - begin for begin, end in self._cuts if begin < minutes)


def front(searched: Searched) -> Figure | None:
    """Draw two objectives against each other, with the Pareto front."""
    study = searched.studies.get("")
    if study is None or len(study.directions) != 2 or not (trials := valued(study)[0]):
        return None
    best = sorted(study.best_trials, key=lambda trial: trial.values[0])
    with house_style():
        figure = Figure(figsize=(7, 5.4), layout="constrained")
        ax = figure.subplots()
        limits = [limit_values_of(study, objective) for objective in range(2)]
        x, y = (list(np.clip(valued(study, i)[1], *limits[i])) for i in range(2))
        draw_outcomes(ax, trials, x, y)
        ax.plot([t.values[0] for t in best], [t.values[1] for t in best], color="black", marker="o", markersize=9,
                markerfacecolor="none", linewidth=1.2, zorder=2,
                drawstyle="steps-pre" if sign_of(study, 0) > 0 else "steps-post")  # fmt: skip
        ax.set(xlim=limits[0], ylim=limits[1])
        ax.set_xlabel(value_label(searched.search.objectives[0]))
        ax.set_ylabel(value_label(searched.search.objectives[1]))
        ring = Line2D([], [], color="black", marker="o", markerfacecolor="none", label=f"front ({len(best)} trials)")
        figure.legend(handles=[*outcome_handles(trials), ring], loc="outside lower center", ncols=4, frameon=False)
        heading(
            figure, searched, "the two objectives of each trial; no trial is better in both than a trial of the front"
        )
    return figure


def limit_values_of(study: optuna.Study, objective: int) -> tuple[float, float]:
    """Return limits of an axis of one of two objectives: all trials of the front are inside."""
    values = valued(study, objective)[1]
    room = 0.05 * (max(values) - min(values)) or 1.0
    return min(values) - room, max(values) + room
