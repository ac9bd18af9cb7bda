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
from vaestudy.study.metrics import lower_is_better


def sign_of(metric: str) -> int:
    """Return 1 if a higher score on test is better, -1 if a lower one is, and 0 if neither is.

    The log-likelihood is a part of the bound and has no better direction of its own here: a model that pays more for
    the code reconstructs better.
    """
    split, _, name = metric.partition("/")
    lower = lower_is_better(metric)
    if split != "test" or "/" in name or name.endswith("_se") or name == "log_likelihood" or lower is None:
        return 0
    return -1 if lower else 1


def best_row(cells: Sequence[pd.DataFrame], metric: str) -> int | None:
    """Return the position of the row with the best value of a metric; None if the runs do not show which it is.

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
