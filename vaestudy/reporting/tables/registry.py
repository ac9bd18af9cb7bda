"""The tables that a study may name in its field `tables`, in addition to its summary. This file imports nothing slow.

A member is a function of two arguments: the tidy runs, as `runs_frame.tidy_runs` returns them, and the `Study`. It
returns a `Table`, or None where the runs have nothing to show in it. The first line of the function's docstring is
printed as the title of the table.
"""

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
    Spec("front", "vaestudy.reporting.tables.rate_distortion:front"),
    Spec("bound_tightness", "vaestudy.reporting.tables.bound_tightness:bound_tightness"),
    Spec("bound_gaps", "vaestudy.reporting.tables.bound_tightness:bound_gaps"),
)
