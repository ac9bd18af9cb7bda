"""The checks of a declared study. Each mistake is reported as one line, before anything is run.

A declaration that is read back from a record is not checked again: an earlier revision may have accepted it, and its
results stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from vaestudy.config.compatibility import OPTION_DEFAULTS
from vaestudy.config.registry import RUN_FIGURES
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.levels import Level, Levels, combinations, level_of, level_text, settled
from vaestudy.study.metrics import METRICS, is_metric
from vaestudy.study.search import Search
from vaestudy.study.search_space import require_space

SINGLE_RUNS = "train"
"""The name under which single runs are recorded."""

NO_FACTORS = {
    "seed": "it is a factor of every study; seeds=N (in a command --seeds N) gives their number",
    "dataset": "one table cannot hold different data sets",
    "data_digest": "one table cannot hold different data sets",
    "subset": "one table cannot hold different subsets",
    "pixels": "one table cannot hold different pixel protocols",
    "figures": "it changes no score",
    "gradient_estimators": "its levels would be lists of names",
}
"""Field of `RunConfig` that cannot be a factor -> the reason."""


class Declared(Protocol):
    """The fields of a study that this file reads."""

    name: str
    doc: str
    base: RunConfig
    factors: Levels
    full: Levels
    leave_out: tuple[dict[str, Level], ...]
    baseline: dict[str, Level]
    tabulate: tuple[str, ...]
    gallery: str
    search: Search | None


def canonical(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's fields with every level as a value of its factor's field.

    Raises:
        BadInput: a factor does not exist or cannot be one, or its field does not accept a level.
    """
    found = dict(data)
    for part in ("factors", "full"):
        if isinstance(declared := found.get(part), Mapping):
            found[part] = {name: _levels(part, name, values) for name, values in declared.items()}
    if isinstance(baseline := found.get("baseline"), Mapping):
        found["baseline"] = _combination("baseline", baseline)
    if isinstance(rules := found.get("leave_out"), list | tuple):
        found["leave_out"] = tuple(_combination("leave_out", r) if isinstance(r, Mapping) else r for r in rules)
    if isinstance(search := found.get("search"), Search) and isinstance(base := found.get("base"), RunConfig):
        found["search"] = search.model_copy(update={"space": require_space(search.space, base)})
    return found


def _combination(part: str, levels: Mapping[str, Any]) -> dict[str, Level]:
    """Return levels of some factors, validated."""
    return {name: _level(part, name, value) for name, value in levels.items()}


def _levels(part: str, name: str, values: Any) -> tuple[Level, ...]:
    """Return the levels of one factor, validated."""
    _require_field(name)
    try:
        declared = None if isinstance(values, str | bytes | set | frozenset | Mapping) else tuple(values)
    except TypeError:  # no iterable, or one without items such as an array of no dimension
        declared = None
    if declared is None:
        raise BadInput(f"{part} {name}: levels must be a tuple such as (2, 10), not {values!r}")
    found = tuple(_level(part, name, value) for value in declared)
    if not found:
        raise BadInput(f"{part} {name}: has no level; give one or more")
    return found


def _level(part: str, name: str, value: Any) -> Level:
    """Return one level, validated."""
    _require_field(name)
    try:
        return level_of(name, value)
    except BadInput as error:
        raise BadInput(f"{part}: {error}") from None


def _require_field(name: str) -> None:
    """Raise unless a field exists and can be a factor."""
    if name in NO_FACTORS:
        raise BadInput(f"{name} cannot be a factor: {NO_FACTORS[name]}")
    if name not in RunConfig.model_fields:
        raise BadInput(unknown_name("factor", name, sorted(set(RunConfig.model_fields) - set(NO_FACTORS))))


