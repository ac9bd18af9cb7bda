"""Labels of metrics and formats of numbers, which all tables and figures of a study use.

Metrics are printed with a fixed number of decimals (FORMATS), except those in ANY_SIZE, whose values differ by orders
of magnitude and are printed with three significant digits. A run that nearly diverged can have an ELBO of -1e32 nats:
numbers from LARGEST_FIXED on are printed with three significant digits, too.
"""

from __future__ import annotations

import math
import re

import pandas as pd

from vaestudy.study.declaration import Study, level_text

LABELS = {
    "elbo": "ELBO",
    "log_likelihood": "log-lik.",
    "kl": "KL",
    "active_units": "active units",
    "seconds/train": "s training",
    "gradient/end/value/var_eps": "value Var_eps",
    "gradient/end/all/variance": "gradient variance",
    "gradient/end/encoder/snr_draws": "encoder SNR",
    "bits_per_dim": "bits/dim",
    "mse": "MSE",
    "mae": "MAE",
    "seconds_per_epoch": "s/epoch",
    "train/likelihood_over_kl": "abs(log-lik.)/KL",
    "train/first_likelihood_over_kl": "abs(log-lik.)/KL, first step",
    "train/gradient_norm": "gradient norm",
    "mass_at_0": "mass at 0",
    "mass_near_1": "mass near 1",
    "histogram_distance": "histogram distance",
    "pit_distance": "PIT distance",
    "decoder_at_floor": "scales at the floor",
    "negative_sigma_units": "units with sigma < 0",
    "two_signed_sigma_units": "units of two signs",
    "epochs_to_95": "epochs to 95 %",
    "epochs_to_common_target": "epochs to common target",
    "neighbour_purity": "own neighbours",
    "recognised_reconstruction": "recognised",
    "relative_error": "relative error",
    "unclear_prior": "unclear samples",
}

FORMATS = {
    "test/active_units": ".1f",
    "test/negative_sigma_units": ".1f",
    "test/two_signed_sigma_units": ".1f",
    "epochs_to_95": ".1f",
    "test/bits_per_dim": ".3f",
    "test/mse": ".4f",
    "test/mae": ".4f",
    "test/histogram_distance": ".3f",
    "test/mass_at_0": ".3f",
    "test/mass_near_1": ".3f",
    "test/pit_distance": ".3f",
    "test/decoder_at_floor": ".3f",
    "test/neighbour_purity": ".3f",
    "test/recognised_reconstruction": ".3f",
    "test/relative_error": ".3f",
    "test/unclear_prior": ".3f",
    "seconds/train": ".1f",
}

ANY_SIZE = ("gradient/", "train/likelihood_over_kl", "train/first_likelihood_over_kl", "train/gradient_norm")

LARGEST_FIXED = 1e9
"""Numbers of this absolute value or more are printed with three significant digits."""

BOUNDS = ("elbo", "iwae_")


def label(metric: str) -> str:
    """Return the label of a metric in tables and figures."""
    name = metric.removeprefix("test/")
    return f"IWAE {name[5:]}" if name.startswith("iwae_") else LABELS.get(name, name)


def format_of(metric: str) -> str:
    """Return the format specification of a metric, such as ".2f"."""
    return FORMATS.get(metric, ".2f")


def interval_texts(full: pd.DataFrame, value: str, half: str, form: str, sign: str = "") -> list[str]:
    """Return a column of means and half-widths as text; the text is empty where the mean is nan.

    Args:
        full: the table that contains the columns.
        value: the column of means.
        half: the column of half-widths; a half-width of nan is not printed.
        form: the format specification of both, such as ".2f".
        sign: "+" to print the sign of a positive mean.
    """

    def pair(mean: float, width: float) -> str:
        if mean != mean:
            return ""
        text = number_text(mean, form, sign)
        return f"{text} ± {number_text(width, form)}" if width == width else text

    return [pair(m, w) for m, w in zip(full[value], full[half], strict=True)]


def number_text(value: float, form: str, sign: str = "") -> str:
    """Return a number in a format with a fixed number of decimals; from `LARGEST_FIXED` on as 1.53e32.

    Args:
        value: the number.
        form: the format specification, such as ".2f".
        sign: "+" to print the sign of a positive number.
    """
    return _power_of_ten(value, sign) if abs(value) >= LARGEST_FIXED else f"{value:{sign}{form}}"


def _power_of_ten(value: float, sign: str = "") -> str:
    """Return a number with three significant digits and a power of ten, such as 1.53e32."""
    return re.sub(r"e\+0*", "e", f"{value:{sign}.2e}")


def three_digits(mean: float, half: float = math.nan) -> str:
    """Return "mean ± half-width" with three significant digits; the text is empty where the mean is nan."""

    def number(value: float) -> str:
        if abs(value) >= 1e6:
            return _power_of_ten(value)
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    if mean != mean:
        return ""
    return f"{number(mean)} ± {number(half)}" if half == half else number(mean)


def level_columns(full: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the factors' columns of a table as text."""
    return pd.DataFrame({name: [level_text(value) for value in full[name]] for name in study.factors})


def bound_text(value: float) -> str:
    """Return a bound as text; the text is empty where the bound is nan."""
    return number_text(value, ".2f") if value == value else ""


def interval_column(full: pd.DataFrame, column: str, digits: int = 2, sign: str = "") -> list[str]:
    """Return a column and its half-widths in `<column>_ci95` as text, see `interval_texts`."""
    return interval_texts(full, column, f"{column}_ci95", f".{digits}f", sign)
