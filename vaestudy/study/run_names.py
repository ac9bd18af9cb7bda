"""The names by which the command line takes tracked runs: an id, or a cell of a study. Nothing slow is imported here.

0123abcd                                   the run whose id begins so
latent-dims:latent_dim=10                  a cell of a study: its runs, one for each seed
latent-dims:latent_dim=10,seed=0           one run of it
latent-dims/mnist-5k:latent_dim=10         a cell of a sweep that is named [default: the newest that is not --quick]
tune:best, tune:base                       the two configurations that a search without factors compares
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.levels import level_from_text, level_text
from vaestudy.study.plan import BASE, BEST

FIELDS_BY = "`vaestudy train --help-all`"
FORMS = "RUN is a run's id or its first digits, or a cell STUDY:FIELD=LEVEL,FIELD=LEVEL or STUDY/SWEEP:FIELD=LEVEL"


@dataclass(frozen=True)
class RunName:
    """A run or a cell, as the user names it."""

    text: str
    """What the user wrote."""
    digits: str = ""
    """The first digits of a run's id; empty for a cell."""
    study: str = ""
    sweep: str = ""
    """The sweep; empty for the newest."""
    levels: tuple[tuple[str, str], ...] = ()
    """(field, level as `level_text` has it) of a cell."""
    final: str = ""
    """`best` or `base`, for a study with a search."""


def parse_run_name(text: str) -> RunName:
    """Return the run or cell that a text names.

    Raises:
        BadInput: the text is neither an id nor a cell, or a field or a level of the cell is not valid.
    """
    if re.fullmatch("[0-9a-f]{1,32}", text):
        return RunName(text, digits=text)
    head, colon, tail = text.partition(":")
    study, slash, sweep = head.partition("/")
    study = study.replace("_", "-")
    if not colon or not re.fullmatch("[a-z][a-z0-9-]*", study) or (slash and not sweep) or not tail:
        raise BadInput(f"run {text!r}: {FORMS}")
    if tail in (BEST, BASE):
        return RunName(text, study=study, sweep=sweep, final=tail)
    return RunName(text, study=study, sweep=sweep, levels=parse_levels(tail, f"run {text!r}", FORMS))


def parse_levels(text: str, where: str, forms: str) -> tuple[tuple[str, str], ...]:
    """Return the levels that a text names, as (field, level as `level_text` has it).

    Args:
        text: levels joined by commas, e.g. "latent_dim=10,sigma=raw".
        where: what the text stands in, for the message.
        forms: what is expected, for the message.

    Raises:
        BadInput: a part is no FIELD=LEVEL, or its field or its level is not valid.
    """
    found = []
    for part in text.split(","):
        field, equals, level = part.partition("=")
        field = field.replace("-", "_")
        if not equals:
            raise BadInput(f"{where}: {part!r} is no FIELD=LEVEL; {forms}")
        if field not in RunConfig.model_fields:
            raise BadInput(f"{where}: {unknown_name('field', field, RunConfig.model_fields, FIELDS_BY)}")
        found.append((field, level_text(level_from_text(field, level, str))))
    return tuple(found)
