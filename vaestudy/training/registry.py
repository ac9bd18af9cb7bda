"""The parts of training: objectives, optimisers, schedules and scalings of the step size. It imports nothing slow."""

from __future__ import annotations

from vaestudy.config.registry import LrScalingSpec, ObjectiveSpec, ScheduleSpec, Spec

OBJECTIVES = (
    ObjectiveSpec("sgvb-a", "vaestudy.training.objectives:sgvb_a", takes_beta=True),
    ObjectiveSpec("sgvb-b", "vaestudy.training.objectives:sgvb_b", takes_beta=True, takes_free_bits=True),
    ObjectiveSpec("score-function", "vaestudy.training.objectives:score_function", takes_beta=True),
    ObjectiveSpec(
        "score-function-loo",
        "vaestudy.training.objectives:score_function_loo",
        min_samples=2,
        min_samples_reason="compares each draw with the others",
        takes_beta=True,
    ),
    ObjectiveSpec("iwae", "vaestudy.training.objectives:iwae", importance_weighted=True, equal_at_one_sample="sgvb-a"),
    ObjectiveSpec("stl", "vaestudy.training.objectives:stl", takes_beta=True),
    ObjectiveSpec("dreg", "vaestudy.training.objectives:dreg", importance_weighted=True),
)

OPTIMIZERS = (
    Spec("adam", "vaestudy.training.optimizers:adam"),
    Spec("adagrad", "vaestudy.training.optimizers:adagrad"),
    Spec("rmsprop", "vaestudy.training.optimizers:rmsprop"),
    Spec("rmsprop-centred", "vaestudy.training.optimizers:rmsprop_centred"),
)

SCHEDULES = (
    ScheduleSpec("constant", "vaestudy.training.schedules:constant"),
    ScheduleSpec("cosine", "vaestudy.training.schedules:cosine"),
    ScheduleSpec("iwae", "vaestudy.training.schedules:iwae"),
    ScheduleSpec("drops", "vaestudy.training.schedules:drops", takes_drops=True),
)

LR_SCALINGS = (
    LrScalingSpec("none", "vaestudy.training.schedules:unscaled", description="the same for all M"),
    LrScalingSpec("sqrt", "vaestudy.training.schedules:by_square_root", description="times sqrt(M / 100)"),
    LrScalingSpec("linear", "vaestudy.training.schedules:linear", description="times M / 100"),
)
