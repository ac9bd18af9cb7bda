"""STUDY_FIGURES: name -> a picture of a whole study, from its tidy runs (`tables.tidy`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.design import Study, show
from vaestudy.tables import interval, label

PANELS = (
    ("bounds", ("test/elbo", "test/iwae_100"), "Bounds on log p(x)", "nats per image, higher is better"),
    ("reconstruction", ("test/log_likelihood",), "Reconstruction, E[log p(x|z)]", "nats per image"),
    ("kl", ("test/kl",), "KL to the prior", "nats per image"),
    ("active", ("test/active_units",), "Active units", "dimensions"),
)


def bound_and_parts(runs: pd.DataFrame, study: Study) -> Figure:
    """Bounds, reconstruction, KL and active units against the first factor: means with intervals, and every run."""
    finished = runs[runs["status"] == "FINISHED"]
    factor, *others = study.factors
    numeric = pd.api.types.is_numeric_dtype(finished[factor])
    with sns.axes_style("whitegrid", {"grid.color": ".92"}), sns.plotting_context("notebook", font_scale=0.95):
        figure = Figure(figsize=(11, 7.4), layout="constrained")
        for ax, (_, metrics, title, unit) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
            present = [m for m in metrics if m in finished]
            long = finished.melt([factor, *others, "seed"], present, "metric", "value")
            long["arm"] = _arms(long, others, with_metric=len(present) > 1)
            if not numeric:
                long[factor] = long[factor].map(show)
            _panel(ax, long, factor)
            ax.set(title=title, xlabel=factor, ylabel=unit)
            if numeric:
                _number_axis(ax, sorted(finished[factor].unique()))
            if metrics == ("test/active_units",) and factor == "latent_dim":
                top = sorted(finished[factor].unique())
                ax.plot(top, top, color="0.6", linestyle=":", linewidth=1.2)
                ax.annotate("all active", (top[-1], top[-1]), (-6, -2), textcoords="offset points", ha="right",
                            va="top", color="0.4", fontsize=9)  # fmt: skip
        quick = "   QUICK LOOK, NOT A RESULT" if _text(finished, "params.subset") not in ("", "null") else ""
        seeds = finished["seed"].nunique()
        figure.suptitle(
            f"{study.question}\n{_text(finished, 'tags.data.name')}, {seeds} seeds: "
            f"dots are runs, bars 95 % intervals over seeds{quick}",
            fontsize=12,
        )
    return figure


def _arms(long: pd.DataFrame, others: list[str], with_metric: bool) -> list[str]:
    """What a line stands for: the metric where a panel has several, and the levels of the other factors."""
    metric = long["metric"].map(label) if with_metric else pd.Series([""] * len(long))
    parts = [metric.tolist()] + [[f"{name}={show(v)}" for v in long[name]] for name in others]
    return [", ".join(filter(None, row)) for row in zip(*parts, strict=True)]


def _panel(ax: Axes, long: pd.DataFrame, factor: str) -> None:
    many = long["arm"].nunique() > 1
    sns.lineplot(
        long, x=factor, y="value", hue="arm" if many else None, errorbar=_bounds, err_style="bars",
        err_kws={"capsize": 3, "linewidth": 1.2}, linewidth=1.4, ax=ax,
    )  # fmt: skip
    sns.scatterplot(
        long, x=factor, y="value", hue="arm" if many else None, s=22, alpha=0.55, linewidth=0, legend=False, ax=ax
    )
    if many:
        ax.legend(title=None, frameon=False)


def _bounds(values: pd.Series[float]) -> tuple[float, float]:
    mean, half = interval(values)
    return (mean - half, mean + half) if half == half else (mean, mean)


def _number_axis(ax: Axes, levels: list[float]) -> None:
    """Ticks at the levels that were run; a logarithmic axis where they span more than a decade."""
    if levels[0] > 0 and levels[-1] / levels[0] > 10:
        ax.set_xscale("log")
    ax.set_xticks(levels, [show(level) for level in levels])
    ax.set_xticks([], minor=True)


def _text(frame: pd.DataFrame, column: str) -> str:
    found = [str(v) for v in frame[column].unique()] if column in frame else []
    return ", ".join(sorted(np.unique(found)))


STUDY_FIGURES: dict[str, Callable[[pd.DataFrame, Study], Figure]] = {
    "bound_and_parts": bound_and_parts,
}
