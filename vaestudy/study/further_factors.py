"""A study with further factors, as `--factor FIELD=a,b` makes it. Nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Mapping

from vaestudy.config.compatibility import has_option
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.declaration import Level, Levels, Study


def baseline_levels(study: Study, levels: Mapping[str, tuple[Level, ...]]) -> dict[str, Level]:
    """Return the baseline's level of each further factor: the base's value if it is a level, else the first level."""
    own = {name: getattr(study.base, name) for name in levels}
    return {name: own[name] if own[name] in values else values[0] for name, values in levels.items()}


def with_factors(study: Study, base: RunConfig, levels: Mapping[str, tuple[Level, ...]]) -> Study:
    """Return a study with further factors, after its own.

    Args:
        study: a study without a search.
        base: its base as the command line changes it, at the `baseline_levels` of the further factors.
        levels: field -> its levels, each validated (`study/levels.py`).

    Raises:
        BadInput: a field is a factor already or cannot be one, no likelihood of the study has such an option, or the
            further cells cannot be compared with the others.
    """
    if both := next((name for name in levels if name in study.factors), None):
        raise BadInput(f"{both}: is a factor of study {study.name} already")
    declared = {name: getattr(study, name) for name in Study.model_fields}
    factors: Levels = study.factors | dict(levels)
    _require_options(factors, levels, base)
    baseline = study.baseline | {name: getattr(base, name) for name in levels}
    figures = study.base.figures  # of them, the gallery needs one, whatever --figures says
    changes = {"base": base.with_changes(figures=figures), "factors": factors, "baseline": baseline}
    return Study(**declared | changes)


def _require_options(factors: Mapping[str, tuple[Level, ...]], further: Mapping[str, object], base: RunConfig) -> None:
    """Raise unless some likelihood of the study has the options that become factors.

    Raises:
        BadInput: none has; all levels would be the same cell.
    """
    likelihoods = [str(name) for name in factors.get("likelihood", (base.likelihood,))]
    for name in further:
        if not any(has_option(likelihood, name) for likelihood in likelihoods):
            fit = ", ".join(likelihood for likelihood in LIKELIHOODS if has_option(likelihood, name))
            raise BadInput(f"{name}: {', '.join(likelihoods)} has no such option; those that have: {fit}")
