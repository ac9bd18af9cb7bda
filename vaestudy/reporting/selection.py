"""The best of many cells: which runs choose it, and which runs may say how good it is.

Of many noisy means the largest is too large, and so is the gain of the cell that has it. An interval over the runs that
chose the cell does not contain this error. So the cell is chosen with the seeds that all cells have. Its gain has an
interval only if it is measured again with fresh seeds, which took no part in the choice; then the gain and the interval
are those of the fresh seeds alone. Without at least two of these the gain is given without an interval.

A cell here is one combination of levels with the runs of all its seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pandas as pd

from vaestudy.reporting.runs_frame import interval

Key = TypeVar("Key")

FEWEST_FRESH = 2
"""The number of fresh seeds from which there is an interval."""
SELECTION_NOTE = (
    "The best of {cells} is chosen with the seeds that all of them have: {seeds}. «fresh seeds» is the number of "
    "further seeds, which took no part in the choice. With two or more, the gain and its interval are those of the "
    "fresh seeds alone. Without them the gain is that of the choice: it is too large on average and has no interval."
)


def choosing_seeds(cells: Mapping[Key, pd.DataFrame]) -> list[int]:
    """Return the seeds that all cells have, sorted."""
    sets = [set(map(int, cell["seed"])) for cell in cells.values()]
    return sorted(set.intersection(*sets)) if sets else []


def with_seeds(cells: Mapping[Key, pd.DataFrame], seeds: list[int], fresh: bool = False) -> dict[Key, pd.DataFrame]:
    """Return the runs of each cell with these seeds, or with all others if `fresh`; cells without any are left out."""
    found = {key: cell[cell["seed"].isin(seeds) != fresh] for key, cell in cells.items()}
    return {key: cell for key, cell in found.items() if len(cell)}


def confirmed_gain(choosing: pd.Series[float], fresh: pd.Series[float] | None) -> tuple[float, float, int]:
    """Return (the gain of a chosen cell, the half-width of its 95 % interval or nan, the number of fresh seeds).

    Args:
        choosing: the gain at each seed that chose the cell.
        fresh: the gain at each fresh seed; None if there is no such seed.
    """
    known = fresh.dropna() if fresh is not None else pd.Series(dtype=float)
    if len(known) >= FEWEST_FRESH:
        return *interval(known), len(known)
    return interval(choosing.dropna())[0], float("nan"), len(known)


def selection_note(cells: int, what: str, seeds: list[int]) -> str:
    """Return the line below a table of the best cells.

    Args:
        cells: how many there are to choose from.
        what: their name in the plural, such as "cells".
        seeds: the seeds that choose.
    """
    return SELECTION_NOTE.format(cells=f"{cells} {what}", seeds=", ".join(map(str, seeds)) or "none")
