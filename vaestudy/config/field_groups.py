"""The fields of `RunConfig` by topic, for help texts, and which of them have no meaning beside the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vaestudy.config.compatibility import AIS_DEFAULTS, has_option
from vaestudy.config.registry import SCHEDULES

GROUPS: dict[str, tuple[str, ...]] = {
    "model": (
        "latent_dim",
        "architecture",
        "hidden",
        "activation",
        "init",
        "second_biases",
        "likelihood",
        "likelihood_scale",
        "likelihood_mean",
        "likelihood_parameters",
        "likelihood_sigma",
        "likelihood_floor",
        "decoder_sigma",
        "sigma",
        "sigma_floor",
        "init_sigma",
    ),
    "training": (
        "epochs",
        "minibatch",
        "samples",
        "estimator",
        "beta",
        "kl_warmup",
        "free_bits",
        "reduction",
        "log_guard",
        "weight_prior",
        "optimizer",
        "optimizer_epsilon",
        "learning_rate",
        "lr_scaling",
        "schedule",
        "lr_drops",
        "lr_drop_factor",
        "seed",
        "threads",
        "device",
    ),
    "scoring": (
        "iwae",
        "class_scores",
        "ais_images",
        "ais_temperatures",
        "ais_chains",
        "ais_simulated",
        "ais_split",
        "ais_iwae",
        "test_scores",
        "milestones",
        "gradient_images",
        "gradient_estimators",
        "figures",
    ),
    "data": ("dataset", "pixels", "valid_size", "subset", "data_digest"),
}
"""Topic -> its fields. Every field has one topic."""

OF_DROPS = ("lr_drops", "lr_drop_factor")


def meaningless_for(field: str, values: Mapping[str, Any], levels: Mapping[str, Iterable[Any]]) -> str:
    """Return what makes a field meaningless, e.g. "bernoulli" for `likelihood_scale`; empty if it has a meaning.

    Args:
        field: the field.
        values: the value of every field.
        levels: field -> the values that it takes in place of that one, of the factors of a study.
    """
    likelihoods = [str(name) for name in levels.get("likelihood", (values["likelihood"],))]
    if not any(has_option(name, field) for name in likelihoods):
        return ", ".join(likelihoods)
    schedules = [str(name) for name in levels.get("schedule", (values["schedule"],))]
    if field in OF_DROPS and not any(SCHEDULES[name].takes_drops for name in schedules):
        return ", ".join(schedules)
    if field in AIS_DEFAULTS and field != "ais_images" and not any(levels.get("ais_images", (values["ais_images"],))):
        return "ais_images 0"
    return ""
