"""Figure of the bounds and their parts against one factor: the default figure of a study."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import GREY, house_style, legend_below, look, set_heading
from vaestudy.reporting.figures.axis_texts import field_label, levels_label
from vaestudy.reporting.figures.intervals import CUT, draw_means, value_limits
from vaestudy.reporting.figures.labels import MOST_ENDS, End, can_label_ends, label_ends
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.grouping import runs_by_cell
from vaestudy.reporting.runs_frame import interval, level_rank
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Study, level_text

PANELS = (
    (("test/elbo", "test/iwae_100"), "Bounds on log p(x)", "nats per image, higher is better"),
    (("test/log_likelihood",), "Reconstruction, E[log p(x|z)]", "nats per image, higher is better"),
    (("test/kl",), "KL to the prior", "nats per image"),
    (("test/active_units",), "Active units", "latent dimensions"),
)


def bound_and_parts(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Bounds, reconstruction, KL and active units against a factor: means with intervals, and every run.

    The factor is the first that is numeric, or the first of all if none is. Each combination of levels of the other
    factors has a colour, a marker and a line style. A panel is left out if no finished run has its metrics; return None
    if none is left.
    """
    finished = runs[runs["status"] == "FINISHED"]
    known = {metric for metrics, *_ in PANELS for metric in metrics if metric in finished}
    known = {metric for metric in known if finished[metric].notna().any()}
    panels = [panel for panel in PANELS if known & set(panel[0])]
    if not panels:
        return None
    numbers = [name for name in study.factors if pd.api.types.is_numeric_dtype(finished[name])]
    factor = (numbers or list(study.factors))[0]
    others = [name for name in study.factors if name != factor]
    levels = sorted(finished[factor].unique(), key=lambda level: level_rank(level, factor, study))
    groups = runs_by_cell(runs, study, others) if others else {}
    cells = {levels_label(dict(zip(others, key, strict=True))): cell for key, cell in groups.items()}
    ends: dict[Axes, list[End]] = {}
    with house_style():
        columns = min(2, len(panels))
        lines = -(-len(panels) // columns)
        figure = Figure(
            figsize=(5.8 * columns, 3.8 * lines + 0.07 * max(0, len(cells) - MOST_ENDS)), layout="constrained"
        )
        axes = figure.subplots(lines, columns, squeeze=False).flatten()
        for ax in axes[len(panels) :]:
            ax.remove()
        cut = False
        for ax, (metrics, title, unit) in zip(axes[: len(panels)], panels, strict=True):
            # With several arms only the first bound is drawn, to keep the panel readable; the table has the other.
            present = [m for m in metrics if m in known][: 1 if others else None]
            arms = {label(m): finished.assign(value=finished[m]) for m in present} if not others else {
                arm: mine.assign(value=mine[present[0]]) for arm, mine in cells.items()
            }  # fmt: skip
            ends[ax], crossing = _panel(ax, arms, factor, levels, numeric=bool(numbers))
            cut |= crossing
            ax.set(title=f"{title} ({label(present[0])})" if others and len(metrics) > 1 else title)
            ax.set(xlabel=field_label(factor), ylabel=unit)
            if metrics == ("test/active_units",) and factor == "latent_dim":
                _all_active(ax, levels)
        bars = "bars 95 % intervals over seeds" if len(cells) <= MOST_ENDS else "lines their means"
        description = f"dots are runs, {bars}" + f"; {CUT}" * cut
        set_heading(figure, figure_title(runs, study, description))
        texts = [end.text for end in next(iter(ends.values()))]
        direct = bool(numbers) and can_label_ends(texts)
        if direct:
            label_ends(figure, {ax: mine if len(mine) > 1 else [] for ax, mine in ends.items()})
        elif len(texts) > 1 or others:
            legend_below(figure)
    return figure


def _panel(
    ax: Axes, arms: dict[str, pd.DataFrame], factor: str, levels: list[Any], numeric: bool
) -> tuple[list[End], bool]:
    """Draw the means with intervals and the single runs of each arm against the levels of a factor.

    Args:
        ax: the panel.
        arms: label of an arm -> its runs, with the metric in the column "value".
        factor: the factor on the horizontal axis.
        levels: its levels, in order.
        numeric: whether the levels are numbers; only then are the means joined by lines.

    Returns:
        (the end of each arm's line, whether an interval was cut at the edge).
    """
    log = numeric and levels[0] > 0 and levels[-1] / levels[0] > 10
    positions = np.array(levels, dtype=float) if numeric else np.arange(len(levels), dtype=float)
    # The limits follow the runs: the wide interval of few seeds would flatten the curves.
    ax.set_ylim(value_limits(pd.concat([runs["value"] for runs in arms.values()]), log=False, room=0.12))
    step = min(0.015, 0.12 / len(arms))
    ends, cut = [], False
    for index, (name, runs) in enumerate(arms.items()):
        style, shift = look(index), index - (len(arms) - 1) / 2
        x = positions * (1 + 1.25 * step) ** shift if log else positions + shift * step * max(np.ptp(positions), 1.0)
        groups = [runs.loc[[level == mine for mine in runs[factor]], "value"] for level in levels]
        means, halves = zip(*map(interval, groups), strict=True)
        known = ~np.isnan(means)
        shown = np.array(halves) if len(arms) <= MOST_ENDS else np.full(len(means), math.nan)  # many would hide lines
        cut |= draw_means(ax, x[known], np.array(means)[known], shown[known], style, name, joined=numeric)
        for position, values in zip(x, groups, strict=True):
            ax.scatter([position] * len(values), values, s=16, alpha=0.45, linewidths=0, color=style.colour)
        if known.any():
            last = int(np.flatnonzero(known)[-1])
            ends.append(End(float(x[last]), float(means[last]), name, style.colour))
    if log:
        ax.set_xscale("log")
    texts = [level_text(level) for level in levels]
    long = not numeric and sum(map(len, texts)) > 40
    ax.set_xticks(positions, [textwrap.fill(text, 14) for text in texts] if long else texts)
    ax.set_xticks([], minor=True)
    if long:
        ax.tick_params(axis="x", labelrotation=30)
    if not log:
        room = 0.08 * max(np.ptp(positions), 1.0) if numeric else 0.5
        ax.set_xlim(positions[0] - room, positions[-1] + room)
    return ends, cut


def _all_active(ax: Axes, levels: list[int]) -> None:
    """Draw the line on which all latent dimensions are active."""
    ax.plot(levels, levels, color=GREY, linestyle=":", linewidth=1.2, label="_all active")
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.05 * levels[-1]))
    ax.annotate("all active", (levels[-1], levels[-1]), (-6, 0), textcoords="offset points", color=GREY, fontsize=9,
                ha="right", va="top")  # fmt: skip
