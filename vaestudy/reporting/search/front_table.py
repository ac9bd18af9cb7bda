"""Table and notes of the front of a search beside the front of the grid (`front_comparison.py`)."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vaestudy.reporting.search.front_comparison import FrontComparison, Pair, compare_fronts
from vaestudy.reporting.search.hypervolume import pareto_front
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.tables.formats import interval_texts
from vaestudy.reporting.tables.summary import Table


def fronts_table(searched: Searched, runs: pd.DataFrame) -> Table | None:
    """Return the hypervolumes of both fronts, one row for each front and number of trainings; None without both.

    Args:
        searched: the search.
        runs: the tidy runs of the grid.
    """
    if (found := compare_fronts(searched, runs)) is None:
        return None
    full = pd.DataFrame(_rows(found))
    shown = pd.DataFrame(
        {
            "front": full["front"],
            "trainings": full["trainings"].astype(str),
            "points on it": [f"{value:.1f}".removesuffix(".0") for value in full["on_front"]],
            "hypervolume": interval_texts(full, "hypervolume", "hypervolume_ci95", ",.0f"),
            "lower than the grid by": interval_texts(full, "gap", "gap_ci95", ".2f", sign="+"),
        }
    )
    return Table(full, shown, _notes(found))


def _rows(found: FrontComparison) -> list[dict[str, Any]]:
    """Return the rows: the grid and the search at equal trainings, if there are as many, and with all trainings."""
    seeds, cells, _ = found.grid.shape
    one, none = found.grid_one_seed(), (math.nan, math.nan)
    on_fronts = [len(pareto_front(points)) for points in found.grid]
    rows = [_row("grid, one seed", cells, sum(on_fronts) / seeds, one, none)]
    if (count := found.equal_trials) is not None:
        rows.append(_search_row(found, count, one))
    if seeds > 1:
        many = found.grid_mean()
        rows.append(_row(f"grid, mean of {seeds} seeds", seeds * cells, len(pareto_front(found.mean)), many, none))
    else:
        many = one
    if len(found.trials) != count:
        rows.append(_search_row(found, len(found.trials), many))
    return rows


def _search_row(found: FrontComparison, count: int, grid: Pair) -> dict[str, Any]:
    """Return the row of the search's first trials, compared with a hypervolume of the grid."""
    value = found.search(count)
    name = "search, all trials" if count == len(found.trials) else f"search, first {count} trial{'s' * (count > 1)}"
    return _row(
        name, count * found.seeds_per_trial, len(pareto_front(found.first(count))), value, found.gap(value, grid)
    )


def _row(front: str, trainings: int, on_front: float, value: Pair, gap: Pair) -> dict[str, Any]:
    """Return one row."""
    return {
        "front": front,
        "trainings": trainings,
        "on_front": on_front,
        "hypervolume": value[0],
        "hypervolume_ci95": value[1],
        "gap": gap[0],
        "gap_ci95": gap[1],
    }


def _notes(found: FrontComparison) -> list[str]:
    """Return the lines below the table."""
    rate, distortion = found.reference
    shared = ", ".join(f"{name}={text}" for name, text in found.fixed.items())
    seeds = len(found.grid)
    notes = [
        f"Rate: KL, distortion: -log-lik., nats per image of the validation images{f'; {shared}' if shared else ''}. "
        "No trial is scored on test.",
        f"Hypervolume: nats squared, to the reference point rate {rate:.2f}, distortion {distortion:.2f}: the worst of "
        "both on the fronts of the search and of each seed of the grid.",
        "Lower than the grid by: the distortion at equal rate, nats, as a mean over rates from "
        f"{found.lowest_rate:.2f} to {rate:.2f}; it is the difference in hypervolume to the grid's row above, divided "
        "by this range.",
        "The mean of several seeds has less luck in it than single trainings, of which a front takes the best.",
    ]
    if seeds > 1:
        notes.append(
            f"± is the half-width of a 95 % interval over {seeds} seeds. One seed: t-interval. Mean of seeds: "
            "jackknife over seeds. Search: bootstrap, which moves each trial by the residual of a random seed of the "
            "nearest cell; it lacks the spread over repeated searches, as there is one."
        )
    else:
        notes.append("The grid has one seed with all cells, so there are no intervals.")
    if found.equal_trials is None:
        notes.append(
            f"The search has {len(found.trials)} trials, fewer trainings than the {found.per_seed} cells of one seed: "
            "no row compares equal numbers of trainings."
        )
    return notes


def front_notes(searched: Searched, runs: pd.DataFrame) -> list[str]:
    """Return one line that compares both fronts at equal numbers of trainings; none if that is not possible."""
    found = compare_fronts(searched, runs)
    if found is None or (count := found.equal_trials) is None:
        return []
    gap, half = found.gap(found.search(count), found.grid_one_seed())
    if gap != gap:
        return []
    spread = f" ± {half:.2f} (over seeds)" if half == half else ""
    trainings = count * found.seeds_per_trial
    return [
        f"Fronts by the validation images: at equal rate, the search's first {trainings} trainings have a distortion "
        f"that is {abs(gap):.2f}{spread} nats {'lower' if gap >= 0 else 'higher'} than that of the grid's "
        f"{found.per_seed} trainings with one seed, as a mean over rates; table search_fronts."
    ]
