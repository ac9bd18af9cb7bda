"""Figures of tuned arms, one line for each: the best so far, the expected best, and the best over each searched field.

With many arms there is a panel for each level of the first factor. Values in nats of different families of likelihoods
never share a panel.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from optuna.trial import FrozenTrial

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.plotting import WIDEST, balanced, house_style, look
from vaestudy.reporting.figures.axis_texts import levels_label
from vaestudy.reporting.figures.labels import End, can_label_ends, label_ends
from vaestudy.reporting.search.drawing import (
    FieldAxis,
    field_axes,
    heading,
    value_label,
    visible_range,
    whole_ticks,
    with_room,
)
from vaestudy.reporting.search.expected_best import curve, independence_note
from vaestudy.reporting.search.outcomes import best_trial, sign_of, trials_with_value
from vaestudy.reporting.search.searched import Searched

MOST_LINES = 8
"""The largest number of arms in one panel."""
MOST_COLUMNS = 2
BINS = 8
"""The number of parts of a range, on its own scale, in each of which the best trial is drawn."""
FEW_VALUES = 12
"""A range of whole numbers with at most so many of them is not divided."""
MOST_BANDS = 3
"""With more lines in a panel, standard errors are bars: the bands would cover each other."""
OF_FAMILY = {
    "bernoulli": "Bernoulli likelihood",
    "density": "likelihoods that are densities",
    "mass": "likelihoods that are probabilities of grey levels",
}
"""Family of likelihoods -> the title of its panel. Nats of different families cannot be compared."""
LINES = tuple((style.colour, style.marker, style.dash) for style in map(look, range(MOST_LINES)))
"""Colour, marker and style of each line of a panel."""


@dataclass(frozen=True)
class Panel:
    """Some arms that are drawn together."""

    title: str
    arms: dict[str, str]
    """Name of an arm -> its label in the panel."""
    family: str


def family_of(arm: str, searched: Searched) -> str:
    """Return the family of an arm's likelihood."""
    levels = levels_of(arm)
    return str(LIKELIHOODS[levels.get("likelihood", str(searched.base.get("likelihood", "bernoulli")))].family)


def levels_of(arm: str) -> dict[str, str]:
    """Return the levels in the name of an arm: factor -> the level as text."""
    return dict(part.split("=", 1) for part in arm.split(", ")) if arm else {}


def short_names(arms: Iterable[str]) -> dict[str, str]:
    """Return the name of each arm without the levels that all arms share: name -> short name."""
    levels = {arm: levels_of(arm) for arm in arms}
    counts = Counter(level for own in levels.values() for level in own.items())
    varying = {
        arm: ", ".join(f"{factor}={level}" for factor, level in own.items() if counts[factor, level] < len(levels))
        for arm, own in levels.items()
    }
    return {arm: short or arm for arm, short in varying.items()}


def panels_of(searched: Searched) -> list[Panel]:
    """Return the panels of a figure with a line for each arm."""
    arms = list(searched.studies)
    short = short_names(arms)
    families = {family_of(arm, searched) for arm in arms}
    if len(arms) <= MOST_LINES and len(families) == 1:
        return [Panel("", {arm: _symbols(name) for arm, name in short.items()}, *families)]
    found: list[Panel] = []
    groups: dict[tuple[str, str], list[str]] = {}
    for arm in arms:
        first = short[arm].partition(", ")[0]
        groups.setdefault((family_of(arm, searched), first), []).append(arm)
    if max(map(len, groups.values())) == 1:  # one factor
        groups = {}
        for arm in arms:
            groups.setdefault((family := family_of(arm, searched), OF_FAMILY.get(family, family)), []).append(arm)
    for (family, title), members in groups.items():
        for start in range(0, len(members), MOST_LINES):
            chosen = members[start : start + MOST_LINES]
            labels = {arm: _symbols(short[arm].removeprefix(f"{title}, ")) for arm in chosen}
            if title in OF_FAMILY.values():
                labels = {arm: label.removeprefix("likelihood=") for arm, label in labels.items()}
            found.append(Panel(_symbols(title), labels, family))
    return found


def _symbols(name: str) -> str:
    """Return the name of an arm with the symbols of its factors, such as `D=2`; a text without levels as it is."""
    return levels_label(levels_of(name)) if "=" in name else name


