"""The flags of searches: what they change in a study's search, or the search that `--tune` makes of a study's arms.

This file imports nothing slow, as the command line makes its flags from these fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from vaestudy.config.fields import Count
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.declaration import Level, Study
from vaestudy.study.search import Pruner, Sampler, Search
from vaestudy.study.search_space import DEFAULT_SPACE, Space

TUNE_TRIALS = 8
"""The number of trials of each arm without `--tune-budget`."""
QUICK_TRIALS = 6
QUICK_TUNE_TRIALS = 2
"""The number of trials with `--quick`: of a study's own search, and of each arm."""


class SearchFlags(BaseModel):
    """The flags of a study that declares a search."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    trials: Count | None = None
    """The search's budget: the number of trials. A larger number goes on with the same search."""
    sampler: Sampler | None = None
    """Optuna's sampler, which proposes configurations."""
    pruner: Pruner | None = None
    """Optuna's pruner, which ends trials early."""


class TuneFlags(BaseModel):
    """The flags by which the arms of a study with factors are tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tune: tuple[str, ...] = ()
    """Tune these fields for each arm (combination of levels), with the same budget. The best by validation is trained
    again with the study's seeds, and the table compares the tuned arms."""
    tune_budget: Count | None = None
    """The number of trials of each arm [default: 8]."""
    sampler: Sampler | None = None
    """Optuna's sampler of --tune [default: QMCSampler]."""
    pruner: Pruner | None = None
    """Optuna's pruner of --tune [default: NopPruner]."""
    without: tuple[str, ...] = ()
    """Leave out these factors: their fields stay at the baseline's levels."""


def searched(study: Study, flags: SearchFlags, quick: bool) -> tuple[Study, dict[str, str]]:
    """Return a study whose search is changed by flags, and the variant of its sweep.

    Args:
        study: a study with a search.
        flags: the flags.
        quick: whether the study is shrunk.

    Raises:
        BadInput: the changed search is not valid.
    """
    assert study.search is not None
    declared = study.search
    changes: dict[str, Any] = {k: v for k, v in flags.model_dump().items() if v is not None}
    if flags.trials is None and quick:
        changes |= {"trials": QUICK_TRIALS, "epochs": None}
    elif flags.trials is not None:
        changes["epochs"] = None
    fields = {name: getattr(declared, name) for name in Search.model_fields}
    variant = {k: _short(v) for k, v in changes.items() if k in ("sampler", "pruner") and v != getattr(declared, k)}
    return study.with_search(Search(**fields | changes)), variant


def tuned(study: Study, flags: TuneFlags, quick: bool, flag: Callable[[str], str]) -> tuple[Study, dict[str, str]]:
    """Return a study with factors as the flags of `--tune` change it, and the variant of its sweep.

    Args:
        study: a study with factors.
        flags: the flags.
        quick: whether the study is shrunk.
        flag: returns the flag of a field.

    Raises:
        BadInput: a flag does not go with the study, or with the other flags.
    """
    variant = {"without": "+".join(flags.without)} if flags.without else {}
    study = without_factors(study, flags.without, flag)
    if not flags.tune:
        for name in ("tune_budget", "sampler", "pruner"):
            if (value := getattr(flags, name)) is not None:
                raise BadInput(f"{flag(name)} {value}: goes with {flag('tune')} FIELD")
        return study, variant
    space: Space = {}
    for field in flags.tune:
        if field in study.factors:
            others = [name for name in DEFAULT_SPACE if name not in study.factors]
            raise BadInput(
                f"{flag('tune')} {field}: is a factor of this study; leave it out by {flag('without')} {field}, "
                f"or choose from: {', '.join(others)}"
            )
        if field not in DEFAULT_SPACE:
            raise BadInput(f"{flag('tune')}: {unknown_name('field', field, DEFAULT_SPACE)}")
        space[field] = DEFAULT_SPACE[field]
    search = Search(
        space=space,
        trials=flags.tune_budget or (QUICK_TUNE_TRIALS if quick else TUNE_TRIALS),
        sampler=flags.sampler or "QMCSampler",
        pruner=flags.pruner or "NopPruner",
        per_arm=True,
    )
    variant |= {"tune": "+".join(flags.tune)}
    variant |= {"sampler": _short(search.sampler)} if flags.sampler else {}
    variant |= {"pruner": _short(search.pruner)} if flags.pruner else {}
    return study.with_search(search), variant


def without_factors(study: Study, names: tuple[str, ...], flag: Callable[[str], str]) -> Study:
    """Return a study without some of its factors: their fields have the baseline's levels in every cell.

    Raises:
        BadInput: a name is no factor, or no factor is left.
    """
    for name in names:
        if name not in study.factors:
            raise BadInput(f"{flag('without')}: {unknown_name('factor', name, study.factors)}")
    if not names:
        return study
    if set(names) == set(study.factors):
        raise BadInput(f"{flag('without')} {' '.join(names)}: no factor is left; leave one or more of them")
    gone = {name: study.baseline[name] for name in names}
    fields = {name: getattr(study, name) for name in Study.model_fields}
    for part in ("factors", "full", "baseline"):
        fields[part] = {name: value for name, value in fields[part].items() if name not in gone}
    fields["base"] = study.base.with_changes(**gone)
    rules = [rule for rule in study.leave_out if all(gone.get(name, level) == level for name, level in rule.items())]
    fields["leave_out"] = tuple(kept for rule in rules if (kept := _only(rule, fields["factors"])))
    return Study(**fields)


def _only(rule: dict[str, Level], factors: dict[str, Any]) -> dict[str, Level]:
    """Return the levels of a rule that are of these factors."""
    return {name: level for name, level in rule.items() if name in factors}


def _short(name: str) -> str:
    """Return the name of a sampler or pruner in the name of a sweep: lower case, without its ending."""
    return name.removesuffix("Sampler").removesuffix("Pruner").lower()
