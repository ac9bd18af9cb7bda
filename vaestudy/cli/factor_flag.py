"""The flag `--factor FIELD=a,b` of every study. Nothing slow is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaestudy.cli.flags import Parser, flag
from vaestudy.cli.short_help import Entry
from vaestudy.config.messages import validated
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.checks import NO_FACTORS
from vaestudy.study.declaration import Level, Levels, Study
from vaestudy.study.further_factors import baseline_levels, with_factors
from vaestudy.study.levels import level_from_text

FORM = "FIELD=LEVEL,LEVEL, e.g. learning_rate=0.001,0.003"
ABOUT = "Compare these levels of any field"
HELP = (
    f"{ABOUT}, in place of its one value. FIELD becomes a factor of the study, or, if it is one, gets these levels. A "
    "level of several numbers is joined by x: hidden=256,512x256. The flag may be given several times"
)
ABOUT_OWN = "Compare these levels of a factor of this study"
HELP_OWN = f"{ABOUT_OWN}, in place of the declared ones. A study with a search takes no further factors"


def add_factor_flag(parser: Parser, topic: str, study: Study) -> None:
    """Add the flag `--factor`. A study with a search takes no further factors, so its help says less, or nothing."""
    metavar, about, text = "FIELD=a,b", ABOUT, HELP
    if study.search is not None:
        about, text = (ABOUT_OWN, HELP_OWN) if study.factors else ("", argparse.SUPPRESS)
    parser.group(topic).add_argument("--factor", nargs="*", action="extend", metavar=metavar, help=text)
    if about:
        parser.add_entry(Entry(topic, "--factor", metavar, about))


def factors_from_texts(texts: Sequence[str]) -> Levels:
    """Return field -> levels, as the texts FIELD=a,b give them.

    Raises:
        BadInput: a text has another form, a field does not exist or cannot be a factor, or a level is not valid.
    """
    found: Levels = {}
    if not texts:
        raise BadInput(f"--factor: must be {FORM}")
    for text in texts:
        name, equals, levels = text.partition("=")
        field = name.replace("-", "_")
        if not equals:
            raise BadInput(f"--factor {text}: must be {FORM}")
        if field not in RunConfig.model_fields:
            valid = [known for known in RunConfig.model_fields if known not in NO_FACTORS]
            raise BadInput(f"--factor: {unknown_name('field', name, valid, '--help')}")
        if field in NO_FACTORS:
            raise BadInput(f"--factor {field}: cannot be a factor: {NO_FACTORS[field]}")
        if field in found:
            raise BadInput(f"--factor {field}: is given twice; give all its levels at once, {FORM}")
        if not (parts := [part for part in levels.split(",") if part]):
            raise BadInput(f"--factor {text}: has no level; must be {FORM}")
        found[field] = tuple(dict.fromkeys(level_from_text(field, part, _factor) for part in parts))
    return found


def _factor(field: str) -> str:
    """Return the flag and the field, as they begin a message."""
    return f"--factor {field}"


def split_factors(study: Study, factors: Levels) -> tuple[Levels, Levels]:
    """Return the levels of the study's own factors, and those of further ones in the order of `RunConfig`.

    Raises:
        BadInput: the study has a search, which takes no further factors.
    """
    own = {name: levels for name, levels in factors.items() if name in study.factors}
    further = {name: factors[name] for name in RunConfig.model_fields if name in factors and name not in own}
    if further and study.search is not None:
        name = next(iter(further))
        own_names = ", ".join(study.factors)
        raise BadInput(
            f"--factor {name}: study {study.name} has a search, so it takes no further factors; {flag(name)} sets one "
            f"value{f', and the levels of these can be replaced: {own_names}' * bool(own_names)}"
        )
    return own, further


def extended(study: Study, further: Mapping[str, tuple[Level, ...]], values: Mapping[str, Any]) -> Study:
    """Return a study with further factors.

    Args:
        study: a study without a search.
        further: field -> its levels, in the order of `RunConfig`.
        values: field -> value, of the fields of the base that the command line gives.

    Raises:
        BadInput: see `with_factors`.
    """
    fields = study.base.model_dump() | dict(values) | baseline_levels(study, further)
    base = validated(RunConfig, fields, lambda field: _factor(field) if field in further else flag(field))
    try:
        return with_factors(study, base, further)
    except BadInput as error:
        names_it = str(error).startswith(tuple(f"{name}:" for name in further))
        raise BadInput(f"--factor {error}" if names_it else f"--factor {', '.join(further)}: {error}") from None


def require_given_once(factors: Levels, levels: Iterable[str], values: Mapping[str, Any]) -> None:
    """Raise if two flags say which levels a field has.

    Args:
        factors: field -> levels of `--factor`.
        levels: the factors whose levels are given by their own flag.
        values: name -> value of the other flags that are given.

    Raises:
        BadInput: two flags do.
    """
    levels = list(levels)
    for name in factors:
        if name in (*levels, *values):
            raise BadInput(f"{flag(name)}: not with --factor {name}, which gives its levels")
        for other in ("without", "tune"):
            if name in values.get(other, ()):
                raise BadInput(f"--{other} {name}: not with --factor {name}, which makes it a factor")
    for name in values.get("without", ()):
        if name in levels:
            raise BadInput(f"{flag(name)}: not with --without {name}, which leaves this factor out")
