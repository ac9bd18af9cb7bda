"""The names of all metrics that a run can record, so that a misspelt name in a declaration is found before any run.

`docs/glossary.md` defines the metrics; a test checks that it lists the same names.
"""

from __future__ import annotations

import difflib
import re

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.errors import BadInput

METRICS = (
    "test/elbo",
    "test/log_likelihood",
    "test/kl",
    "test/iwae_<K>",
    "test/ess_<K>",
    "test/continuous_bernoulli_iwae_<K>",
    "test/continuous_bernoulli_ess_<K>",
    "test/bits_per_dim",
    "test/mean_matched_bits_per_dim",
    "test/mean_matched_ess_<K>",
    "test/<density>ais_<ais>",
    "test/<density>ess_ais_<ais>",
    "test/<density>ess_iwae_<K>_<ais>",
    "test/<density>acceptance_ais_<ais>",
    "test/<density>looseness_iwae_<K>_<ais>",
    "test/<density>looseness_elbo_<ais>",
    "test/<density>bdmc_gap_<ais>",
    "test/approximation_gap_<ais>",
    "test/amortisation_gap_<ais>",
    "test/bits_per_dim_ais_<ais>",
    "test/active_units",
    "test/kl_per_dimension",
    "train/elbo",
    "train/log_likelihood",
    "train/kl",
    "train/objective",
    "valid/elbo",
    "valid/log_likelihood",
    "valid/kl",
    "<metric>_se",
    "test/mse",
    "test/mae",
    "test/decoder_at_floor",
    "test/encoder_at_floor",
    "test/negative_sigma_units",
    "test/two_signed_sigma_units",
    "test/mass_at_0",
    "test/mass_at_0_data",
    "test/mass_near_1",
    "test/mass_near_1_data",
    "test/histogram_distance",
    "test/pit_distance",
    "test/own/<own>",
    "test/neighbour_purity",
    "test/recognised_reconstruction",
    "test/recognised_data",
    "test/relative_error",
    "test/class_entropy_<pictures>",
    "test/unclear_<pictures>",
    "test/two_classes_<pictures>",
    "test/two_classes_sd_<pictures>",
    "test/greyness_<pictures>",
    "test/class_<C>/images",
    "test/class_<C>/<score>",
    "test/class_<C>/neighbours_<other>",
    "test/class_<C>/mu_<d>",
    "train/likelihood_over_kl",
    "train/first_likelihood_over_kl",
    "train/gradient_norm",
    "epochs_to_95",
    "along/<images>/elbo",
    "along/<images>/images",
    "along/<images>/seconds",
    "pruned/epoch",
    "pruned/epochs_saved",
    "seconds_per_epoch",
    "seconds/train",
    "seconds/train_and_validate",
    "seconds/score",
    "seconds/figures",
    "seconds/total",
    "gradient/<stage>/<group>/var_x",
    "gradient/<stage>/<group>/var_eps",
    "gradient/<stage>/<group>/variance",
    "gradient/<stage>/<group>/signal",
    "gradient/<stage>/<group>/snr",
    "gradient/<stage>/<group>/snr_draws",
    "gradient/<stage>/<estimator>/<group>/<score>",
)
"""The names; `<...>` stands for a part that varies."""

OWN = "test/own/"
"""What the metrics begin with that a likelihood declares itself (`LikelihoodSpec.metrics`)."""

HIGHER = ("elbo", "iwae_", "continuous_bernoulli_iwae_", "log_likelihood", "neighbour_purity", "recognised_", "snr")
LOWER = ("bits_per_dim", "mean_matched_bits_per_dim", "mse", "mae", "histogram_distance", "pit_distance",
         "relative_error", "unclear_", "two_classes_", "epochs_to_", "seconds", "var_", "variance")  # fmt: skip
"""How the names of metrics begin of which more, or less, is better. Of all others neither is. Tables, figures and
MLflow's pages take the direction from here."""

PARTS = {
    "ais": r"\d+x\d+x\d+(?:-linear)?(?:-\d+steps)?",
    "density": "(?:continuous_bernoulli_)?",
    "K": r"\d+",
    "d": r"\d+",
    "images": r"\d+",
    "pictures": "data|reconstruction|prior",
    "stage": "start|epoch_1|end",
    "group": "encoder|mu_head|sigma_head|decoder|all|value",
}
"""What may stand in place of a part that varies; of other parts, anything without a slash."""


def is_metric(name: str) -> bool:
    """Return whether a run can record a metric of this name."""
    if name.endswith("_se"):
        return is_metric(name.removesuffix("_se"))
    if name.startswith(OWN):
        return any(name.removeprefix(OWN) in spec.metrics for spec in LIKELIHOODS.values())
    return any(_pattern(metric).fullmatch(name) for metric in METRICS if metric != "<metric>_se")


def metric_of(name: str) -> str:
    """Return the metric that a name stands for; `elbo` is short for `test/elbo`.

    Raises:
        BadInput: a run can record no such metric; the message has the nearest name.
    """
    for metric in (name, f"test/{name}"):
        if is_metric(metric):
            return metric
    full = [metric.replace("<K>", "100") for metric in METRICS if "<" not in metric.replace("<K>", "100")]
    near = difflib.get_close_matches(name, [*(metric.removeprefix("test/") for metric in full), *full], n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise BadInput(
        f"unknown metric {name!r}{hint}; metrics are elbo, kl, iwae_100, seconds/total and others "
        "(docs/glossary.md lists them)"
    )


def lower_is_better(name: str) -> bool | None:
    """Return whether less of a metric is better; None if neither less nor more is, as of the KL."""
    last = name if name.startswith("seconds") else name.rpartition("/")[2]
    if last.startswith(HIGHER):
        return False
    return True if last.startswith(LOWER) and not last.endswith("_data") else None


def _pattern(metric: str) -> re.Pattern[str]:
    """Return the pattern of the names that an entry of `METRICS` stands for."""
    parts = re.split(r"<(\w+)>", metric)
    texts = (f"(?:{PARTS.get(part, '[^/]+')})" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile("".join(texts))
