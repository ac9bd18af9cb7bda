"""The figure of a claim: the estimate of each part with its interval, against what its criterion asks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from vaestudy.claims.claim import Verdict
from vaestudy.claims.criterion import Below, Criterion, Exceeds, Within, factor_of
from vaestudy.claims.part import PartVerdict
from vaestudy.claims.report.texts import short_estimate
from vaestudy.plotting import INK, balanced, house_style, look

WIDTH, ROW, PANEL, AROUND = 8.6, 0.46, 0.62, 1.0  # inches
FEW_DECADES = 2.5
"""A logarithmic axis with fewer has plain numbers."""
MARGIN = 0.08  # of the range of a panel, at each side
LABEL, TITLE = 36, 88  # characters of a line
HOLDS, FAILS = look(2).colour, look(1).colour
MARKS = {"holds": ("o", HOLDS, HOLDS), "fails": ("X", FAILS, FAILS), "undecided": ("D", "white", INK)}
"""Answer -> (marker, its colour, the colour of its edge and of the interval). Form and colour say the same."""
UNITS = {"times": "times (ratio)", "points": "percentage points"}
"""Unit -> its name on an axis, where it is another one."""
Panel = tuple[str, str]
"""The unit and the scale of a panel."""


def claim_figure(verdict: Verdict, quick: bool) -> Figure:
    """Return the figure of a claim, with a panel for each unit and scale, and a row for each part."""
    panels: dict[Panel, list[PartVerdict]] = {}
    for part in verdict.parts:
        panels.setdefault(_panel(part), []).append(part)
    sizes = [len(parts) for parts in panels.values()]
    height = AROUND + ROW * sum(sizes) + PANEL * len(sizes)
    with house_style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[0.3 + size for size in sizes])[:, 0]
        for ax, ((unit, scale), parts) in zip(axes, panels.items(), strict=True):
            _draw(ax, parts, unit, scale == "log")
        marker_handles = [
            Line2D([], [], marker=m, markerfacecolor=face, color=edge, label=name)
            for name, (m, face, edge) in MARKS.items()
        ]
        asked = Patch(facecolor=HOLDS, alpha=0.18, label="where it holds")
        figure.legend(handles=[*marker_handles, asked], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        note = "   QUICK LOOK, NOT A RESULT" if quick else ""
        title = balanced(f"{verdict.claim.id}: {verdict.claim.question}{note}", TITLE)
        figure.suptitle(title, fontsize=10)
    return figure


def alternative_text(verdict: Verdict) -> str:
    """Return what the figure shows, for readers who do not see it."""
    parts = [
        f"{part.part.name}: {short_estimate(part)}, {part.part.criterion.words} is asked, {part.decision.answer}"
        for part in verdict.parts
    ]
    return f"Estimates of {verdict.claim.id} with 95 % intervals. {'; '.join(parts)}."


def _panel(part: PartVerdict) -> Panel:
    """Return the panel of a part."""
    log = part.estimate is not None and part.estimate.scale == "log" and part.estimate.value > 0
    return part.part.criterion.unit, "log" if log else "linear"


def limits(criterion: Criterion) -> tuple[float, float]:
    """Return the ends of the range in which a criterion holds; an end may be infinite.

    Raises:
        TypeError: the criterion is of an unknown kind.
    """
    match criterion:
        case Exceeds():
            return criterion.threshold, math.inf
        case Below():
            return -math.inf, criterion.threshold
        case Within():
            return criterion.low, criterion.high
    raise TypeError(f"unknown criterion {criterion}")


def _draw(ax: Axes, parts: Sequence[PartVerdict], unit: str, log: bool) -> None:
    """Draw the parts of one panel, the first on top."""
    factor = factor_of(unit)
    if log:
        ax.set_xscale("log")
    low, high = _range(parts, factor, log)
    ax.set_xlim(low, high)
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    for y, part in enumerate(parts):
        ends = [factor * end for end in limits(part.part.criterion)]
        start, end = max(ends[0], low), min(ends[1], high)
        ax.fill_betweenx([y - 0.38, y + 0.38], start, end, color=HOLDS, alpha=0.18, linewidth=0)
        for threshold in (each for each in ends if math.isfinite(each)):
            ax.plot([threshold, threshold], [y - 0.38, y + 0.38], color=HOLDS, linewidth=1)
        _mark(ax, part, y, factor)
    ax.set_yticks(range(len(parts)), [_label(part) for part in parts], fontsize=8)
    ax.tick_params(axis="x", which="both", labelsize=8)
    if log and math.log10(high / low) < FEW_DECADES:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(UNITS.get(unit, unit), fontsize=8)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _mark(ax: Axes, part: PartVerdict, y: float, factor: float) -> None:
    """Draw an estimate with its interval, and write it at the right."""
    marker, face, edge = MARKS[part.decision.answer]
    found = part.estimate
    if found is not None and math.isfinite(found.value):
        if math.isfinite(found.low) and math.isfinite(found.high):
            ax.plot([factor * found.low, factor * found.high], [y, y], color=edge, linewidth=1.6)
        ax.plot(factor * found.value, y, marker=marker, markersize=7, markerfacecolor=face, markeredgecolor=edge)
    shown = "not measured" if found is None else short_estimate(part)
    value, _, about = shown.partition(" (95")
    text = f"{value}\n(95{about}" if about else textwrap.fill(value, 30)
    ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), fontsize=7.5, va="center")


def _range(parts: Sequence[PartVerdict], factor: float, log: bool) -> tuple[float, float]:
    """Return the ends of the axis: all estimates, intervals and thresholds are on it, and a margin."""
    found = [v for p in parts if p.estimate for v in (p.estimate.value, p.estimate.low, p.estimate.high)]
    found += [end for part in parts for end in limits(part.part.criterion)]
    shown = [factor * v for v in found if math.isfinite(v) and (v > 0 or not log)]
    positions = [math.log10(v) for v in shown] if log else shown
    low, high = min(positions), max(positions)
    margin = MARGIN * (high - low) or 1.0
    return (10 ** (low - margin), 10 ** (high + margin)) if log else (low - margin, high + margin)


def _label(part: PartVerdict) -> str:
    """Return the label of a row."""
    role = "" if part.part.role == "part" else f" ({part.part.role})"
    return textwrap.fill(part.part.name + role, LABEL)
