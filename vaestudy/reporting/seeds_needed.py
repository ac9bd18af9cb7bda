"""How many seeds a study needs, so that its differences to the baseline are known within a width.

The rule of `--seeds-until WIDTH`: look at the widest 95 % interval of the first metric's differences. If its half-width
is above WIDTH, add the seeds that Student's t asks for at the spread that was seen, at most as many as there are. Then
look again.

A rule that looks at the data before it stops has a price: a small spread by chance stops it early. By simulation with
normal differences the 95 % interval then covers 90 to 95 % if the study begins with three seeds, and 92 to 95 % with
five (tests/reporting/test_seeds_needed.py). With fewer it would cover 88 %, so such a study begins with three.
"""

from __future__ import annotations

import math

import pandas as pd
from scipy import stats

from vaestudy.reporting.runs_frame import CONFIDENCE
from vaestudy.study.declaration import Study

NOTE = (
    "Seeds were added until the half-width of each difference's interval was {width:g} or less, at most {most} seeds. "
    "After such a rule a 95 % interval covers 90 to 95 %."
)


def widest_difference(table: pd.DataFrame, study: Study) -> tuple[float, int]:
    """Return the largest half-width among the differences of the first metric, and the number of seeds behind it.

    A cell that has no run with a seed of the baseline's has no difference. With one such run the half-width is inf.

    Args:
        table: the numbers of `summary.summarise`, `Table.full`.
        study: the study.

    Returns:
        (nan, 0) if no cell has a difference to the baseline.
    """
    name = f"{study.tabulate[0]}_diff"
    if name not in table:
        return math.nan, 0
    rows = table[table[name].notna()]
    widths = rows[f"{name}_ci95"].fillna(math.inf)
    if widths.empty:
        return math.nan, 0
    place = int(widths.to_numpy().argmax())
    return float(widths.iloc[place]), int(rows["seeds"].iloc[place])


def seeds_needed(width: float, seeds: int, wanted: float, most: int) -> int:
    """Return the number of seeds at which a half-width would be `wanted`, at the spread that was seen; at most `most`.

    Args:
        width: the half-width of the 95 % t-interval of `seeds` values; inf if there is only one.
        seeds: the number of values.
        wanted: the half-width that is asked for.
        most: the largest number of seeds.
    """
    if seeds < 2 or math.isinf(width):
        return min(max(2, seeds + 1), most)
    deviation = width * math.sqrt(seeds) / _quantile(seeds)
    needed = seeds
    while needed < most and _quantile(needed) * deviation / math.sqrt(needed) > wanted:
        needed += 1
    return needed


def next_seeds(width: float, seeds: int, wanted: float, now: int, most: int) -> int:
    """Return the number of seeds of the next look; `now` if no further look is needed or possible.

    Args:
        width: the largest half-width, see `widest_difference`.
        seeds: the number of values behind it.
        wanted: the half-width that is asked for.
        now: the number of seeds that each cell has now.
        most: the largest number of seeds.
    """
    if not width > wanted or now >= most:
        return now
    # A spread from few seeds can be much too large by chance. So the number of seeds is at most doubled.
    most = min(2 * now, most)
    return max(now + 1, seeds_needed(width, seeds, wanted, most))


def _quantile(seeds: int) -> float:
    """Return the quantile of Student's t of a two-sided 95 % interval of this many values."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1))
