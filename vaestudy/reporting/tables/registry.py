"""The tables of a study beside the one of all cells. Nothing slow is imported here."""

from __future__ import annotations

from vaestudy.config.registry import Spec

STUDY_TABLES = (
    Spec("one_draw", "vaestudy.reporting.tables.cost:one_draw"),
    Spec("pareto", "vaestudy.reporting.tables.cost:pareto"),
    Spec("predicted_samples", "vaestudy.reporting.tables.cost:predicted_samples"),
    Spec("noise", "vaestudy.reporting.tables.gradient_noise:noise"),
    Spec("by_class", "vaestudy.reporting.tables.classes:by_class"),
    Spec("overlaps", "vaestudy.reporting.tables.classes:overlaps"),
    Spec("clarity", "vaestudy.reporting.tables.classes:clarity"),
    Spec("same_plane", "vaestudy.reporting.tables.classes:same_plane"),
)
