"""The storage of a sweep's trials, and the lock that lets only one driver at a time work on a sweep.

    JournalTrialStorage     a journal file of Optuna under mlruns/; the lock is a file lock: drivers on one machine
    DatabaseTrialStorage    a PostgreSQL database; the lock is one of its advisory locks: drivers on many machines

The operating system releases a file lock when its process ends, and PostgreSQL releases an advisory lock when its
connection ends. So a driver that was killed leaves no lock behind. The driver's process and machine are stored with the
lock; a second driver on the same sweep stops with a message that names them.

A sweep has one or more generations, each with trials of its own. `--fresh` begins a new generation and keeps the
earlier ones. The first is named by the sweep's base name ("mnist"), the next ones by the base name and a number
("mnist~2", "mnist~3"). The lock is on the base name, so it covers all generations.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from vaestudy.errors import BadInput
from vaestudy.runtime.addresses import database_file, database_uri, public_address
from vaestudy.runtime.credentials import shown, without_credentials
from vaestudy.runtime.paths import mlruns, slug

LOCK_CLASS = 86_432  # separates our advisory locks from others in the same database
OPTUNA_TABLES = {"studies", "trials", "version_info"}
"""Tables that Optuna's databases have; other programs may have some tables of these names."""
MLFLOW_TABLES = {"experiments", "latest_metrics"}
"""Tables of MLflow's databases that Optuna's do not have."""
SAME_DATABASE = "select pg_postmaster_start_time()::text, current_database()::text, current_schema()::text"
"""A query that identifies a database and its schema. Two addresses of one database give the same answer."""


@dataclass(frozen=True)
class TrialLocation:
    """The address of a sweep's trials, as Optuna needs it."""

    address: str
    """The path of a journal file, or the address of a database."""
    study: str
    """The name of Optuna's study in it."""


class TrialStorage(Protocol):
    """The storage of the trials of a study's sweeps."""

    def locked(self, base_name: str) -> Any:
        """Return a context in which the sweep is locked, with all its generations.

        Raises:
            BadInput: another driver has locked it; the message names that driver.
        """

    def sweep_names(self, base_name: str) -> list[str]:
        """Return the generations of a sweep that exist, in any order: `base_name`, `base_name`~2, ..."""

    def repair(self, name: str) -> str | None:
        """Cut off an incomplete last write; return a message for the user if there was one.

        Raises:
            BadInput: the trials cannot be written.
        """

    def location(self, name: str) -> TrialLocation:
        """Return where the trials of a generation are stored."""

    def creating_tables(self) -> AbstractContextManager[None]:
        """Return a context in which Optuna may create its tables: no other process creates them at the same time."""


def journal_folder(uri: str) -> Path:
    """Return the folder for the journals of sweeps that are tracked at `uri`; each study has a folder in it.

    Each tracker has a folder of its own, so that a journal's trials always belong to the runs in that tracker.
    """
    base, address = mlruns() / "optuna", public_address(uri)
    if address == public_address(database_uri(mlruns() / "mlflow.db")):
        return base
    return base / slug(str(database_file(address) or address))


class JournalTrialStorage:
    """A folder with one journal file for each generation of a study's sweeps.

    Raises:
        BadInput: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
        self.folder = folder

    @contextmanager
    def locked(self, base_name: str) -> Iterator[None]:
        lock, owner_file = FileLock(self.folder / f"{base_name}.lock"), self.folder / f"{base_name}.owner"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            owner = owner_file.read_text(encoding="utf-8") if owner_file.exists() else "another process"
            raise BadInput(f"study {self.folder.name} ({base_name}) is being run by {owner}") from None
        except OSError as error:
            raise BadInput(f"{self.folder} cannot be written to: {error.strerror}") from None
        try:
            try:
                owner_file.write_text(_process_label(), encoding="utf-8")
            except OSError as error:  # no room
                raise BadInput(f"{owner_file} cannot be written: {error.strerror}") from None
            yield
        finally:
            with suppress(OSError):  # the next driver overwrites it
                owner_file.unlink()
            lock.release()

    def sweep_names(self, base_name: str) -> list[str]:
        return _generations([path.stem for path in self.folder.glob("*.journal")], base_name)

    def repair(self, name: str) -> str | None:
        journal = self.folder / f"{name}.journal"
        if journal.exists() and not os.access(journal, os.W_OK):
            raise BadInput(f"{journal} cannot be written to; it belongs to another user")
        return repair(journal)

    def location(self, name: str) -> TrialLocation:
        return TrialLocation(str(self.folder / f"{name}.journal"), name)

    def creating_tables(self) -> AbstractContextManager[None]:
        return nullcontext()


class DatabaseTrialStorage:
    """The trials of a study's sweeps in a PostgreSQL database.

    Raises:
        BadInput: the database does not answer, or no Python driver for it is installed.
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
            reason = without_credentials(str(error).splitlines()[0], uri)
            raise BadInput(f"--storage {shown(uri)}: cannot be used ({reason})") from None

    @contextmanager
    def locked(self, base_name: str) -> Iterator[None]:
        from sqlalchemy import text

        lock_id = {"kind": LOCK_CLASS, "name": f"{self.study}/{base_name}"}
        with self._engine.connect() as connection:
            if not connection.scalar(text("select pg_try_advisory_lock(:kind, hashtext(:name))"), lock_id):
                owner = connection.scalar(
                    text(
                        "select a.application_name from pg_locks l join pg_stat_activity a using (pid) "
                        "where l.locktype = 'advisory' and l.granted and l.classid = :kind "
                        "and l.objid::bigint = (hashtext(:name)::bigint & 4294967295)"
                    ),
                    lock_id,
                )
                raise BadInput(f"study {self.study} ({base_name}) is being run by {owner or 'another process'}")
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(:kind, hashtext(:name))"), lock_id)

    def sweep_names(self, base_name: str) -> list[str]:
        from sqlalchemy import inspect, text

        with self._engine.connect() as connection:
            if not inspect(connection).has_table("studies"):
                return []
            found = connection.scalars(text("select study_name from studies")).all()
        prefix = f"{self.study}/"
        return _generations([str(n).removeprefix(prefix) for n in found if str(n).startswith(prefix)], base_name)

    def repair(self, name: str) -> str | None:
        return None  # PostgreSQL recovers by itself

    def location(self, name: str) -> TrialLocation:
        return TrialLocation(self.uri, f"{self.study}/{name}")

    @contextmanager
    def creating_tables(self) -> Iterator[None]:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:kind)"), {"kind": LOCK_CLASS})
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(:kind)"), {"kind": LOCK_CLASS})


