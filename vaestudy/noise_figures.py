"""Pictures of the gradient's noise. They join `STUDY_FIGURES` (study_figures.py)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.cost_figures import heading
from vaestudy.design import Study
from vaestudy.gradients import STAGES
from vaestudy.study_tables import STAGE_WORDS, along_factor
from vaestudy.tables import interval

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
    if not set(PANELS) <= set(finished.columns):
        return None
    names = [name for name in study.factors["estimator"] if (finished["estimator"] == name).any()]
    colours = dict(zip(names, sns.color_palette("tab10", len(names)), strict=True))
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(16, 8.6), layout="constrained")
        for ax, (metric, (title, unit, log)) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
            for index, name in enumerate(names):
                groups = list(finished[finished["estimator"] == name].groupby("samples"))
                means, halves = zip(*(interval(group[metric].dropna()) for _, group in groups), strict=True)
                x = [float(str(L)) * 1.04 ** (index - len(names) / 2) for L, _ in groups]
                lower = np.minimum(np.nan_to_num(halves), 0.9 * np.abs(means)) if log else np.nan_to_num(halves)
                ax.errorbar(x, means, yerr=(lower, np.nan_to_num(halves)), capsize=3, marker="o", markersize=4,
                            color=colours[name], label=str(name))  # fmt: skip
            ax.set(xscale="log", xlabel="L, draws per image", ylabel=unit, title=title)
            levels = sorted(finished["samples"].unique())
            ax.set_xticks(levels, [str(L) for L in levels])
            ax.set_xticks([], minor=True)
            if log:
                ax.set_yscale("log")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        words = "each at its own weights; 95 % intervals over seeds"
        figure.suptitle(heading(runs, study, words), fontsize=12)
    return figure


def variance_law(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Var_x and Var_eps at each stage against L, beside the law Var_eps(1) / L, at the baseline's M."""
    cells = along_factor(runs, study, "samples")
    if "gradient/end/all/var_eps" not in runs or 1 not in cells:
        return None
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        for ax, stage in zip(figure.subplots(1, len(STAGES)), STAGES, strict=True):
            _law(ax, cells, stage)
            ax.set_title(f"Weights {STAGE_WORDS[stage]}")
        figure.axes[0].set_ylabel("trace over all parameters, one image")
        figure.axes[0].legend(frameon=False)
        words = "the minibatch gradient's variance is (Var_x + Var_eps) / M; 95 % intervals over seeds"
        figure.suptitle(heading(runs, study, words), fontsize=12)
    return figure


def _law(ax: Axes, cells: dict[int, pd.DataFrame], stage: str) -> None:
    Ls = np.array(list(cells), dtype=float)
    for name, words, colour in (("var_x", "Var_x, images", "#4c72b0"), ("var_eps", "Var_eps, draws", "#dd8452")):
        pairs = [interval(cell[f"gradient/{stage}/all/{name}"].dropna()) for cell in cells.values()]
        means, halves = (np.array(part) for part in zip(*pairs, strict=True))
        lower = np.minimum(np.nan_to_num(halves), 0.9 * np.abs(means))
        ax.errorbar(Ls, means, yerr=(lower, np.nan_to_num(halves)), color=colour, marker="o", markersize=4, capsize=3,
                    linestyle="none", label=words)  # fmt: skip
        if name == "var_eps":
            ax.plot(Ls, means[0] / Ls, color=colour, linestyle=":", label="Var_eps at L=1, over L")
    ax.set(xscale="log", yscale="log", xlabel="L, draws per image")
    ax.set_xticks(Ls, [f"{L:g}" for L in Ls])
    ax.set_xticks([], minor=True)
