"""The heading, the axis of levels and the logarithmic cost axis that the figures of a study share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vaestudy.reporting.figures.axis_texts import field_label
from vaestudy.reporting.runs_frame import runs_by_levels
from vaestudy.study.declaration import Study, level_text

MOST_TICKS = 7
"""The largest number of labels of a logarithmic axis of a wide panel."""


def figure_title(runs: pd.DataFrame, study: Study, description: str) -> str:
    """Return the heading of a figure: the question, the data set, the number of seeds and a description.

    The heading of a quick sweep says that it is not a result.

    Args:
        runs: the runs that the figure shows.
        study: their study.
        description: what the marks and lines are.
    """
    finished = runs[runs["status"] == "FINISHED"]
    quick = "   QUICK LOOK, NOT A RESULT" if (finished["params.subset"] != "null").any() else ""
    return f"{study.question}\n{_data_text(finished)}, {_seeds_text(runs, study)}; {description}{quick}"


def _data_text(finished: pd.DataFrame) -> str:
    """Return the data set and the flags that the name of the sweep contains, such as «mnist, architecture=conv»."""
    name, sweeps = str(finished["tags.data.name"].iloc[0]), set(finished.get("tags.sweep", ()))
    if len(sweeps) != 1:
        return name
    sweep = str(sweeps.pop()).partition("~")[0].removeprefix("quick-")  # without the number of its generation
    return f"{name}, {sweep.removeprefix(f'{name}-')}" if sweep.startswith(f"{name}-") else name


def _seeds_text(runs: pd.DataFrame, study: Study) -> str:
    """Return how many seeds the cells have, such as «3 to 10 seeds». The seeds of failed runs are counted, too."""
    ended = runs[runs["status"].isin(("FINISHED", "FAILED"))]
    counts = [cell["seed"].nunique() for cell in runs_by_levels(ended, list(study.factors)).values()]
    least, most = min(counts), max(counts)
    return f"{least} to {most} seeds" if least < most else f"{most} seed{'s' * (most != 1)}"


def log_cost_axis(ax: Axes, left: float, most: int = MOST_TICKS) -> None:
    """Make the x-axis logarithmic, beginning at `left`, with labels such as 500 and 20k.

    It has the labels 1, 2 and 5 of each decade, or fewer, so that they are at most `most`. If it goes beyond a million,
    the labels are powers of ten.
    """
    ax.set_xscale("log")
    ax.set_xlim(left=left)
    low, high = ax.get_xlim()
    decades = math.log10(high / low)
    subs = next((subs for subs in ((1, 2, 5), (1, 3)) if decades * len(subs) <= most), (1,))
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(partial(_cost_text, powers=high >= 1e6)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _cost_text(cost: float, _: int, powers: bool) -> str:
    """Return the label of a cost on an axis."""
    if powers:
        exponent = math.floor(math.log10(cost) + 1e-9)
        factor = round(cost / 10**exponent)
        return f"$10^{{{exponent}}}$" if factor == 1 else f"${factor}\\cdot10^{{{exponent}}}$"
    return f"{cost / 1000:g}k" if cost >= 10_000 else f"{cost:g}"


def level_ticks(ax: Axes, levels: Sequence[float], field: str) -> None:
    """Make the x-axis of a factor with positive levels logarithmic, with a tick at each level and a margin."""
    ax.set_xscale("log")
    ax.set_xlabel(field_label(field))
    ax.set_xticks(levels, [level_text(level) for level in levels])
    ax.set_xticks([], minor=True)
    margin = 1.15 if len(levels) > 1 else 2.0
    ax.set_xlim(min(levels) / margin, max(levels) * margin)
