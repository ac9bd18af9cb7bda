"""The flags that train a tracked run again, and their checks. Nothing slow is imported here."""

from __future__ import annotations

import re
from typing import Any

from vaestudy.cli.flags import Parser, flag
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.tracking.database_checks import runs_beginning_with

BESIDE_FROM = ("dataset", "any_revision", "data_dir", "tracking_uri", "json")
"""The flags that may stand beside `--from`: all others would change the run. `--dataset` says where own data lies now;
its content must be that of the run."""


def add_repeat_flags(parser: Parser) -> None:
    """Add the flags `--from` and `--any-revision`."""
    group = parser.add_argument_group("repeat a tracked run")
    group.add_argument(
        "--from",
        metavar="RUN",
        help="Train this run again, with its configuration and seed, and compare each metric with its record. "
        "RUN is the run's id, or the first digits of the id",
    )
    group.add_argument(
        "--any-revision",
        action="store_true",
        help="With --from: repeat the run even if it was made by another code revision, or an uncommitted one",
    )


def require_only_repeat_flags(values: dict[str, Any]) -> None:
    """Raise unless the flags that were given can stand beside `--from`, or can stand without it.

    Args:
        values: name -> value of the flags that were given.

    Raises:
        BadInput: `--from` stands beside a flag that would change the run, or `--any-revision` stands without `--from`.
    """
    if "from" not in values:
        if "any_revision" in values:
            raise BadInput("--any-revision: only with --from RUN, which trains a tracked run again")
        return
    if other := next((name for name in values if name not in ("from", *BESIDE_FROM)), None):
        valid = ", ".join(map(flag, BESIDE_FROM))
        raise BadInput(
            f"{_as_given(other, values[other])}: not with --from {values['from']}, which takes everything that "
            f"changes a result from the run; beside --from choose from: {valid}"
        )


def _as_given(name: str, value: Any) -> str:
    """Return a flag with its value, as the user wrote them."""
    if isinstance(value, bool):
        return flag(name) if value else flag(f"no_{name}")
    return f"{flag(name)} {' '.join(value) if isinstance(value, list) else value}"


def require_known_run(name: str, uri: str) -> None:
    """Raise unless `name` can be the beginning of a run's id. In a local store, there must be one such run.

    This check is quick; `Tracker.full_run_id` is exact.

    Raises:
        BadInput: `name` is not the beginning of an id, or no run or more than one run has such an id.
    """
    if not re.fullmatch("[0-9a-f]{1,32}", name):
        raise BadInput(f"run {name!r}: must be the id of a run, or the id's first digits (0 to 9, a to f)")
    database = addresses.database_file(uri)
    if database is None:
        return
    if len(found := runs_beginning_with(database, name)) != 1:
        raise BadInput(
            f"{'no' if not found else 'more than one'} run {name!r} is tracked under {database.parent}; "
            "`vaestudy ui` or `mlflow ui` shows the ids"
        )