def _grid(panels: list[Panel], rows: int) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with one panel for each of `panels` in each of `rows` blocks: (figure, block -> panels)."""
    direct = _is_direct(panels)
    labels = 1.5 * direct  # inches right of a panel
    if len(panels) == 1 and rows > 1:  # side by side
        columns = min(MOST_COLUMNS, math.ceil(math.sqrt(rows)))
        figure = Figure(figsize=(min(WIDEST, (3.6 + labels) * columns), 3.0 * -(-rows // columns) + 1.3),
                        layout="constrained")  # fmt: skip
        every = list(figure.subplots(-(-rows // columns), columns, squeeze=False).flatten())
        for ax in every[rows:]:
            ax.remove()
        return figure, [[ax] for ax in every[:rows]]
    columns = min(MOST_COLUMNS, math.ceil(math.sqrt(len(panels))))
    lines = -(-len(panels) // columns)
    most = max(len(panel.arms) for panel in panels)
    below = 0.0 if direct or _have_same_lines(panels) else 0.2 * most
    width = min(WIDEST, (3.8 + labels) * columns)
    size = (width, (2.9 + below) * lines * rows + 1.3) if len(panels) > 1 else (8.0, 4.2 * rows + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines * rows, columns, squeeze=False)
    blocks = []
    for row in range(rows):
        flat = list(grid[row * lines : (row + 1) * lines].flatten())
        for ax in flat[len(panels) :]:
            ax.remove()
        blocks.append(flat[: len(panels)])
    return figure, blocks


def _is_direct(panels: list[Panel]) -> bool:
    """Return whether the lines of all panels are labelled at their ends."""
    return all(can_label_ends(list(panel.arms.values())) for panel in panels)


def _have_same_lines(panels: list[Panel]) -> bool:
    """Return whether all panels have the same lines, so that one legend serves all."""
    return len({tuple(panel.arms.values()) for panel in panels}) == 1


def _finish(ax: Axes, panel: Panel, panels: list[Panel], searched: Searched, limits: tuple[float, float]) -> None:
    """Set the title, the limits and the label of a panel; and where the lines have no labels, the legend."""
    ax.set_ylim(limits)
    if panel.title:
        ax.set_title(balanced(panel.title, 36), fontsize=10)
    if ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        ax.set_ylabel(value_label(searched.search.objectives[0]).replace(", ", ",\n"))
    if _is_direct(panels):
        return
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=5, label=label)
        for label, (colour, marker, style) in zip(panel.arms.values(), LINES, strict=False)
    ]
    longest = max(map(len, panel.arms.values()))
    figure = ax.get_figure(root=True)
    assert figure is not None
    if not _have_same_lines(panels):
        ax.legend(handles=handles, fontsize=8.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2),
                  ncols=1 if longest > 26 else 2)  # fmt: skip
    elif not figure.legends:
        columns = max(1, int(figure.get_figwidth() / (0.6 + 0.085 * longest)))
        figure.legend(handles=handles, loc="outside lower center", frameon=False, ncols=columns)


def _label_lines(figure: Figure, drawn: dict[Axes, dict[str, tuple[float, float]]], panels: list[Panel]) -> None:
    """Write the label of each arm at the end of its line, unless the figure has a legend.

    Args:
        figure: the figure, with its heading.
        drawn: panel -> arm -> the last point of its line.
        panels: the panels, in the order of each block.
    """
    if not _is_direct(panels):
        return
    ends: dict[Axes, list[End]] = {}
    for (ax, points), panel in zip(drawn.items(), itertools.cycle(panels), strict=False):
        looks = {arm: colour for arm, (colour, _, _) in zip(panel.arms, LINES, strict=False)}
        ends[ax] = [End(*point, panel.arms[arm], looks[arm]) for arm, point in points.items()]
    label_ends(figure, ends)


def _limits(panel: Panel, drawn: dict[str, list[float]], sign: float) -> tuple[float, float]:
    """Return the limits of a panel's vertical axis. The best value of each arm is inside.

    Args:
        panel: the panel.
        drawn: arm -> the values that are drawn for it.
        sign: 1 if larger values are better, else -1.
    """
    mine = [[sign * value for value in drawn.get(arm, ()) if math.isfinite(value)] for arm in panel.arms]
    bests = [max(values) for values in mine if values]
    if not bests:
        return 0.0, 1.0
    low, _ = visible_range([value for values in mine for value in values], 1.0)
    return with_room(min(low, *bests), max(bests), sign)


def _own_scales(panels: list[Panel]) -> str:
    """Return what the heading says about the scales of several panels."""
    return "; each panel has a scale of its own" if len(panels) > 1 else ""


def _with_value(searched: Searched) -> dict[str, optuna.Study]:
    """Return the searches in which some trial has a value, if the arms have searches of their own and one objective."""
    if not searched.search.per_arm or len(searched.search.objectives) > 1:
        return {}
    return {arm: study for arm, study in searched.studies.items() if trials_with_value(study)}


def best_so_far(searched: Searched) -> Figure | None:
    """Draw the best objective that each arm's search had found by each trial, one line an arm."""
    if not (studies := _with_value(searched)):
        return None
    curves = {arm: _best_so_far(study) for arm, study in studies.items()}
    panels = panels_of(searched)
    drawn, sign = {arm: values for arm, (_, values) in curves.items()}, sign_of(next(iter(studies.values())))
    with house_style():
        figure, (axes,) = _grid(panels, 1)
        ends: dict[Axes, dict[str, tuple[float, float]]] = {ax: {} for ax in axes}
        for ax, panel in zip(axes, panels, strict=True):
            for arm, (colour, marker, style) in zip(panel.arms, LINES, strict=False):
                if arm in curves:
                    ends[ax][arm] = float(curves[arm][0][-1]), curves[arm][1][-1]
                    ax.step(*curves[arm], where="post", color=colour, linestyle=style, marker=marker, markersize=4.5,
                            markevery=max(1, len(curves[arm][0]) // 12), linewidth=1.5)  # fmt: skip
            ax.set_xlabel("trials of the arm")
            whole_ticks(ax)
            _finish(ax, panel, panels, searched, _limits(panel, drawn, sign))
        heading(figure, searched, f"best value so far in the search of each arm{_own_scales(panels)}")
        _label_lines(figure, ends, panels)
    return figure


def _best_so_far(study: optuna.Study) -> tuple[list[int], list[float]]:
    """Return (number of trials, best value so far), from the first trial with a value to the last of all."""
    complete = trials_with_value(study)
    best = list(itertools.accumulate((t.values[0] for t in complete), max if sign_of(study) > 0 else min))
    numbers = [trial.number + 1 for trial in complete]
    if (last := len(study.get_trials(deepcopy=False))) > numbers[-1]:
        numbers, best = [*numbers, last], [*best, best[-1]]
    return numbers, best


def expected_best_by_trials(searched: Searched) -> Figure | None:
    """Draw the expected best objective after n trials, one line an arm, with the standard error."""
    if not (studies := _with_value(searched)):
        return None
    curves = {arm: expected_curve(study) for arm, study in studies.items()}
    panels = panels_of(searched)
    drawn, sign = {arm: list(means) for arm, (means, _) in curves.items()}, sign_of(next(iter(studies.values())))
    with house_style():
        figure, (axes,) = _grid(panels, 1)
        ends: dict[Axes, dict[str, tuple[float, float]]] = {ax: {} for ax in axes}
        for ax, panel in zip(axes, panels, strict=True):
            for index, (arm, (colour, marker, style)) in enumerate(zip(panel.arms, LINES, strict=False)):
                if arm not in curves:
                    continue
                means, errors = curves[arm]
                n = np.arange(1, len(means) + 1)
                every = max(1, len(n) // 12)
                ends[ax][arm] = float(n[-1]), float(means[-1])
                ax.plot(n, means, color=colour, linestyle=style, marker=marker, markersize=4.5, linewidth=1.5,
                        markevery=every)  # fmt: skip
                if len(panel.arms) <= MOST_BANDS:
                    ax.fill_between(n, means - errors, means + errors, color=colour, alpha=0.15, linewidth=0)
                else:
                    shift = 0.05 * every * (index - (len(panel.arms) - 1) / 2)
                    ax.errorbar(n[::every] + shift, means[::every], yerr=np.nan_to_num(errors[::every]), color=colour,
                                linestyle="none", elinewidth=0.9, capsize=0, alpha=0.6, zorder=1.5)  # fmt: skip
            ax.set_xlabel("n, trials")
            whole_ticks(ax)
            _finish(ax, panel, panels, searched, _limits(panel, drawn, sign))
        exact = "" if searched.search.sampler == "RandomSampler" else f". {independence_note(searched.search.sampler)}"
        heading(
            figure, searched, "expected best value after n trials (Tang et al. 2020, unbiased); bands or bars: ± 1 "
            f"standard error over repeated searches{_own_scales(panels)}{exact}",
        )  # fmt: skip
        _label_lines(figure, ends, panels)
    return figure


def expected_curve(study: optuna.Study) -> tuple[Any, Any]:
    """Return (expected best, its standard error) of a search for n = 1 to its number of finished trials."""
    sign = sign_of(study)
    total = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    means, errors = curve([sign * trial.values[0] for trial in trials_with_value(study)], total)
    return sign * means, errors


def isolation(searched: Searched) -> Figure | None:
    """Draw the best objective at each value of each searched field, one line an arm; grey: the edges of the range."""
    studies = _with_value(searched)
    axes = {field: axis for study in studies.values() for field, axis in field_axes(study).items()}
    if not axes:
        return None
    points = {(arm, field): best_along(study, axis) for arm, study in studies.items() for field, axis in axes.items()}
    panels = panels_of(searched)
    sign, drawn = sign_of(next(iter(studies.values()))), dict[str, list[float]]()
    for (arm, _), found in points.items():
        drawn.setdefault(arm, []).extend(value for _, value in found)
    with house_style():
        figure, blocks = _grid(panels, len(axes))
        ends: dict[Axes, dict[str, tuple[float, float]]] = {ax: {} for block in blocks for ax in block}
        cut = False
        for (field, axis), block in zip(axes.items(), blocks, strict=True):
            for ax, panel in zip(block, panels, strict=True):
                axis.scale(ax)
                low, high = limits = _limits(panel, drawn, sign)
                for arm, (colour, marker, style) in zip(panel.arms, LINES, strict=False):
                    found = points.get((arm, field), [])
                    if not found:
                        continue
                    x, y = zip(*found, strict=True)
                    cut |= min(y) < low or max(y) > high
                    ends[ax][arm] = x[-1], float(np.clip(y[-1], low, high))
                    ax.plot(x, np.clip(y, low, high), color=colour, marker=marker, markersize=5, linestyle=style,
                            linewidth=1.4)  # fmt: skip
                    best = best_trial(studies[arm])
                    if best is not None and field in best.params:
                        ax.plot(axis.position(best.params[field]), best.values[0], color=colour, marker="o",
                                markersize=12, markerfacecolor="none", markeredgewidth=1.4)  # fmt: skip
                _finish(ax, panel, panels, searched, limits)
        heading(
            figure, searched, "best trial at each value, or in each of "
            f"{BINS} parts of a range; ring: the arm's best; grey: the edges of the range{_own_scales(panels)}"
            + "; marks at an edge of a panel lie beyond it" * cut,
        )  # fmt: skip
        _label_lines(figure, ends, panels)
    return figure


def best_along(study: optuna.Study, axis: FieldAxis) -> list[tuple[float, float]]:
    """Return the best trial at each value of a field, or in each part of its range: (position, value) in order."""
    groups: dict[float, list[FrozenTrial]] = {}
    for trial in trials_with_value(study):
        if axis.field in trial.params:
            groups.setdefault(_part(axis, trial.params[axis.field]), []).append(trial)
    sign = sign_of(study)
    best = [max(group, key=lambda trial: sign * trial.values[0]) for _, group in sorted(groups.items())]
    return [(axis.position(trial.params[axis.field]), trial.values[0]) for trial in best]


def _part(axis: FieldAxis, value: Any) -> float:
    """Return the group of a value: the value itself if the field has few values, else the number of its bin."""
    if axis.choices:
        return axis.position(value)
    whole = isinstance(value, int) and axis.distribution.high - axis.distribution.low < FEW_VALUES
    return float(value) if whole else float(min(BINS - 1, int(BINS * axis.unit(value))))
