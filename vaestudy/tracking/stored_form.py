"""How a run's configuration, name and times are stored in MLflow so that its pages read well, and how they are read.

MLflow's pages show every parameter, in alphabetical order. So only about a dozen fields of a configuration are logged
as parameters, and all others as tags `vaestudy.config.<field>`. Runs of earlier revisions have every field as a
parameter. `read_config` gives the same for both.

A run is named in MLflow by its short name, and the tag `vaestudy.cell` has the long one.

MLflow's page of a run sorts metrics by the part of the name before the last "/". So the metrics that would come before
`test/`, `train/` and `valid/` are stored under names that come behind them, such as `wall_seconds/<part>` for the times
(`STORED_PREFIXES`). Everywhere else they have their own names, such as `seconds/<part>`, which runs of earlier
revisions have in MLflow, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import Study

TAG = "vaestudy."
"""How the names of our tags in MLflow begin."""
CONFIG = "config."
"""How the tags of a configuration's fields begin, behind `TAG`."""
CONFIG_KEY = "config.key"
"""The tag of the configuration's key. It is no field."""
CELL = "cell"
"""The tag of a run's long name."""

MOST_PARAMETERS = 12
ASKED_FOR = (
    "likelihood",
    "latent_dim",
    "minibatch",
    "samples",
    "estimator",
    "learning_rate",
    "epochs",
    "hidden",
    "pixels",
    "sigma",
    "optimizer",
    "dataset",
)
"""The fields that a reader asks for first."""

STORED_PREFIXES = {
    "seconds/": "wall_seconds/",
    "along/": "valid_along/",
    "gradient/": "weights_gradient/",
    "pruned/": "was_pruned/",
}
"""Prefix of a metric -> its prefix in MLflow."""


def varying_fields(study: Study) -> tuple[str, ...]:
    """Return the fields in which the runs of a study differ: its factors, the searched fields, and the seed."""
    searched = study.search.space if study.search else ()
    return tuple(dict.fromkeys((*study.factors, *searched, "seed")))


def parameter_fields(varying: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that are logged as parameters: all that vary, then what a reader asks for, up to a dozen."""
    others = [name for name in ASKED_FOR if name not in varying]
    return (*varying, *others[: max(MOST_PARAMETERS - len(varying), 0)])


def stored_config(config: RunConfig, varying: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return (the parameters, the tags without the prefix `TAG`) that store a configuration; together all its fields.

    Args:
        config: the configuration of a run.
        varying: the fields in which the runs of its study differ.
    """
    texts = {name: param_text(value) for name, value in config.model_dump(mode="json").items()}
    logged = parameter_fields(varying)
    return (
        {name: text for name, text in texts.items() if name in logged},
        {CONFIG + name: text for name, text in texts.items() if name not in logged},
    )


def read_config(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a configuration as text, of parameters and of tags.

    Args:
        params: the parameters of a run in MLflow.
        tags: its tags, without the prefix `TAG`.
    """
    return {name.removeprefix(CONFIG): text for name, text in tags.items() if is_config_tag(name)} | dict(params)


def is_config_tag(name: str) -> bool:
    """Return whether a tag, without the prefix `TAG`, stores a field of a configuration."""
    return name.startswith(CONFIG) and name != CONFIG_KEY


def param_text(value: Any) -> str:
    """Return a configuration's value as the text of an MLflow parameter."""
    return value if isinstance(value, str) else json.dumps(value)


def stored_metric(name: str) -> str:
    """Return the name of a metric in MLflow."""
    return _replaced(name, STORED_PREFIXES)


def metric_of(stored: str) -> str:
    """Return the metric that a name in MLflow stands for, the inverse of `stored_metric`."""
    return _replaced(stored, {stored_as: own for own, stored_as in STORED_PREFIXES.items()})


def _replaced(name: str, prefixes: Mapping[str, str]) -> str:
    """Return a name with its prefix replaced; a name with none of these prefixes is returned unchanged."""
    begin = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
    return name if begin is None else prefixes[begin] + name.removeprefix(begin)
