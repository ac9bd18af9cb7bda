"""The Pareto front of points in two objectives that are both minimised, and its hypervolume.

The hypervolume is the area of all that is dominated by some point and is better than a reference point in both
objectives (Zitzler & Thiele 1999). In two dimensions one pass over the sorted front gives it exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pareto_front(points: Array) -> Array:
    """Return the points that no other point dominates, [n, 2], in rising order of the first objective.

    Equal points are given once. Each point is lower in the second objective than the one before.
    """
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    before = np.concatenate([[np.inf], np.minimum.accumulate(ordered[:, 1])])[:-1]
    front: Array = ordered[ordered[:, 1] < before]
    return front


def hypervolume(points: Array, reference: Array) -> float:
    """Return the area between the front of some points and a reference point.

    Args:
        points: [n, 2].
        reference: [2]; a point that is not below it in both objectives adds nothing.
    """
    front = pareto_front(points[(points < reference).all(axis=1)])
    ends = np.append(front[1:, 0], reference[0])
    return float(((ends - front[:, 0]) * (reference[1] - front[:, 1])).sum()) if len(front) else 0.0


def attained(points: Array, first: Array, worst: float) -> Array:
    """Return the lowest second objective among the points whose first objective is at most a given value.

    Args:
        points: [n, 2].
        first: values of the first objective, [k].
        worst: the second objective where no point has so low a first one.
    """
    front = pareto_front(points)
    steps = np.concatenate([[worst], np.minimum(front[:, 1], worst)])
    found: Array = steps[np.searchsorted(front[:, 0], first, side="right")]
    return found
