"""Figure of the bounds and their parts against one factor: the default figure of a study."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import legend_below
from vaestudy.reporting.grouping import runs_by_cell_name
from vaestudy.reporting.runs_frame import interval, level_rank
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Study, level_text

PANELS = (
    (("test/elbo", "test/iwae_100"), "Bounds on log p(x)", "nats per image, higher is better"),
    (("test/log_likelihood",), "Reconstruction, E[log p(x|z)]", "nats per image"),
    (("test/kl",), "KL to the prior", "nats per image"),
    (("test/active_units",), "Active units", "dimensions"),
)


def bound_and_parts(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Bounds, reconstruction, KL and active units against a factor: means with intervals, and every run.

    The factor is the first that is numeric, or the first of all if none is. Each combination of levels of the other
    factors has a colour. A panel is left out if no finished run has its metrics; return None if none is left.
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
    with sns.axes_style("whitegrid", {"grid.color": ".92"}), sns.plotting_context("notebook", font_scale=0.95):
        columns = min(2, len(panels))
        lines = -(-len(panels) // columns)
        figure = Figure(figsize=(5.5 * columns, 3.8 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).flatten()
        for ax in axes[len(panels) :]:
            ax.remove()
        for ax, (metrics, title, unit) in zip(axes[: len(panels)], panels, strict=True):
            # With several arms only the first bound is drawn, to keep the panel readable; the table has the other.
            present = [m for m in metrics if m in known][: 1 if others else None]
            arms = {label(m): finished.assign(value=finished[m]) for m in present} if not others else {
                arm: mine.assign(value=mine[present[0]])
                for arm, mine in runs_by_cell_name(finished, study, others).items()
            }  # fmt: skip
            _panel(ax, arms, factor, levels, numeric=bool(numbers))
            ax.set(title=f"{title} ({label(present[0])})" if others and len(metrics) > 1 else title)
            ax.set(xlabel=factor, ylabel=unit)
            if metrics == ("test/active_units",) and factor == "latent_dim":
                _all_active(ax, levels)
        if others:
            legend_below(figure)
        elif len(figure.axes[0].get_legend_handles_labels()[1]) > 1:
            figure.axes[0].legend(frameon=False, loc="lower right")
        quick = "   QUICK LOOK, NOT A RESULT" if _text(finished, "params.subset") not in ("", "null") else ""
        figure.suptitle(
            f"{study.question}\n{_text(finished, 'tags.data.name')}, {finished['seed'].nunique()} seeds: "
            f"dots are runs, bars 95 % intervals over seeds{quick}",
            fontsize=12,
        )
    return figure


def _panel(ax: Axes, arms: dict[str, pd.DataFrame], factor: str, levels: list[Any], numeric: bool) -> None:
    """Draw the means with intervals and the single runs of each arm against the levels of a factor.

    Args:
        ax: the panel.
        arms: label of an arm -> its runs, with the metric in the column "value".
        factor: the factor on the horizontal axis.
        levels: its levels, in order.
        numeric: whether the levels are numbers; only then are the means joined by lines.
    """
    log = numeric and levels[0] > 0 and levels[-1] / levels[0] > 10
    positions = np.array(levels, dtype=float) if numeric else np.arange(len(levels), dtype=float)
    colours = sns.color_palette(n_colors=len(arms))
    for index, (name, runs) in enumerate(arms.items()):
        shift = index - (len(arms) - 1) / 2
        x = positions * 1.025**shift if log else positions + shift * 0.02 * max(float(np.ptp(positions)), 1.0)
        groups = [runs.loc[[level == mine for mine in runs[factor]], "value"] for level in levels]
        means, halves = zip(*map(interval, groups), strict=True)
        style = "-" if numeric else "none"
        ax.errorbar(x, means, yerr=np.nan_to_num(halves), linestyle=style, marker="_", markersize=9, linewidth=1.4,
                    elinewidth=1.1, capsize=3, color=colours[index], label=name)  # fmt: skip
        for position, values in zip(x, groups, strict=True):
            ax.scatter([position] * len(values), values, s=20, alpha=0.5, linewidths=0, color=colours[index])
    values = pd.concat([runs["value"] for runs in arms.values()])
    low, high = values.min(), values.max()
    room = 0.3 * (high - low) or 1.0
    bottom, top = ax.get_ylim()
    # The limits follow the runs: the wide interval of few seeds would flatten the curves.
    ax.set_ylim(max(bottom, low - room), min(top, high + room))
    if log:
        ax.set_xscale("log")
    ax.set_xticks(positions, [level_text(level) for level in levels])
    ax.set_xticks([], minor=True)
    if not log:
        ax.set_xlim(
            positions[0] - 0.15 * max(np.ptp(positions), 1.0), positions[-1] + 0.15 * max(np.ptp(positions), 1.0)
        )


def _all_active(ax: Axes, levels: list[int]) -> None:
    """Draw the line on which all latent dimensions are active."""
    ax.plot(levels, levels, color="0.6", linestyle=":", linewidth=1.2)
    ax.text(levels[-1], levels[-1], "all active  ", color="0.4", fontsize=9, ha="right", va="top")
    ax.set_ylim(top=max(ax.get_ylim()[1], 1.05 * levels[-1]))


def _text(frame: pd.DataFrame, column: str) -> str:
    """Return the distinct values of a column as text; the text is empty if there is no such column."""
    found = [str(v) for v in frame[column].unique()] if column in frame else []
    return ", ".join(sorted(np.unique(found)))
