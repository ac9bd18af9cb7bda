"""Which row of a table is the best of its column, where the runs can tell.

The best mean of a column is called the best only if it is told apart from *every* other row: the 95 % interval over
seeds of the difference, at the same seed as in the column Δ, excludes 0. The row was chosen because it is the best, and
still needs no correction for that: of several equal rows, one is called the best in at most 5 % of studies, as two rows
are the worst case (Gutmann & Maymin 1987, "Is the selected population the best?").

A row with a failed run is never called the best, as its mean is one over the runs that survived.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from vaestudy.reporting.runs_frame import interval

HIGHER = ("elbo", "iwae_", "recognised_reconstruction", "neighbour_purity")
"""How the names of scores on test begin of which a higher value is better."""
LOWER = ("bits_per_dim", "mse", "mae", "histogram_distance", "pit_distance", "relative_error")
"""The same for a lower value. The two parts of the bound have no better direction of their own, nor has a count."""


def sign_of(metric: str) -> int:
    """Return 1 if a higher value of a metric is better, -1 if a lower one is, and 0 if neither is."""
    split, _, name = metric.partition("/")
    if split != "test" or "/" in name or name.endswith("_se"):
        return 0
    return 1 if name.startswith(HIGHER) else -1 if name.startswith(LOWER) else 0


def best_row(cells: Sequence[pd.DataFrame], metric: str) -> int | None:
    """Return the position of the row that is the best of a column; None if the runs cannot tell.

    Args:
        cells: the runs of each row, those that failed too.
        metric: the column; its values may be ranked against each other.
    """
    sign = sign_of(metric)
    finished = [cell[cell["status"] == "FINISHED"] for cell in cells]
    values = [sign * cell.set_index("seed")[metric].dropna() for cell in finished]
    rows = [row for row, own in enumerate(values) if len(own)]
    if not sign or len(rows) < 2:
        return None
    best = max(rows, key=lambda row: float(values[row].mean()))
    if len(values[best]) < len(cells[best]):
        return None
    for row in rows:
        if row != best:
            gap, half = interval((values[best] - values[row]).dropna())
            if not gap > half:  # also if there is no interval
                return None
    return best
