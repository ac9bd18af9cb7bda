"""Check that the fields of a configuration are valid together, e.g. a likelihood with its pixels and its options.

Nothing slow is imported here, so a wrong combination is reported at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol

from vaestudy.config.registry import ARCHITECTURES, LIKELIHOODS, OBJECTIVES, PIXELS, SCHEDULES, SIGMAS

OPTION_DEFAULTS: dict[str, Any] = {
    "likelihood_scale": "per-pixel",
    "likelihood_mean": "squashed",
    "likelihood_parameters": "mean-concentration",
    "likelihood_sigma": None,
    "likelihood_floor": None,
    "decoder_sigma": "log-variance",
}
"""Field -> default value of each option that only some likelihoods have. An option at its default counts as not set."""

AIS_DEFAULTS: dict[str, Any] = {
    "ais_images": 0,
    "ais_temperatures": 500,
    "ais_chains": 10,
    "ais_simulated": 100,
    "ais_split": False,
    "ais_iwae": (100, 5000),
}
"""Field -> default value of each setting of annealed importance sampling. Without `ais_images` the others have no
meaning, and must be at their defaults."""

DROP_FACTOR = 0.1
"""The default of `lr_drop_factor`. At its default, it counts as not set."""

LEAST_GRADIENT_IMAGES = 20
"""The smallest number of images on which the variance of the gradient can be measured."""


class Conflict(ValueError):
    """An error for fields that are valid separately but not together."""

    def __init__(self, field: str, value: Any, why: str) -> None:
        """Args:
        field: the field that the user should change.
        value: the value of this field.
        why: the reason, which follows the field and the value in the message. A field's name in braces is replaced by
            the name that the user knows, e.g. a flag.
        """
        super().__init__(field, value, why)
        self.field, self.value, self.why = field, value, why


class CheckedFields(Protocol):
    """The fields of a configuration that this file reads."""

    architecture: str
    ais_images: int
    subset: int | None
    pixels: str
    valid_size: int | None
    estimator: str
    samples: int
    milestones: tuple[int, ...]
    gradient_images: int
    gradient_estimators: tuple[str, ...]
    beta: float
    kl_warmup: int
    free_bits: float
    schedule: str
    lr_drops: tuple[int, ...]
    lr_drop_factor: float
    likelihood: str
    likelihood_scale: str
    likelihood_sigma: float | None
    likelihood_floor: float | None
    decoder_sigma: str
    sigma: str
    sigma_floor: float
    init_sigma: float | None


def has_option(likelihood: str, field: str) -> bool:
    """Return whether a field has a meaning for a likelihood; True for fields that are not in `OPTION_DEFAULTS`."""
    return field not in OPTION_DEFAULTS or LIKELIHOODS[likelihood].has_option(field)


def likelihood_label(config: CheckedFields) -> str:
    """Return a short label of a likelihood and its options, e.g. "gaussian, optimal"."""
    given = (getattr(config, field) for field, default in OPTION_DEFAULTS.items() if getattr(config, field) != default)
    return ", ".join([config.likelihood, *(value if isinstance(value, str) else f"{value:g}" for value in given)])


def require_compatible(config: CheckedFields, defaults: Mapping[str, Any]) -> None:
    """Raise unless all fields are valid together.

    Args:
        config: the fields.
        defaults: every field of a configuration -> its default.

    Raises:
        Conflict: some fields are not valid together; the first such problem is reported.
    """
    _check_architecture(config, defaults)
    _check_pixels(config)
    _check_estimator(config)
    _check_kl(config)
    _check_drops(config)
    _check_ais(config)
    given = {
        field: getattr(config, field) for field, default in OPTION_DEFAULTS.items() if getattr(config, field) != default
    }
    for field, value in given.items():
        _check_option(config.likelihood, field, value)
    _check_scale(config, given)
    _check_sigma("init_sigma", config.init_sigma, config.sigma, config.sigma_floor, math.inf)
    highest = SIGMAS[config.sigma].bounds[1]
    if config.sigma_floor >= highest:
        raise Conflict("sigma_floor", config.sigma_floor, f"must be below {highest:g}, the ceiling of {config.sigma}")


def _check_architecture(config: CheckedFields, defaults: Mapping[str, Any]) -> None:
    """Raise unless every field that has no meaning for the architecture is at its default."""
    for name, reason in ARCHITECTURES[config.architecture].refusals.items():
        if (value := getattr(config, name)) != defaults[name]:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            raise Conflict(name, shown, f"not for {{architecture}} {config.architecture}: {reason}")


def _check_pixels(config: CheckedFields) -> None:
    """Raise unless the likelihood can model the pixels."""
    refusals = LIKELIHOODS[config.likelihood].refusals
    if config.pixels in refusals:
        fit = [name for name in PIXELS if name not in refusals]
        why = f"not for {config.likelihood}: {refusals[config.pixels]}; choose from: {', '.join(fit)}"
        raise Conflict("pixels", config.pixels, why)


def _check_estimator(config: CheckedFields) -> None:
    """Raise unless the objective is defined at L = `samples`, and the extra measurements have the images they need."""
    objective = OBJECTIVES[config.estimator]
    if config.samples < (least := objective.min_samples):
        why = f"{objective.min_samples_reason}, so {{samples}} must be {least} or more, not {config.samples}"
        raise Conflict("estimator", config.estimator, why)
    if config.milestones and config.valid_size == 0:
        shown = " ".join(map(str, config.milestones))
        raise Conflict("milestones", shown, "are scored on valid, so {valid_size} must be 1 or more, not 0")
    if 0 < config.gradient_images < LEAST_GRADIENT_IMAGES:
        why = f"must be {LEAST_GRADIENT_IMAGES} or more, or 0 for none"
        raise Conflict("gradient_images", config.gradient_images, why)
    if config.gradient_images and config.subset is not None and config.subset < LEAST_GRADIENT_IMAGES:
        why = f"are train images, so {{subset}} must be {LEAST_GRADIENT_IMAGES} or more, not {config.subset}"
        raise Conflict("gradient_images", config.gradient_images, why)
    if config.gradient_estimators and not config.gradient_images:
        why = f"are measured on images, so {{gradient_images}} must be {LEAST_GRADIENT_IMAGES} or more"
        raise Conflict("gradient_estimators", " ".join(config.gradient_estimators), why)


def _check_kl(config: CheckedFields) -> None:
    """Raise unless the objective, and the measured gradients, are defined with this weight on the KL and free bits."""
    for field, value, default in (("beta", config.beta, 1.0), ("kl_warmup", config.kl_warmup, 0)):
        if value != default and not OBJECTIVES[config.estimator].takes_beta:
            why = f"weights the KL of the ELBO, so {{estimator}} must be one of {_weighted()}"
            raise Conflict(field, value, f"{why}, not {config.estimator}")
    if config.free_bits and not OBJECTIVES[config.estimator].takes_free_bits:
        fit = ", ".join(name for name in OBJECTIVES if OBJECTIVES[name].takes_free_bits)
        why = f"need the KL of each dimension in closed form, so {{estimator}} must be {fit}, not {config.estimator}"
        raise Conflict("free_bits", config.free_bits, why)
    if config.gradient_images and config.kl_warmup:
        why = "changes the objective from step to step, so {gradient_images} must be 0: no one gradient can be measured"
        raise Conflict("kl_warmup", config.kl_warmup, why)
    if config.gradient_images and config.free_bits:
        why = "couple the images of a minibatch, so {gradient_images} must be 0: an image has no gradient of its own"
        raise Conflict("free_bits", config.free_bits, why)
    others = [name for name in config.gradient_estimators if not OBJECTIVES[name].takes_beta]
    if config.beta != 1 and others:
        why = f"weights the KL of the ELBO, so {{gradient_estimators}} must be among {_weighted()}"
        raise Conflict("beta", config.beta, f"{why}, not {others[0]}")


def _weighted() -> str:
    """Return the names of the objectives with a weight on the KL, for a message."""
    return ", ".join(name for name in OBJECTIVES if OBJECTIVES[name].takes_beta)


def _check_drops(config: CheckedFields) -> None:
    """Raise unless the drops of the step size are those of a schedule that has drops, in increasing order."""
    shown = " ".join(map(str, config.lr_drops))
    if SCHEDULES[config.schedule].takes_drops:
        if not config.lr_drops:
            raise Conflict("schedule", config.schedule, "takes one or more epochs after which it drops, in {lr_drops}")
        if any(a >= b for a, b in pairwise(config.lr_drops)):
            raise Conflict("lr_drops", shown, "must increase from one to the next")
        return
    if not config.lr_drops and config.lr_drop_factor == DROP_FACTOR:
        return
    taking = " or ".join(name for name in SCHEDULES if SCHEDULES[name].takes_drops)
    why = f"drops the step size, so {{schedule}} must be {taking}, not {config.schedule}"
    if config.lr_drops:
        raise Conflict("lr_drops", shown, why)
    raise Conflict("lr_drop_factor", config.lr_drop_factor, why)


def _check_ais(config: CheckedFields) -> None:
    """Raise if AIS has settings but no `ais_images`, or if a subset has fewer test images than `ais_images`."""
    for field, default in AIS_DEFAULTS.items():
        if not config.ais_images and (value := getattr(config, field)) != default:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            why = "is a setting of annealed importance sampling, so {ais_images} must be 1 or more, not 0"
            raise Conflict(field, shown, why)
    if config.subset is not None and config.ais_images > (most := max(1, config.subset // 2)):
        why = f"must be {most} or less, the test images that {{subset}} {config.subset} leaves"
        raise Conflict("ais_images", config.ais_images, why)


def _check_option(likelihood: str, field: str, value: Any) -> None:
    """Raise unless the likelihood has this option and accepts this value."""
    if not has_option(likelihood, field):
        fit = [name for name in LIKELIHOODS if has_option(name, field)]
        raise Conflict(field, value, f"{likelihood} has no such option; those that have: {', '.join(fit)}")
    values = LIKELIHOODS[likelihood].options.get(field)
    if values is not None and value not in values:
        raise Conflict(field, value, f"not for {likelihood}; choose from: {', '.join(values)}")


def _check_scale(config: CheckedFields, given: dict[str, Any]) -> None:
    """Raise unless the options of the scale are valid together; `given` contains the options that are not defaults."""
    if (limits := LIKELIHOODS[config.likelihood].limits) is None:
        return
    kind = config.likelihood_scale
    if kind in ("fixed", "optimal") and "decoder_sigma" in given:
        raise Conflict("decoder_sigma", config.decoder_sigma, f"a scale that is {kind} has no parameterisation")
    if kind == "optimal" and "likelihood_sigma" in given:
        raise Conflict("likelihood_sigma", config.likelihood_sigma, "the optimal scale is fitted, not given")
    floor, ceiling = limits
    if config.likelihood_floor is not None:
        floor = config.likelihood_floor
        if not floor < ceiling:
            raise Conflict("likelihood_floor", floor, f"must be below {ceiling:g}, the ceiling of {config.likelihood}")
    parameterisation = config.decoder_sigma if kind in ("per-pixel", "learned") else "raw"
    _check_sigma("likelihood_sigma", config.likelihood_sigma, parameterisation, floor, ceiling)


def _check_sigma(field: str, value: float | None, sigma: str, floor: float, ceiling: float) -> None:
    """Raise unless `value` lies between floor and ceiling and within the bounds of the sigma parameterisation."""
    low, high = SIGMAS[sigma].bounds
    low, high = max(low, floor), min(high, ceiling)
    if value is not None and not low < value < high:
        ceiling_too = f" and below {high:g}, its ceiling" if high < math.inf else ""
        raise Conflict(field, value, f"must be above {low:g}, the scale's floor{ceiling_too}")
