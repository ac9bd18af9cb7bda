"""Turns errors of MLflow, and of what it uses, into the few errors that the rest of the program knows.

TrackerUnavailable    the tracker cannot be used now; results wait in the outbox
NoTracker             there is no tracker at the address; it makes no sense to wait
RecordRefused         the tracker answers, and does not accept this record
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError

from vaestudy.errors import NoTracker, TrackerUnavailable
from vaestudy.runtime.credentials import without_credentials

P = ParamSpec("P")
T = TypeVar("T")

NO_TRACKER = re.compile(
    r"in a valid JSON format|failed with error code ((?!408|429)4\d\d|501)|out-of-date database schema"
    r"|malformed|file is not a database"
)
"""What MLflow's messages contain if there is no tracker at the address, or one of another version, or a damaged one."""


REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "INVALID_STATE",
}
"""Error codes of MLflow for a request that it understands and does not accept."""


class RecordRefused(TrackerUnavailable):
    """MLflow answers, and does not accept this record."""


def reaching_tracker(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a method so that errors of MLflow's store become `TrackerUnavailable` with the error's first line."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, ImportError, OSError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise _kind(error)(without_credentials(line, getattr(args[0], "uri", None))) from error

    return call


def _kind(error: Exception) -> type[TrackerUnavailable]:
    """Return the exception that stands for an error of MLflow's store."""
    if isinstance(error, MlflowException):
        if NO_TRACKER.search(str(error)):
            return NoTracker
        return RecordRefused if error.error_code in REFUSALS else TrackerUnavailable
    if isinstance(error, OperationalError | sqlite3.OperationalError):
        return TrackerUnavailable  # a lock or a lost connection
    permanent = DatabaseError | sqlite3.DatabaseError | CommandError | NoSuchModuleError | ImportError
    return NoTracker if isinstance(error, permanent) else TrackerUnavailable
