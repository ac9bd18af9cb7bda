"""The check that an id, or the first digits of one, is that of a tracked run. Nothing slow is imported here."""

from __future__ import annotations

import re

from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.tracking.database_checks import runs_beginning_with


def require_known_run(name: str, uri: str) -> None:
    """Raise unless `name` can be the beginning of a run's id. In a local store, there must be one such run.

    This check is quick; `Tracker.full_run_id` is exact.

    Raises:
        BadInput: `name` is not the beginning of an id, or not exactly one run has such an id.
    """
    if not re.fullmatch("[0-9a-f]{1,32}", name):
        raise BadInput(f"run {name!r}: must be the id of a run, or the id's first digits (0 to 9, a to f)")
    database = addresses.database_file(uri)
    if database is None:
        return
    if len(found := runs_beginning_with(database, name)) != 1:
        raise BadInput(
            f"{'no' if not found else 'more than one'} run {name!r} is tracked under {database.parent}; "
            "`vaestudy runs` lists the runs with their ids"
        )
