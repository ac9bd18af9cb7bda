"""What axes and legends say: the symbol of a field, the unit of a metric, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaestudy.study.declaration import Study, level_text

FIELDS = {
    "latent_dim": "D, latent dimensions",
    "minibatch": "M, images in a step",
    "samples": "L, draws of z per image",
    "beta": "β, weight of the KL in training",
    "learning_rate": "learning rate",
    "hidden": "hidden units of the layers",
}
SYMBOLS = {"latent_dim": "D", "minibatch": "M", "samples": "L", "beta": "β", "lr_scaling": "step size"}
HIGHER, LOWER = "higher is better", "lower is better"
UNITS = (  # the beginning of a metric's name -> its unit, and which direction is better
    ("elbo", "nats per image", HIGHER),
    ("iwae_", "nats per image", HIGHER),
    ("log_likelihood", "nats per image", HIGHER),
    ("kl", "nats per image", ""),
    ("active_units", "latent dimensions", ""),
    ("negative_sigma_units", "latent dimensions", ""),
    ("two_signed_sigma_units", "latent dimensions", ""),
    ("bits_per_dim", "bits per pixel", LOWER),
    ("mse", "squared grey value", LOWER),
    ("mae", "grey value", LOWER),
    ("histogram_distance", "total variation, 0 to 1", LOWER),
    ("pit_distance", "distance, 0 to 1", LOWER),
    ("mass_", "share of pixels", ""),
    ("decoder_at_floor", "share of pixels", ""),
    ("seconds_per_epoch", "seconds", LOWER),
    ("seconds/", "seconds", LOWER),
    ("epochs_to", "epochs", LOWER),
    ("train/likelihood_over_kl", "ratio", ""),
    ("train/first_likelihood_over_kl", "ratio", ""),
    ("train/gradient_norm", "Euclidean norm", ""),
    ("gradient/end/encoder/snr", "ratio, for one image", HIGHER),
    ("gradient/end/value/", "nats², for one image", LOWER),
    ("gradient/", "trace, for one image", LOWER),
    ("recognised_", "share of images", HIGHER),
    ("neighbour_purity", "share of neighbours", HIGHER),
    ("relative_error", "|x - E[x|z]|² / |x|²", LOWER),
    ("unclear", "share of pictures", LOWER),
)


def field_label(field: str) -> str:
    """Return the label of an axis of a factor."""
    return FIELDS.get(field, field.replace("_", " "))


def unit_label(metric: str, separator: str = ", ") -> str:
    """Return the unit of a metric, and which direction is better; empty for a metric of unknown unit."""
    name = metric.removeprefix("test/").removeprefix("valid/")
    for start, unit, better in UNITS:
        if name.startswith(start):
            return f"{unit}{separator}{better}" if better else unit
    return ""


def levels_label(levels: Mapping[str, Any]) -> str:
    """Return levels as text with symbols, such as «D=2, sigma=raw»."""
    parts = (f"{SYMBOLS.get(name, name.replace('_', ' '))}={level_text(level)}" for name, level in levels.items())
    return ", ".join(parts)


def cell_label(key: tuple[Any, ...], study: Study) -> str:
    """Return the levels of a cell as text with symbols; the rule of the step size is left out where it is "none"."""
    named = zip(study.factors, key, strict=True)
    return levels_label({name: level for name, level in named if (name, level) != ("lr_scaling", "none")})
