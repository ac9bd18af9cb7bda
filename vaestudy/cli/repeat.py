"""The flags that train a tracked run again, and their checks. Nothing slow is imported here."""

from __future__ import annotations

from typing import Any

from vaestudy.cli.flags import Parser, flag
from vaestudy.cli.short_help import Entry
from vaestudy.errors import BadInput

BESIDE_FROM = ("dataset", "any_revision", "data_dir", "tracking_uri", "json")
"""The flags that may stand beside `--from`: all others would change the run. `--dataset` says where own data lies now;
its content must be that of the run."""
FROM = "Train this run again, with its configuration and seed, and compare each metric with its record"
ANY_REVISION = "With --from: repeat the run even if it was made by another code revision, or an uncommitted one"


def add_repeat_flags(parser: Parser, topic: str) -> None:
    """Add the flags `--from` and `--any-revision`."""
    group = parser.group(topic)
    group.add_argument("--from", metavar="RUN", help=f"{FROM}. RUN is the run's id, or the first digits of the id")
    group.add_argument("--any-revision", action="store_true", help=ANY_REVISION)
    parser.add_entry(Entry(topic, "--from", "RUN", "Train this run again, and compare each metric with its record"))
    parser.add_entry(Entry(topic, "--any-revision", ""))


def require_only_repeat_flags(values: dict[str, Any]) -> None:
    """Raise if a flag was given that does not go with `--from`, or one that needs `--from` without it.

    Args:
        values: name -> value of the flags that were given.

    Raises:
        BadInput: `--from` was given with a flag that would change the run, or `--any-revision` without `--from`.
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
