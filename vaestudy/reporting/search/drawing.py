"""What the figures of a search share: headings, limits of axes, and the axes of searched fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from vaestudy.plotting import set_heading
from vaestudy.reporting.figures.axis_texts import field_label, unit_label
from vaestudy.reporting.places import readable_sweep
from vaestudy.reporting.search.outcomes import OUTCOMES, outcome_of, trials_with_value
from vaestudy.reporting.search.searched import Searched
from vaestudy.study.search import OBJECTIVES
from vaestudy.study.search_space import EDGE

RANGE_SHOWN = 4.0
"""The part of the values that is drawn: from the best down to this multiple of the distance of the median from it."""
FEWEST_TO_CUT = 8
"""With fewer values all are drawn."""
MOST_TICKS = 5
SEED_NAMES = ("seed",)
"""Parameters that are no choice, and are in no figure."""


def heading(figure: Figure, searched: Searched, description: str) -> None:
    """Write the heading of a figure: the question, the sweep and a description, in lines that fit."""
    quick = "   QUICK LOOK, NOT A RESULT" if searched.quick else ""
    set_heading(figure, searched.study.question, f"{readable_sweep(searched.sweep)}: {description}{quick}")


def value_label(metric: str) -> str:
    """Return the label of an axis of an objective, with its unit and which direction is better."""
    unit = unit_label(metric) or "nats per image"
    searched = "" if "better" in unit else f", {OBJECTIVES[metric].replace('ize', 'ised')} by the search"
    return f"{value_name(metric)}, {unit}{searched}"


def value_name(metric: str) -> str:
    """Return the name of an objective in texts."""
    name = {"valid/elbo": "validation ELBO", "valid/log_likelihood": "validation log-lik.", "valid/kl": "validation KL"}
    return name.get(metric, metric)


def visible_range(values: Sequence[float], sign: float) -> tuple[float, float]:
    """Return the limits of an axis of objectives.

    The best value is always inside. Values that are much worse than the median are outside: with them, the trials that
    matter would look the same.

    Args:
        values: one or more values.
        sign: 1 if larger values are better, else -1.
    """
    ordered = sorted(sign * value for value in values if math.isfinite(value))
    best, median, worst = ordered[-1], ordered[len(ordered) // 2], ordered[0]
    if len(ordered) >= FEWEST_TO_CUT and best > median:
        worst = max(worst, best - RANGE_SHOWN * (best - median))
    return with_room(worst, best, sign)


def with_room(worst: float, best: float, sign: float) -> tuple[float, float]:
    """Return the limits of an axis of objectives, with a margin.

    Args:
        worst: the worst value that is shown, times `sign`.
        best: the best one, times `sign`.
        sign: 1 if larger values are better, else -1.
    """
    room = 0.06 * (best - worst) or 0.01 * abs(best) or 1.0
    low, high = sorted((sign * (worst - room), sign * (best + room)))
    return low, high


def limit_values(ax: Axes, values: Sequence[float], sign: float) -> tuple[float, float]:
    """Set the limits of a vertical axis of objectives, say how many values lie outside, and return the limits."""
    low, high = visible_range(values, sign)
    ax.set_ylim(low, high)
    ax.set_title(beyond(values, low, high), loc="right", fontsize=8, color="0.35")
    return low, high


def beyond(values: Sequence[float], low: float, high: float) -> str:
    """Return how many values lie outside the limits of an axis, as text; empty if none does."""
    outside = sum(not low <= value <= high for value in values)
    return f"{outside} beyond the axis, at its edge" if outside else ""


def colour_bar_ends(values: Sequence[float], low: float, high: float) -> str:
    """Return at which ends a bar of colours has an arrow: where values lie outside its limits."""
    beyond_ends = min(values) < low, max(values) > high
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond_ends, "neither")


def outcome_handles(trials: Sequence[FrozenTrial]) -> list[Line2D]:
    """Return an entry of a legend for each outcome among the trials, with their number."""
    found = [outcome_of(trial) for trial in trials]
    return [
        Line2D([], [], linestyle="none", color=look.colour, marker=look.marker, markersize=7, label=f"{name} ({count})")
        for name, look in OUTCOMES.items()
        if (count := found.count(name))
    ]


def draw_outcomes(ax: Axes, trials: Sequence[FrozenTrial], x: Sequence[float], y: Sequence[float]) -> None:
    """Draw a point for each trial, in the colour and with the marker of its outcome."""
    for name, look in OUTCOMES.items():
        mine = [i for i, trial in enumerate(trials) if outcome_of(trial) == name]
        if mine:
            ax.scatter([x[i] for i in mine], [y[i] for i in mine], s=42, color=look.colour, marker=look.marker,
                       edgecolors="white", linewidths=0.6, zorder=3, clip_on=False)  # fmt: skip


def whole_ticks(ax: Axes) -> None:
    """Put the ticks of the horizontal axis at whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


