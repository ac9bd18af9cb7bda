"""Figure of the bounds on log p(x) of each arm: ELBO, IWAE, AIS, and AIS plus its BDMC gap.

Everything is drawn relative to annealed importance sampling (AIS), in nats per image. Such differences may be compared
between all likelihoods. The bits per dimension by AIS, which may be ranked, stand beside the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, SymmetricalLogLocator

from vaestudy.plotting import GREY, INK, PALE, fix_layout, house_style, look, set_heading
from vaestudy.reporting.bound_tightness import LARGEST_GAP, Tightness, bound_label, bounds_of, tightness
from vaestudy.reporting.figures.labels import apart
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.rankings import AIS
from vaestudy.study.declaration import Study

LINEAR = 1.0
"""Nats. Between minus this and this the axis is linear, beyond it logarithmic."""
LABEL_POINTS, LABEL_GAP, RISE = 8.0, 49.0, 20.0
"""Font size of the labels above the first row, points from one to the next, and their height above the panel."""
LIMIT = "limit"
"""AIS plus its BDMC gap."""


def bound_tightness(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Draw ELBO, IWAE, and AIS plus its BDMC gap, relative to AIS: a panel for each D, a row for each arm.

    Return None if no finished run was scored by annealed importance sampling.
    """
    rows = tightness(runs, study)
    if not rows:
        return None
    arms = list(dict.fromkeys(row.arm for row in rows))
    Ds = sorted({row.latent_dim for row in rows})
    bounds = bounds_of(rows)
    with house_style():
        figure = Figure(figsize=(2.6 + 4.3 * len(Ds), 2.4 + 0.34 * len(arms)), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, len(Ds), sharey=True))
        for ax, D in zip(panels, Ds, strict=True):
            mine = {row.arm: row for row in rows if row.latent_dim == D}
            _axes(ax, rows, bounds)
            for place, arm in enumerate(arms):
                if arm in mine:
                    _row(ax, place, mine[arm], bounds)
            ax.set_title(f"D={D}", pad=RISE + 16)
            ax.set_xlabel("nats per image, relative to AIS")
        panels[0].set_yticks(range(len(arms)), arms)
        panels[0].set_ylim(len(arms) - 0.5, -0.5)
        mark = f"hollow: AIS is not tight (its gap is above {LARGEST_GAP:g} nat, or a bound as far above it)"
        hollow = any(row.is_loose for row in rows)
        set_heading(
            figure,
            figure_title(runs, study, "the same test images; bars: 95 % intervals over images" + f"; {mark}" * hollow),
            f"gap: of images that the model draws; linear from -{LINEAR:g} to {LINEAR:g} nat, logarithmic beyond; "
            "numbers at the right: bits/dim by AIS",
        )
        fix_layout(figure)
        for ax, D in zip(panels, Ds, strict=True):
            first = next(row for row in rows if row.latent_dim == D)
            _label_points(ax, arms.index(first.arm), points_of(first, bounds))
    return figure


def points_of(row: Tightness, bounds: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return each bound, AIS, and AIS plus its gap -> (nats relative to AIS, standard error over images)."""
    points = {bound: (-row.looseness[bound][0], row.looseness[bound][1]) for bound in bounds} | {AIS: (0.0, 0.0)}
    return points | ({LIMIT: row.gap} if row.gap[0] == row.gap[0] else {})


def _row(ax: Axes, place: int, row: Tightness, bounds: Sequence[str]) -> None:
    """Draw the bounds of one arm."""
    points = points_of(row, bounds)
    places = [mean for mean, _ in points.values()]
    ax.plot([min(places), max(places)], [place, place], color=PALE, linewidth=2.2, zorder=1)
    for index, (name, (mean, error)) in enumerate(points.items()):
        style = look(index)
        hollow = row.is_loose and name in (AIS, LIMIT)
        ax.errorbar(mean, place, xerr=1.96 * np.nan_to_num(error), color=style.colour, marker=style.marker,
                    markersize=6, elinewidth=1.2, zorder=3,
                    markerfacecolor="white" if hollow else style.colour)  # fmt: skip
    if row.bits:
        ax.annotate(f"{row.bits[AIS]:.3f}", (1.0, place), (4, 0), xycoords=("axes fraction", "data"), va="center",
                    textcoords="offset points", fontsize=LABEL_POINTS, color=GREY, annotation_clip=False)  # fmt: skip


def _axes(ax: Axes, rows: Sequence[Tightness], bounds: Sequence[str]) -> None:
    """Set the scale and the limits of a panel, the same for all panels: every mean is inside."""
    means = [mean for row in rows for mean, _ in points_of(row, bounds).values()]
    ax.set_xscale("symlog", linthresh=LINEAR)
    ax.set_xlim(2 * min(means) - 0.3, 2 * max(means) + 0.3)
    ax.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=LINEAR))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1.5)


def _label_points(ax: Axes, place: int, points: dict[str, tuple[float, float]]) -> None:
    """Write what the points of a row are above the panel, with a thin line from each text to its point.

    The panel must have its final size and limits.
    """
    width, height = (72 / ax.figure.dpi * length for length in (ax.bbox.width, ax.bbox.height))
    where = [ax.transAxes.inverted().transform(ax.transData.transform((mean, place))) for mean, _ in points.values()]
    share = LABEL_GAP / width
    spread = apart([float(x) for x, _ in where], share, share / 2, 1 - share / 2)
    for index, (name, (x, y), at) in enumerate(zip(points, where, spread, strict=True)):
        text = "AIS + gap" if name == LIMIT else bound_label(name)
        top = 1 + RISE / height
        ax.text(at, top, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=LABEL_POINTS,
                color=look(index).colour)  # fmt: skip
        ax.plot([x, at], [y, top], transform=ax.transAxes, clip_on=False, color=look(index).colour, linewidth=0.7,
                alpha=0.7, zorder=2)  # fmt: skip
    ax.tick_params(axis="y", labelcolor=INK)
