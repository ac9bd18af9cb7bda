"""TODO"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from vaestudy.reporting.figures.arms import arms
from vaestudy.reporting.figures.bound import bound_and_parts
from vaestudy.reporting.figures.classes import clarity_panels, class_neighbours, class_panels, class_planes
from vaestudy.reporting.figures.cost import bound_against_cost, m_l_heatmaps, pareto_front, step_size
from vaestudy.reporting.figures.gradient_noise import estimator_panels, variance_law
from vaestudy.study.declaration import Study

STUDY_FIGURES: dict[str, Callable[[pd.DataFrame, Study], Figure | None]] = {
    "bound_and_parts": bound_and_parts,
    "m_l_heatmaps": m_l_heatmaps,
    "bound_against_cost": bound_against_cost,
    "pareto_front": pareto_front,
    "step_size": step_size,
    "estimator_panels": estimator_panels,
    "variance_law": variance_law,
    "arms": arms,
    "class_panels": class_panels,
    "clarity_panels": clarity_panels,
    "class_neighbours": class_neighbours,
    "class_planes": class_planes,
}