@dataclass(frozen=True)
class FieldAxis:
    """The axis of one searched field: a range of numbers, on its own scale, or choices."""

    field: str
    distribution: Any

    @property
    def choices(self) -> list[str]:
        """Return the choices as text; [] for a range."""
        d = self.distribution
        return [str(choice) for choice in d.choices] if isinstance(d, CategoricalDistribution) else []

    @property
    def log(self) -> bool:
        """Return whether the range is logarithmic."""
        return bool(getattr(self.distribution, "log", False))

    def unit(self, value: Any) -> float:
        """Return where a value lies in the range, from 0 to 1 on the range's own scale."""
        if self.choices:
            return self.choices.index(str(value)) / max(1, len(self.choices) - 1)
        low, high, at = (float(v) for v in (self.distribution.low, self.distribution.high, value))
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    def value(self, unit: float) -> float:
        """Return the number at a place in a range, from 0 to 1 on the range's own scale."""
        low, high = float(self.distribution.low), float(self.distribution.high)
        return math.exp(math.log(low) + unit * math.log(high / low)) if self.log else low + unit * (high - low)

    def position(self, value: Any) -> float:
        """Return where a value is drawn on an axis that `scale` made."""
        return float(self.choices.index(str(value))) if self.choices else float(value)

    def ticks(self) -> list[tuple[float, str]]:
        """Return ticks of a vertical axis from 0 to 1: (place, text)."""
        if self.choices:
            return [(self.unit(choice), choice) for choice in self.choices]
        low, high = float(self.distribution.low), float(self.distribution.high)
        if self.log:
            shown = sorted({low, *log_ticks(low, high), high})
        else:
            whole = isinstance(self.distribution, IntDistribution)
            inner = MaxNLocator(4, integer=whole).tick_values(low, high)
            shown = sorted({low, *(float(tick) for tick in inner if low <= tick <= high), high})
        places = [(self.unit(value), f"{value:g}") for value in shown]
        ends = (places[0], places[-1])
        apart = 0.08  # of the axis: what two texts need
        inside = [p for p in places[1:-1] if ends[0][0] + apart < p[0] < ends[1][0] - apart]
        return list(dict.fromkeys([ends[0], *inside, ends[1]]))

    def scale(self, ax: Axes, which: Literal["x", "y"] = "x", edges: bool = True) -> None:
        """Set the label, the scale, the ticks and the limits of an axis.

        Args:
            ax: the panel.
            which: the horizontal or the vertical axis.
            edges: whether the outer parts of a range, which count as its edges, are grey.
        """
        axis = ax.xaxis if which == "x" else ax.yaxis
        axis.set_label_text(field_label(self.field))
        limits = ax.set_xlim if which == "x" else ax.set_ylim
        if self.choices:
            long = which == "x" and sum(map(len, self.choices)) > 20
            axis.set_ticks(range(len(self.choices)), [c.replace("-", "-\n") if long else c for c in self.choices])
            limits(-0.5, len(self.choices) - 0.5)
            if long and len(self.choices) > 3:
                ax.tick_params(axis="x", labelrotation=30)
            return
        if self.log:
            (ax.set_xscale if which == "x" else ax.set_yscale)("log")
            ticks = log_ticks(float(self.distribution.low), float(self.distribution.high))
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.set_ticks([], minor=True)
        elif isinstance(self.distribution, IntDistribution):
            axis.set_major_locator(MaxNLocator(integer=True))
        limits(self.value(-0.03), self.value(1.03))
        if edges:
            span = ax.axvspan if which == "x" else ax.axhspan
            for low, high in ((-0.03, EDGE), (1 - EDGE, 1.03)):
                span(self.value(low), self.value(high), color="0.5", alpha=0.13, linewidth=0, zorder=0)


def log_ticks(low: float, high: float) -> list[float]:
    """Return at most `MOST_TICKS` ticks of a logarithmic axis: 1, 2, 5 times powers of ten, or some powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [tick for power in powers for step in steps if low <= (tick := step * 10.0**power) <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: -(-len(ticks) // MOST_TICKS)]


def field_axes(study: optuna.Study) -> dict[str, FieldAxis]:
    """Return the axis of each field that trials were asked for, in the order of the space: field -> axis."""
    found: dict[str, Any] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            if name not in SEED_NAMES and isinstance(
                distribution, FloatDistribution | IntDistribution | CategoricalDistribution
            ):
                found[name] = distribution  # the newest: a search that goes on may have another range
    return {name: FieldAxis(name, distribution) for name, distribution in found.items()}


def valued(study: optuna.Study, objective: int = 0) -> tuple[list[FrozenTrial], list[float]]:
    """Return the trials that have a final value, and their values of one objective."""
    trials = trials_with_value(study)
    return trials, [trial.values[objective] for trial in trials]