def require_consistent(study: Declared) -> None:
    """Raise an error if a study cannot be run, or its cells cannot be compared. Its levels are already validated.

    Raises:
        BadInput: a level is given twice, the baseline is none of the cells, `leave_out` names a level that is not run,
            a metric does not exist, or another field does not fit.
    """
    if not study.doc.strip():
        raise BadInput("doc: is empty; its first line must be the question that the study answers")
    if any("\ud800" <= character <= "\udfff" for character in study.doc):
        raise BadInput("doc: contains half of a character (U+D800 to U+DFFF), which no file and no tracker takes")
    if (bool(study.factors) or study.search is not None) == (study.name == SINGLE_RUNS):
        raise BadInput(
            f"name {SINGLE_RUNS}: single runs are recorded under it; choose another name"
            if study.name == SINGLE_RUNS
            else "factors: there is none; give one or more, such as {'latent_dim': (2, 10)}, or a search"
        )
    if study.search is not None:
        _require_search(study, study.search)
    for part, names in (("baseline", study.baseline), ("full", study.full)):
        if strange := set(names) - set(study.factors):
            raise BadInput(f"{part}: {unknown_name('factor', min(strange), study.factors)}")
    if missing := [name for name in study.factors if name not in study.baseline]:
        raise BadInput(f"baseline: gives no level of {missing[0]}; choose from: {_texts(study.factors[missing[0]])}")
    for name, levels in study.factors.items():
        _require_distinct(name, levels + study.full.get(name, ()))
    for rule in study.leave_out:
        _require_rule(study, rule)
    _require_baseline(study)
    for metric in study.tabulate:
        if not is_metric(metric):
            raise BadInput(unknown_name("metric", metric, METRICS))
    if study.gallery and study.gallery not in RUN_FIGURES:
        raise BadInput("gallery: " + unknown_name("figure", study.gallery, RUN_FIGURES))
    if study.gallery and study.gallery not in study.base.figures:
        drawn = ", ".join(study.base.figures) or "none"
        raise BadInput(f"gallery {study.gallery}: no run draws it; the figures of the base are: {drawn}")


def _require_search(study: Declared, search: Search) -> None:
    """Raise if a search does not fit to its study.

    Raises:
        BadInput: the search is of arms, but there are no factors; a searched field is a factor; no validation images
            are set aside; or the trials' objectives are of several families.
    """
    if search.per_arm and not study.factors:
        raise BadInput("search: each arm is to have one, but the study has no factors")
    if both := [field for field in search.space if field in study.factors and search.per_arm]:
        raise BadInput(
            f"{both[0]}: is a factor of the study, so it cannot be tuned for each of its levels; choose another field"
        )
    if study.base.valid_size == 0 or "valid_size" in study.factors:
        raise BadInput(
            f"search: the objective {search.objectives[0]} needs validation images; valid_size must be above 0"
        )
    families = search.families(study.base)
    if len(families) > 1:
        raise BadInput(
            f"search: nats of {' and '.join(families)} likelihoods cannot be ranked in {search.objectives[0]}"
        )


def _texts(levels: Iterable[Level]) -> str:
    """Return levels as text, for messages."""
    return ", ".join(map(level_text, levels))


def _require_distinct(name: str, levels: tuple[Level, ...]) -> None:
    """Raise if two levels are equal or have the same text."""
    texts = [level_text(level) for level in levels]
    if twice := [text for text in texts if texts.count(text) > 1]:
        raise BadInput(f"{name}: the level {twice[0]} is given twice; its levels are {', '.join(texts)}")


def _require_baseline(study: Declared) -> None:
    """Raise unless the baseline is one of the cells that are run without `--full`."""
    for name, level in study.baseline.items():
        if level not in study.factors[name]:
            further = " (a level of full is not run without --full)" if level in study.full.get(name, ()) else ""
            choices = _texts(study.factors[name])
            raise BadInput(f"baseline {name}={level_text(level)}: not a level{further}; choose from: {choices}")
    likelihood = study.base.likelihood
    for name, level in settled(likelihood, study.baseline).items():
        if level != study.baseline[name]:
            own = study.baseline.get("likelihood", likelihood)
            given, default = level_text(study.baseline[name]), level_text(level)
            raise BadInput(f"baseline {name}={given}: {own} has no such option; it must be the default, {default}")
    alone: Levels = {name: (level,) for name, level in study.baseline.items()}
    if study.factors and not combinations(likelihood, alone, study.leave_out):
        shown = ", ".join(f"{name}={level_text(level)}" for name, level in study.baseline.items())
        raise BadInput(f"baseline {shown}: leave_out leaves this cell out")


def _require_rule(study: Declared, rule: dict[str, Level]) -> None:
    """Raise if a rule of `leave_out` is empty or names a level that is not run."""
    if not rule:
        raise BadInput("leave_out: an empty entry would leave out every cell")
    for name, level in rule.items():
        if name not in study.factors:
            raise BadInput(f"leave_out: {unknown_name('factor', name, study.factors)}")
        levels = study.factors[name] + study.full.get(name, ())
        if level not in levels and level != OPTION_DEFAULTS.get(name):
            raise BadInput(f"leave_out {name}={level_text(level)}: not a level; choose from: {_texts(levels)}")
