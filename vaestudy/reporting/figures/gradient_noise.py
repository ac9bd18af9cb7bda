"""Figures of the gradient's noise: the estimators against L, and the law by which the noise falls with L.

The runs must have measured the gradient's noise (configuration field `gradient_images`).
vaestudy/training/gradient_noise.py defines the metrics.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import WIDEST, house_style, legend_below, look, set_heading, text_colour
from vaestudy.reporting.figures.axis_texts import unit_label
from vaestudy.reporting.figures.intervals import CUT, draw_means, value_limits
from vaestudy.reporting.figures.labels import End, can_label_ends, label_ends
from vaestudy.reporting.figures.style import figure_title, level_ticks
from vaestudy.reporting.grouping import at_baseline, runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import BOUNDS
from vaestudy.reporting.tables.gradient_noise import STAGE_WORDS
from vaestudy.study.declaration import Level, Study
from vaestudy.training.gradient_noise import STAGES

PANELS = {
    "test/elbo": ("The bound reached: test ELBO", False),
    "test/iwae_100": ("The bound reached: test IWAE 100", False),
    "test/active_units": ("Active units", False),
    "gradient/end/encoder/snr_draws": ("Encoder: signal over the noise of the draws", True),
    "gradient/end/all/var_eps": ("Noise of the draws, all parameters: Var_eps", True),
    "gradient/end/value/var_eps": ("Noise of the objective's value", True),
}
"""Metric -> (title of its panel, whether its axis is logarithmic)."""


def estimator_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Bounds reached, active units, encoder's SNR and both noises against L at the end, a line for each estimator."""
    finished = runs[runs["status"] == "FINISHED"]
    if not {"estimator", "samples"} <= set(study.factors):
        return None
    finished = at_baseline(finished, study, {"estimator", "samples"})
    if any(metric not in finished or finished[metric].isna().all() for metric in PANELS):
        return None
    names = [name for name in study.factors["estimator"] if (finished["estimator"] == name).any()]
    cut, ends = False, dict[Axes, list[End]]()
    with house_style():
        figure = Figure(figsize=(WIDEST, 11.5), layout="constrained")
        for ax, (metric, (title, log)) in zip(figure.subplots(3, 2).flat, PANELS.items(), strict=True):
            level_ticks(ax, sorted(finished["samples"].unique()), "samples")
            ends[ax], crossing = _lines(ax, finished, names, metric, log)
            cut |= crossing
            ax.set(ylabel=unit_label(metric), title=title)
        description = "each at its own weights; 95 % intervals over seeds" + f"; {CUT}" * cut
        set_heading(figure, figure_title(runs, study, description))
        if can_label_ends([str(name) for name in names]):
            label_ends(figure, ends)
        else:
            legend_below(figure)
    return figure


def _lines(ax: Axes, finished: pd.DataFrame, names: list[Level], metric: str, log: bool) -> tuple[list[End], bool]:
    """Draw a metric against L, a line for each estimator; return the ends of the lines, and whether a bar was cut.

    A bound far below the others is written as a number at the bottom of the panel. The axis can then show the
    differences between the others.
    """
    cells, levels = finished.groupby(["estimator", "samples"])[metric], sorted(finished["samples"].unique())
    found = {key: interval(values.dropna()) for key, values in cells if values.notna().any()}
    low, median, high = np.quantile([mean for mean, _ in found.values()], (0.25, 0.5, 0.75))
    is_bound = metric.removeprefix("test/").startswith(BOUNDS)
    fence = median - 3 * (high - low) if is_bound else -np.inf
    kept = {key: value for key, value in found.items() if value[0] >= fence}
    ends_of_bars = (-1, 1) if is_bound else (0,)
    shown = [mean + sign * np.nan_to_num(half) for mean, half in kept.values() for sign in ends_of_bars]
    if log:
        ax.set_yscale("log")
    bottom, top = value_limits(shown, log)
    if metric == "test/active_units":
        bottom, top = -0.04 * top, 1.04 * top
    left_out = [key for key in found if key not in kept]
    ax.set_ylim(bottom - 0.12 * (top - bottom) * bool(left_out), top)
    ends, cut = [], False
    for index, name in enumerate(names):
        style, shift = look(index), 1.04 ** (index - (len(names) - 1) / 2)
        mine = {L: value for (estimator, L), value in kept.items() if estimator == name}
        if mine:
            means, halves = zip(*mine.values(), strict=True)
            places = [L * shift for L in mine]
            cut |= draw_means(ax, places, means, halves, style, str(name), joined=True)
            ends.append(End(places[-1], means[-1], str(name), style.colour))
        for L in (L for estimator, L in left_out if estimator == name):
            side = {levels[0]: "left", levels[-1]: "right"}.get(L, "center")  # the text stays inside the panel
            ax.annotate(f"{name}\n{found[name, L][0]:.0f} ▾", (L, 0.01), xycoords=("data", "axes fraction"),
                        color=text_colour(style.colour), ha=side, va="bottom", fontsize=8.5)  # fmt: skip
    return ends, cut


def variance_law(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Var_x and Var_eps at each stage against L, beside the law Var_eps(1) / L, at the baseline's M.

    The figure is left out if there is no other L than 1.
    """
    needed = {f"gradient/{stage}/all/{part}" for stage in STAGES for part in ("var_x", "var_eps")}
    cells = runs_by_level(runs, study, "samples")
    if 1 not in cells or len(cells) < 2 or any(name not in runs or cells[1][name].isna().all() for name in needed):
        return None
    with house_style():
        figure = Figure(figsize=(WIDEST, 4.8), layout="constrained")
        axes = figure.subplots(1, len(STAGES), sharey=True)
        limits = [_law(ax, cells, stage) for ax, stage in zip(axes, STAGES, strict=True)]
        axes[0].set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        for ax, stage in zip(axes, STAGES, strict=True):
            ax.set_title(f"Weights {STAGE_WORDS[stage]}")
        axes[0].set_ylabel("trace over all parameters, for one image,\nlower is better")
        legend_below(figure)
        description = "the minibatch gradient's variance is (Var_x + Var_eps) / M; 95 % intervals over seeds"
        set_heading(figure, figure_title(pd.concat(cells.values()), study, description))
    return figure


def _law(ax: Axes, cells: dict[int, pd.DataFrame], stage: str) -> tuple[float, float]:
    """Draw both parts of the gradient's variance at one stage against L, and Var_eps at L=1 divided by L.

    Returns:
        the limits of the vertical axis in which all of it is.
    """
    Ls = np.array(list(cells), dtype=float)
    parts = {
        name: np.array([interval(cell[f"gradient/{stage}/all/{name}"].dropna()) for cell in cells.values()]).T
        for name in ("var_x", "var_eps")
    }
    law = parts["var_eps"][0][0] / Ls
    ax.set_yscale("log")
    level_ticks(ax, list(Ls), "samples")
    means = np.concatenate([mean for mean, _ in parts.values()])
    uppers = np.concatenate([mean + np.nan_to_num(half) for mean, half in parts.values()])
    low, high = value_limits([*means, *law], log=True)
    high = max(high, 1.2 * float(np.nanmax(uppers)))
    ax.set_ylim(low, high)
    for index, (text, (mean, half)) in enumerate(zip(("Var_x, images", "Var_eps, draws"), parts.values(), strict=True)):
        draw_means(ax, Ls, mean, half, look(index), text)
    ax.plot(Ls, law, color=look(1).colour, linestyle=":", label="Var_eps at L=1, divided by L")
    return low, high
