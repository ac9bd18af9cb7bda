"""The figures that a study may name in its field `figures`. This file imports nothing slow.

A member is a function of two arguments: the tidy runs, as `runs_frame.tidy_runs` returns them, and the `Study`. It
returns a Matplotlib `Figure`, or None where the runs have nothing to show in it.
"""

from __future__ import annotations

from vaestudy.config.registry import Spec

STUDY_FIGURES = (
    Spec("bound_and_parts", "vaestudy.reporting.figures.bound:bound_and_parts"),
    Spec("m_l_heatmaps", "vaestudy.reporting.figures.cost:m_l_heatmaps"),
    Spec("bound_against_cost", "vaestudy.reporting.figures.cost:bound_against_cost"),
    Spec("pareto_front", "vaestudy.reporting.figures.cost:pareto_front"),
    Spec("step_size", "vaestudy.reporting.figures.cost:step_size"),
    Spec("estimator_panels", "vaestudy.reporting.figures.gradient_noise:estimator_panels"),
    Spec("variance_law", "vaestudy.reporting.figures.gradient_noise:variance_law"),
    Spec("arms", "vaestudy.reporting.figures.arms:arms"),
    Spec("class_panels", "vaestudy.reporting.figures.classes:class_panels"),
    Spec("clarity_panels", "vaestudy.reporting.figures.classes:clarity_panels"),
    Spec("class_neighbours", "vaestudy.reporting.figures.classes:class_neighbours"),
    Spec("class_planes", "vaestudy.reporting.figures.classes:class_planes"),
    Spec("rate_distortion", "vaestudy.reporting.figures.rate_distortion:rate_distortion"),
    Spec("bound_tightness", "vaestudy.reporting.figures.bound_tightness:bound_tightness"),
)
