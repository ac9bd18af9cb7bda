"""The flags of `RunConfig`'s fields, by topic, with the defaults of a command: a study's base, or those of a preset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vaestudy.cli.flags import Parser, add_fields
from vaestudy.config.field_groups import GROUPS, meaningless_for
from vaestudy.config.run_config import RunConfig


def add_config_flags(
    parser: Parser,
    defaults: Mapping[str, Any],
    leave: Iterable[str] = (),
    levels: Mapping[str, Iterable[Any]] | None = None,
) -> None:
    """Add a flag for each field of `RunConfig`.

    Args:
        parser: the parser that gets the flags.
        defaults: the value of every field without its flag.
        leave: fields that get no flag.
        levels: the factors of a study and their levels.
    """
    leave = tuple(leave)
    for topic, fields in GROUPS.items():
        unused = {name: why for name in fields if (why := meaningless_for(name, defaults, levels or {}))}
        add_fields(parser, RunConfig, topic, only=fields, leave=leave, defaults=defaults, unused=unused)
