"""Where Optuna keeps a sweep's trials, and the lock that makes one driver its only writer.

    JournalBooks    a file under mlruns/, locked by the file system: one machine
    DatabaseBooks   a PostgreSQL database, locked by an advisory lock that ends with its connection: many machines

Both are held by name: a second driver is told who the first is.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from vaestudy.errors import BadInput
from vaestudy.runtime.paths import without_credentials

LOCK_CLASS = 86_432  # ours among a database's advisory locks


@dataclass(frozen=True)
class TrialLocation:
    """Where Optuna finds a study."""

    address: str
    """A journal file, or the address of a database."""
    study: str
    """The name of the study in it."""


class TrialStorage(Protocol):
    """What a driver needs of the place where trials are kept."""

    def locked(self, base_name: str) -> Any:
        """A context that holds the sweep, all generations of it.

        Raises:
            BadInput: another driver does; the message says which.
        """

    def sweep_names(self, base_name: str) -> list[str]:
        """The generations of a sweep that exist: stem, stem~2, ..."""

    def repair(self, name: str) -> str | None:
        """Recover from a torn write; the line to show if there was any."""

    def location(self, name: str) -> TrialLocation:
        """Where the trials of a sweep are found."""


class JournalTrialStorage:
    """A journal file a generation, in `folder`."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
        self.folder = folder

    @contextmanager
    def locked(self, base_name: str) -> Iterator[None]:
        lock, owner = FileLock(self.folder / f"{base_name}.lock"), self.folder / f"{base_name}.owner"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
            raise BadInput(f"study {self.folder.name} ({base_name}) is being run by {holder}") from None
        try:
            owner.write_text(_process_label(), encoding="utf-8")
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def sweep_names(self, base_name: str) -> list[str]:
        return [
            path.stem
            for path in (*self.folder.glob(f"{base_name}.journal"), *self.folder.glob(f"{base_name}~*.journal"))
        ]

    def repair(self, name: str) -> str | None:
        return repair(self.folder / f"{name}.journal")

    def location(self, name: str) -> TrialLocation:
        return TrialLocation(str(self.folder / f"{name}.journal"), name)


class DatabaseTrialStorage:
    """All sweeps of a study in one PostgreSQL database.

    Raises:
        BadInput: the database does not answer, or no driver for it is installed.
    """

    def __init__(self, uri: str, study: str) -> None:
        import sqlalchemy

        self.uri, self.study = uri, study
        try:
            self._engine = sqlalchemy.create_engine(
                uri, connect_args={"application_name": f"vaestudy {_process_label()}"}
            )
            self._engine.connect().close()
        except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(
                f"--storage {without_credentials(uri)}: cannot be used ({without_credentials(reason)})"
            ) from None

    @contextmanager
    def locked(self, base_name: str) -> Iterator[None]:
        from sqlalchemy import text

        sweep_names = {"kind": LOCK_CLASS, "name": f"{self.study}/{base_name}"}
        with self._engine.connect() as connection:
            if not connection.scalar(text("select pg_try_advisory_lock(:kind, hashtext(:name))"), sweep_names):
                holder = connection.scalar(
                    text(
                        "select a.application_name from pg_locks l join pg_stat_activity a using (pid) "
                        "where l.locktype = 'advisory' and l.granted and l.classid = :kind "
                        "and l.objid::bigint = (hashtext(:name)::bigint & 4294967295)"
                    ),
                    sweep_names,
                )
                raise BadInput(f"study {self.study} ({base_name}) is being run by {holder or 'another process'}")
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(:kind, hashtext(:name))"), sweep_names)

    def sweep_names(self, base_name: str) -> list[str]:
        from sqlalchemy import inspect, text

        with self._engine.connect() as connection:
            if not inspect(connection).has_table("studies"):
                return []
            found = connection.scalars(text("select study_name from studies")).all()
        pattern = re.compile(re.escape(f"{self.study}/{base_name}") + r"(~\d+)?")
        return [str(name).removeprefix(f"{self.study}/") for name in found if pattern.fullmatch(str(name))]

    def repair(self, name: str) -> str | None:
        return None

    def location(self, name: str) -> TrialLocation:
        return TrialLocation(self.uri, f"{self.study}/{name}")


def latest_name(sweep_names: list[str], base_name: str, fresh: bool) -> str:
    """The newest of a sweep's generations, or a further one if it is to be begun anew."""
    numbers = [1 if name == base_name else int(name.rsplit("~", 1)[1]) for name in sweep_names]
    newest = max(numbers, default=0) + (1 if fresh or not numbers else 0)
    return base_name if newest == 1 else f"{base_name}~{newest}"


def repair(journal: Path) -> str | None:
    """Cut off what a kill or a full disk left half written at a journal's end; the line to show if there was any.

    What is cut is kept beside it. Nothing is lost by it: a cell whose end was cut is found finished in MLflow.
    """
    # Optuna's own lock, left by a kill -9, would stall us for half a minute; the sweep's, which we hold, guards both.
    journal.with_name(journal.name + ".lock").unlink(missing_ok=True)
    content = journal.read_bytes() if journal.exists() else b""
    good = len(content)
    while good and not _is_entry(content[:good]):
        good = content.rfind(b"\n", 0, good - 1) + 1
    if good == len(content):
        return None
    with journal.with_suffix(".torn").open("ab") as kept:
        kept.write(content[good:])
    scratch = journal.with_suffix(".mended")
    scratch.write_bytes(content[:good])
    scratch.replace(journal)
    return f"{journal} was torn; went back to its last whole entry ({len(content) - good} bytes cut off and kept)"


def _is_entry(content: bytes) -> bool:
    """Whether the last line is whole and is JSON."""
    if not content.endswith(b"\n"):
        return False
    try:
        json.loads(content[content.rfind(b"\n", 0, len(content) - 1) + 1 :])
    except ValueError:
        return False
    return True


def _process_label() -> str:
    return f"process {os.getpid()} on {platform.node()}"