def require_own_database(uri: str, tracker: str) -> None:
    """Raise unless a database can contain Optuna's trials and is not the tracker's. Nothing is written.

    MLflow and Optuna both keep their schema's version in a table `alembic_version`, so neither can use the other's
    database.

    Args:
        uri: the address of the database.
        tracker: the address of the tracker.

    Raises:
        BadInput: the database does not answer, or is the tracker's, another program's or of another version of Optuna.
    """
    import optuna
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    def look(address: str) -> tuple[set[str], Any]:
        engine = sqlalchemy.create_engine(address)
        try:
            with engine.connect() as connection:
                same = connection.execute(sqlalchemy.text(SAME_DATABASE)).one()
                return set(sqlalchemy.inspect(connection).get_table_names()), tuple(same)
        finally:
            engine.dispose()

    head = f"--storage {shown(uri)}"
    try:
        tables, identity = look(uri)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise BadInput(f"{head}: cannot be used ({without_credentials(str(error).splitlines()[0], uri)})") from None
    with suppress(SQLAlchemyError):  # a tracker that does not answer is reported where it is used
        if tracker.startswith("postgresql") and look(tracker)[1] == identity:
            raise BadInput(f"{head}: is the tracker's database, too; MLflow and Optuna need a database each")
    ours = tables >= OPTUNA_TABLES
    if tables >= MLFLOW_TABLES or (not ours and tables & {"alembic_version", *OPTUNA_TABLES}):
        raise BadInput(f"{head}: is the database of another program; create a database for Optuna's trials")
    if ours:
        try:
            optuna.storages.RDBStorage(uri)
        except RuntimeError as error:
            reason = without_credentials(str(error), uri)
            raise BadInput(f"{head}: is of another version of Optuna ({reason})") from None


def _generations(names: list[str], base_name: str) -> list[str]:
    """Return the names that are generations of a sweep. Others are left out, e.g. a copy called `mnist~old`."""
    return [name for name in names if re.fullmatch(re.escape(base_name) + r"(~[0-9]{1,9})?", name)]


def repair(journal: Path) -> str | None:
    """Remove the first entry of a journal that cannot be read, and all after it; return a message for the user.

    If all entries can be read, the journal stays as it is, and None is returned.

    A kill or a full disk leaves an incomplete entry at the end, a damaged disk one anywhere. The bytes that are cut off
    are kept in a file beside the journal. No result is lost: a cell whose end was cut off is FINISHED in MLflow or
    waits in the outbox.
    """
    # Optuna's own lock file, left by a kill -9, would block us for half a minute. It can be removed safely, as the
    # caller has the sweep's lock.
    journal.with_name(journal.name + ".lock").unlink(missing_ok=True)
    content = journal.read_bytes() if journal.exists() else b""
    intact = 0
    for line in content.splitlines(keepends=True):
        if not _is_entry(line):
            break
        intact += len(line)
    if intact == len(content):
        return None
    rest = journal.with_suffix(".torn")
    with rest.open("ab") as file:
        file.write(content[intact:])
    scratch = journal.with_suffix(".repaired")
    scratch.write_bytes(content[:intact])
    scratch.replace(journal)
    return f"{journal} was torn; it was cut before the damage ({len(content) - intact} bytes, kept in {rest})"


def _is_entry(line: bytes) -> bool:
    """Return whether a line is complete and is an entry of a journal."""
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _process_label() -> str:
    """Return the text that names this process to other drivers."""
    return f"process {os.getpid()} on {platform.node()}"
