"""The flags of annealed importance sampling, and their checks. Nothing slow is imported here."""

from __future__ import annotations

from typing import Any

from vaestudy.cli.flags import Parser, add_fields, flag
from vaestudy.config.messages import validated
from vaestudy.errors import BadInput
from vaestudy.scoring.ais_options import AisOptions

AIS_HELP = (
    "Add log p(x) by annealed importance sampling from the prior, how far the bounds are below it, and the error of "
    "annealed importance sampling itself on simulated images"
)


def add_ais_flags(parser: Parser) -> None:
    """Add the flag `--ais`, and a flag for each field of `AisOptions`."""
    parser.add_argument("--ais", action="store_true", help=AIS_HELP)
    add_fields(parser, AisOptions, "annealed importance sampling, with --ais", switches=True)


def take_ais_options(values: dict[str, Any]) -> AisOptions | None:
    """Remove these flags from the flags' values and return the options, or None without `--ais`.

    Raises:
        BadInput: a value is not valid, or an option stands without `--ais`.
    """
    wanted = values.pop("ais", False)
    given = {name: values.pop(name) for name in AisOptions.model_fields if name in values}
    if given and not wanted:
        name, value = next(iter(given.items()))
        raise BadInput(f"{flag(name)}{'' if value is True else f' {value}'}: only with --ais")
    return validated(AisOptions, given, flag) if wanted else None
