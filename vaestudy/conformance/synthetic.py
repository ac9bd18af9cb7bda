"""Synthetic runs of a study: a record of each cell with every metric that such a run has, and without any training."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.reporting.runs_frame import tidy_runs
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.study.declaration import Study
from vaestudy.study.metrics import METRICS
from vaestudy.training.gradient_noise import GROUPS, STAGES

CLASSES = 10
MARGINS = {
    "elbo": -100.0,
    "log_likelihood": -80.0,
    "iwae": -98.0,
    "continuous_bernoulli_iwae": -98.0,
    "objective": -101.0,
}
"""First word of a metric in nats that is below 0 -> about how large it is."""


def synthetic_runs(study: Study, seeds: int = 3) -> pd.DataFrame:
    """Return tidy runs of a study, as if all of its cells had been run.

    The numbers are random, but the same each time: bounds about -100 nats, shares between 0 and 1.
    """
    levels = study.levels_to_run(full=False, quick=True, given={})
    cells = study.cells_to_run(study.base, levels, seeds)
    return tidy_runs(pd.DataFrame([_record(i, cell.config) for i, cell in enumerate(cells)]), study)


def _record(number: int, config: RunConfig) -> dict[str, Any]:
    """Return the row of one finished run, with the columns that the tracker gives."""
    values = {name: v if isinstance(v, str) else json.dumps(v) for name, v in config.model_dump(mode="json").items()}
    tags = {"config.key": config.key, "data.name": "synthetic", "data.fingerprint": "f" * 64, "data.shape": "28 x 28",
            "data.classes": str(CLASSES), "code.revision": "0" * 40, "code.state": "clean",
            "data.train": "900", "data.valid": "100", "data.test": "100"}  # fmt: skip
    row: dict[str, Any] = {
        "run_id": f"{number:032x}",
        "name": f"run {number}",
        "status": "FINISHED",
        "start_time": number,
    }
    row |= {f"params.{name}": text for name, text in values.items()} | {
        f"tags.{name}": text for name, text in tags.items()
    }
    draw = random.Random(number)
    return row | {f"metrics.{name}": _value(name, draw, number) for name in sorted(set(metric_names(config)))}


def metric_names(config: RunConfig) -> Iterator[str]:
    """Yield the names of the metrics that a run records, from their patterns in `study/metrics.py`."""
    known = {
        "K": sorted({*config.iwae, *config.ais_iwae}) if config.ais_images else config.iwae,
        "d": range(1, config.latent_dim + 1) if config.latent_dim == 2 else (),
        "images": config.milestones,
        "pictures": ("data", "reconstruction", "prior") if config.class_scores else (),
        "stage": STAGES if config.gradient_images else (),
        "group": GROUPS,
        "estimator": {config.estimator, *config.gradient_estimators} if config.gradient_estimators else (),
        "C": range(CLASSES),
        "ais": _ais_labels(config),
        "density": ("", "continuous_bernoulli_"),
        "own": LIKELIHOODS[config.likelihood].metrics,
        "other": range(CLASSES) if config.class_scores else (),
    }
    scores = {
        "gradient": ("var_x", "var_eps", "variance", "signal", "snr", "snr_draws"),
        "test": ("elbo", "log_likelihood", "kl")
        + (
            ("neighbour_purity", "recognised_reconstruction", "recognised_data", "relative_error")
            if config.class_scores
            else ()
        ),
    }
    left_out = (("pruned/",)) + (() if config.class_scores else ("test/neighbour", "test/recognised", "test/relative"))
    for metric in METRICS:
        if metric.startswith(left_out) or metric == "<metric>_se":
            continue
        wanted = known | {"score": scores.get(metric.partition("/")[0], ())}
        parts = re.split(r"<(\w+)>", metric)
        for chosen in itertools.product(*(wanted[part] for part in parts[1::2])):
            texts = (str(text) for text in chosen)
            yield "".join(next(texts) if i % 2 else part for i, part in enumerate(parts))


def _ais_labels(config: RunConfig) -> tuple[str, ...]:
    """Return the settings in the names of the scores of annealed importance sampling, and of its error."""
    if not config.ais_images:
        return ()
    options = AisOptions.of_run(config)
    return tuple(dict.fromkeys(map(options.label, (config.ais_images, config.ais_simulated))))


def _value(name: str, draw: random.Random, number: int) -> float:
    """Return a number as it could be recorded under a name."""
    last, noise = name.rpartition("/")[2], draw.random()
    for word, size in MARGINS.items():
        if last == word or re.fullmatch(rf"{word}_\d+", last):
            return size * (1 + 0.02 * noise)
    if name.startswith("along/"):
        images = float(name.split("/")[1])
        return images if last == "images" else 1e-3 * images * (1 + 0.1 * noise)
    if last.startswith("mu_"):
        return noise - 0.5
    if last in ("kl", "kl_per_dimension", "epochs_to_95") or name.startswith(("gradient/", "seconds", "train/")):
        return 1 + 10 * noise
    return 2 + (number % 2) if last == "active_units" else noise
