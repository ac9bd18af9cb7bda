"""TODO"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vaestudy.reporting.tables.classes import by_class, clarity, overlaps, same_plane
from vaestudy.reporting.tables.cost import one_draw, pareto, predicted_samples
from vaestudy.reporting.tables.gradient_noise import noise
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study

STUDY_TABLES: dict[str, Callable[[pd.DataFrame, Study], Table | None]] = {
    "one_draw": one_draw,
    "pareto": pareto,
    "predicted_samples": predicted_samples,
    "noise": noise,
    "by_class": by_class,
    "overlaps": overlaps,
    "clarity": clarity,
    "same_plane": same_plane,
}
