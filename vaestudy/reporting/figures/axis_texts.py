"""What axes and legends say: the symbol of a field, the unit of a metric, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaestudy.study.declaration import Study, level_text
from vaestudy.study.metrics import lower_is_better

FIELDS = {
    "latent_dim": "D, latent dimensions",
    "minibatch": "M, images in a step",
    "samples": "L, draws of z per image",
    "beta": "β, weight of the KL in training",
    "learning_rate": "learning rate",
    "hidden": "hidden units of the layers",
}
SYMBOLS = {"latent_dim": "D", "minibatch": "M", "samples": "L", "beta": "β", "lr_scaling": "step size"}
UNITS = {
    "elbo": "nats per image",
    "iwae_": "nats per image",
    "log_likelihood": "nats per image",
    "kl": "nats per image",
    "active_units": "latent dimensions",
    "negative_sigma_units": "latent dimensions",
    "two_signed_sigma_units": "latent dimensions",
    "bits_per_dim": "bits per pixel",
    "mse": "squared grey value",
    "mae": "grey value",
    "histogram_distance": "total variation, 0 to 1",
    "pit_distance": "distance, 0 to 1",
    "mass_": "share of pixels",
    "decoder_at_floor": "share of pixels",
    "seconds_per_epoch": "seconds",
    "seconds/": "seconds",
    "epochs_to": "epochs",
    "train/likelihood_over_kl": "ratio",
    "train/first_likelihood_over_kl": "ratio",
    "train/gradient_norm": "Euclidean norm",
    "gradient/end/encoder/snr": "ratio, for one image",
    "gradient/end/value/": "nats², for one image",
    "gradient/": "trace, for one image",
    "recognised_": "share of images",
    "neighbour_purity": "share of neighbours",
    "relative_error": "|x - E[x|z]|² / |x|²",
    "unclear": "share of pictures",
}
"""How the name of a metric begins -> its unit."""
BETTER = {False: "higher is better", True: "lower is better", None: ""}
"""Whether lower is better -> what an axis says."""


def field_label(field: str) -> str:
    """Return the label of an axis of a factor."""
    return FIELDS.get(field, field.replace("_", " "))


def unit_label(metric: str, separator: str = ", ") -> str:
    """Return the unit of a metric, and which direction is better; empty for a metric of unknown unit."""
    name = metric.removeprefix("test/").removeprefix("valid/")
    unit = next((unit for start, unit in UNITS.items() if name.startswith(start)), "")
    return separator.join(filter(None, (unit, BETTER[lower_is_better(metric)]))) if unit else ""


def levels_label(levels: Mapping[str, Any]) -> str:
    """Return levels as text with symbols, such as «D=2, sigma=raw»."""
    parts = (f"{SYMBOLS.get(name, name.replace('_', ' '))}={level_text(level)}" for name, level in levels.items())
    return ", ".join(parts)


def cell_label(key: tuple[Any, ...], study: Study) -> str:
    """Return the levels of a cell as text with symbols; the rule of the step size is left out where it is "none"."""
    named = zip(study.factors, key, strict=True)
    return levels_label({name: level for name, level in named if (name, level) != ("lr_scaling", "none")})
