"""The heading, the axis of levels and the logarithmic cost axis that the figures of a study share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vaestudy.reporting.figures.axis_texts import field_label
from vaestudy.study.declaration import Study, level_text

FEW_DECADES = 2.5
"""Below this, an axis has three labels in a decade."""


def figure_title(runs: pd.DataFrame, study: Study, description: str) -> str:
    """Return the heading of a figure: the question, the data set, the number of seeds and a description.

    The heading of a quick sweep says that it is not a result.
    """
    finished = runs[runs["status"] == "FINISHED"]
    quick = "   QUICK LOOK, NOT A RESULT" if (finished["params.subset"] != "null").any() else ""
    name, seeds = finished["tags.data.name"].iloc[0], finished["seed"].nunique()
    return f"{study.question}\n{name}, {seeds} seeds; {description}{quick}"


def log_cost_axis(ax: Axes, left: float) -> None:
    """Make the x-axis logarithmic, beginning at `left`, with labels such as 500 and 20k.

    An axis of less than FEW_DECADES decades has the labels 1, 2 and 5 of each decade, a longer one only 1.
    """
    ax.set_xscale("log")
    ax.set_xlim(left=left)
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < FEW_DECADES else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost / 1000:g}k" if cost >= 10_000 else f"{cost:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def level_ticks(ax: Axes, levels: Sequence[float], field: str) -> None:
    """Make the x-axis of a factor with positive levels logarithmic, with a tick at each level and a margin."""
    ax.set_xscale("log")
    ax.set_xlabel(field_label(field))
    ax.set_xticks(levels, [level_text(level) for level in levels])
    ax.set_xticks([], minor=True)
    margin = 1.15 if len(levels) > 1 else 2.0
    ax.set_xlim(min(levels) / margin, max(levels) * margin)
