"""Figures of the gradient's noise: the estimators against L, and the law by which the noise falls with L.

The runs must have measured the gradient's noise (configuration field `gradient_images`).
vaestudy/training/gradient_noise.py defines the metrics.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import legend_below
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.grouping import at_baseline, runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import BOUNDS
from vaestudy.reporting.tables.gradient_noise import STAGE_WORDS
from vaestudy.study.declaration import Level, Study
from vaestudy.training.gradient_noise import STAGES

PANELS = {
    "test/elbo": ("The bound reached: test ELBO", "nats per image", False),
    "test/iwae_100": ("The bound reached: test IWAE 100", "nats per image", False),
    "test/active_units": ("Active units", "of D", False),
    "gradient/end/encoder/snr_draws": ("Encoder: signal over the noise of the draws", "ratio, for one image", True),
    "gradient/end/all/var_eps": ("Noise of the draws, all parameters: Var_eps", "trace, for one image", True),
    "gradient/end/value/var_eps": ("Noise of the objective's value", "nats², for one image", True),
}


def estimator_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Bounds reached, active units, encoder's SNR and both noises against L at the end, a line for each estimator."""
    finished = runs[runs["status"] == "FINISHED"]
    if not {"estimator", "samples"} <= set(study.factors):
        return None
    finished = at_baseline(finished, study, {"estimator", "samples"})
    if any(metric not in finished or finished[metric].isna().all() for metric in PANELS):
        return None
    names = [name for name in study.factors["estimator"] if (finished["estimator"] == name).any()]
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(16, 8.6), layout="constrained")
        for ax, (metric, (title, unit, log)) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
            _lines(ax, finished, names, metric, log)
            ax.set(xscale="log", xlabel="L, draws per image", ylabel=unit, title=title)
            levels = sorted(finished["samples"].unique())
            ax.set_xticks(levels, [str(L) for L in levels])
            ax.set_xticks([], minor=True)
            ax.set_xlim(levels[0] / 1.7, levels[-1] * 1.7)
            if log:
                ax.set_yscale("log")
            elif metric == "test/active_units":
                ax.set_ylim(bottom=0)
        legend_below(figure)
        description = "each at its own weights; 95 % intervals over seeds"
        figure.suptitle(figure_title(runs, study, description), fontsize=12)
    return figure


def _lines(ax: Axes, finished: pd.DataFrame, names: list[Level], metric: str, log: bool) -> None:
    """Draw a metric against L, a line for each estimator.

    A bound far below the others is written as a number at the bottom of the panel. The axis can then show the
    differences between the others.
    """
    cells = finished.groupby(["estimator", "samples"])[metric]
    found = {key: interval(values.dropna()) for key, values in cells if values.notna().any()}
    low, median, high = np.quantile([mean for mean, _ in found.values()], (0.25, 0.5, 0.75))
    fence = median - 3 * (high - low) if metric.removeprefix("test/").startswith(BOUNDS) else -np.inf
    for index, (name, colour) in enumerate(zip(names, sns.color_palette("tab10", len(names)), strict=True)):
        mine = {L: value for (estimator, L), value in found.items() if estimator == name}
        shift = 1.04 ** (index - len(names) / 2)
        kept = {L: value for L, value in mine.items() if value[0] >= fence}
        means, halves = (np.array([value[i] for value in kept.values()], dtype=float) for i in (0, 1))
        lower = np.minimum(np.nan_to_num(halves), 0.9 * np.abs(means)) if log else np.nan_to_num(halves)
        ax.errorbar([L * shift for L in kept], means, yerr=(lower, np.nan_to_num(halves)), capsize=3, marker="o",
                    markersize=4, color=colour, label=str(name))  # fmt: skip
        for L in (L for L in mine if L not in kept):
            ax.annotate(f"{name}\n{mine[L][0]:.0f} ▾", (L, 0.01), xycoords=("data", "axes fraction"), color=colour,
                        ha="center", va="bottom", fontsize=8)  # fmt: skip
    if ax.texts:
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom - 0.12 * (top - bottom), top)


def variance_law(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Var_x and Var_eps at each stage against L, beside the law Var_eps(1) / L, at the baseline's M.

    The figure is left out if there is no other L than 1.
    """
    needed = {f"gradient/{stage}/all/{part}" for stage in STAGES for part in ("var_x", "var_eps")}
    cells = runs_by_level(runs, study, "samples")
    if 1 not in cells or len(cells) < 2 or any(name not in runs or cells[1][name].isna().all() for name in needed):
        return None
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        for ax, stage in zip(figure.subplots(1, len(STAGES)), STAGES, strict=True):
            _law(ax, cells, stage)
            ax.set_title(f"Weights {STAGE_WORDS[stage]}")
        figure.axes[0].set_ylabel("trace over all parameters, one image")
        figure.axes[0].legend(frameon=False)
        description = "the minibatch gradient's variance is (Var_x + Var_eps) / M; 95 % intervals over seeds"
        figure.suptitle(figure_title(runs, study, description), fontsize=12)
    return figure


def _law(ax: Axes, cells: dict[int, pd.DataFrame], stage: str) -> None:
    """Draw both parts of the gradient's variance at one stage against L, and Var_eps at L=1 divided by L."""
    Ls = np.array(list(cells), dtype=float)
    for name, text, colour in (("var_x", "Var_x, images", "#4c72b0"), ("var_eps", "Var_eps, draws", "#dd8452")):
        pairs = [interval(cell[f"gradient/{stage}/all/{name}"].dropna()) for cell in cells.values()]
        means, halves = (np.array(part) for part in zip(*pairs, strict=True))
        lower = np.minimum(np.nan_to_num(halves), 0.9 * np.abs(means))
        ax.errorbar(Ls, means, yerr=(lower, np.nan_to_num(halves)), color=colour, marker="o", markersize=4, capsize=3,
                    linestyle="none", label=text)  # fmt: skip
        if name == "var_eps":
            ax.plot(Ls, means[0] / Ls, color=colour, linestyle=":", label="Var_eps at L=1, over L")
    ax.set(xscale="log", yscale="log", xlabel="L, draws per image")
    ax.set_xticks(Ls, [f"{L:g}" for L in Ls])
    ax.set_xticks([], minor=True)
