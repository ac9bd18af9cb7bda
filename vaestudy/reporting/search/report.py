"""All that `export` adds to a sweep with a search: its tables, its figures, and the lines below its own table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from vaestudy.errors import noting_failure
from vaestudy.plotting import figure_files
from vaestudy.reporting.search import arm_figures, field_figures, front_figure, front_table, progress_figures, tables
from vaestudy.reporting.search.ranking import ranking_note
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.search.tables import search_notes as search_notes
from vaestudy.reporting.tables.summary import Table
from vaestudy.tracking.mlflow_tracker import Tracker

FIGURES = {
    "search_history": progress_figures.history,
    "search_importances": field_figures.importances,
    "search_slices": field_figures.slices,
    "search_parallel_coordinates": field_figures.parallel_coordinates,
    "search_contour": field_figures.contour,
    "search_learning_curves": progress_figures.learning_curves,
    "search_timeline": progress_figures.timeline,
    "search_front": progress_figures.front,
    "search_best_so_far": arm_figures.best_so_far,
    "search_expected_best": arm_figures.expected_best_by_trials,
    "search_isolation": arm_figures.isolation,
}
"""Name of a file -> the function that draws the figure. It returns None where it has nothing to show."""

FIGURES_WITH_RUNS = {"rate_distortion_search": front_figure.rate_distortion_search}
"""The same for figures that show the trials beside the study's runs: the function has the tidy runs as its second
argument."""


def search_figures(searched: Searched, runs: pd.DataFrame, notes: list[str], papers: bool = False) -> dict[str, bytes]:
    """Return the figures of a search as files: path -> content. A figure that fails costs one line in `notes`.

    Args:
        searched: the searches.
        runs: the tidy runs; empty if none has finished.
        notes: receives the lines.
        papers: whether to add PDF and SVG files.
    """
    makers: dict[str, Callable[[], Figure | None]] = {name: partial(draw, searched) for name, draw in FIGURES.items()}
    if len(runs):
        makers |= {name: partial(draw, searched, runs) for name, draw in FIGURES_WITH_RUNS.items()}
    files: dict[str, bytes] = {}
    for name, make in makers.items():
        with noting_failure(f"figure {name}", notes):
            if (figure := make()) is not None:
                files |= figure_files(f"figures/{name}", figure, papers)
    return files


def search_tables(searched: Searched, runs: pd.DataFrame, notes: list[str]) -> Iterator[tuple[str, str, Table]]:
    """Yield the further tables of a search: (name, title, table). A table that fails costs one line in `notes`.

    Args:
        searched: the searches.
        runs: the tidy runs; empty if no final run has finished.
        notes: receives the lines.
    """
    makers: dict[str, tuple[str, Callable[[], Table | None]]] = {
        "search_space": ("Where in the space the best trial lies", lambda: tables.space_table(searched)),
        "search_spread": ("The spread of each search, and that of seeds", lambda: _spread(searched, runs)),
        "search_fronts": (
            "The front of the search and that of the grid, by the validation images",
            lambda: front_table.fronts_table(searched, runs) if len(runs) else None,
        ),
        "trials": ("The trials of the search", lambda: tables.trials_table(searched)),
    }
    for name, (title, make) in makers.items():
        with noting_failure(f"table {name}", notes):
            if (table := make()) is not None:
                yield name, title, table


def _spread(searched: Searched, runs: pd.DataFrame) -> Table | None:
    """Return the table of spreads; None if there are no final runs."""
    return tables.search_spread(searched, runs) if len(runs) else None


def amended(tracker: Tracker, searched: Searched, table: Table, runs: pd.DataFrame) -> Table:
    """Return a study's own table with what the search adds to it.

    Args:
        tracker: the store of the runs.
        searched: the searches.
        table: the summary of the runs.
        runs: the tidy runs of the table.
    """
    if searched.is_compared:
        return tables.with_difference(table, searched)
    if not searched.search.per_arm:
        notes = [*table.notes, *search_notes(searched)]
        with noting_failure("comparison of the fronts", notes):
            notes += front_table.front_notes(searched, runs)
        return replace(table, notes=notes)
    table = tables.with_tuned_levels(table, searched, runs)
    with noting_failure("comparison with the untuned study", table.notes):
        table.notes.append(ranking_note(tracker, searched, runs))
    return table
