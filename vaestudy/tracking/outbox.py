"""The outbox: finished records on disk that wait for the tracker.

Every record passes through the outbox, also while the tracker works:

1. `save_entry` writes the record into a folder of its own. It writes to `NAME.part` and renames that to `NAME`, so a
   folder with that name was written completely. No two entries have the same name, so none overwrites another.
2. The record is sent to the tracker, which marks the run FINISHED as the last step.
3. `remove_entry` renames the folder to `NAME.removed` and deletes it.

If the process is killed, the server is down or the database is locked before step 3, the entry stays on disk and is
published later, by `vaestudy sync` or by the next run of the study. If the run is FINISHED already, the publisher only
deletes the entry, so nothing is published twice. What a kill leaves as `NAME.part` or `NAME.removed` is deleted at the
next start (`discard_leftovers`).

An entry has an owner: the driver of its sweep, or the process of its single run. The owner holds a lock while it works
(`owned`). `vaestudy sync` publishes an entry only if it gets this lock, so two processes never publish the same entry.

An entry contains everything that publishing needs, so `vaestudy sync` works without the study's file:

    <root>/<study>-<sweep>-<key>-<owner>-<number>/entry.json    names, declaration, configuration, scores, curves
    <root>/<study>-<sweep>-<key>-<owner>-<number>/files/...     weights, figures and the record's other files
    <root>/set-aside/...                                        what cannot be read as an entry
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.record import Record
from vaestudy.runtime.addresses import public_address
from vaestudy.runtime.credentials import has_credentials
from vaestudy.runtime.paths import mlruns, slug, user_temporary
from vaestudy.study.declaration import Study

PART, REMOVED, SET_ASIDE = ".part", ".removed", "set-aside"
LONGEST_NAME = 150
"""Characters of the readable part of an entry's name; file systems allow 255 in all."""
OWNER_DIGITS = 12
HEAD = ("uri", "sweep", "cell", "quick", "note")
HEAD_ADDED_LATER = ("owner", "run_id", "has_credentials", "id")
"""Fields that are missing in entries written by earlier revisions."""


class OwnedElsewhere(Exception):
    """Error: another process holds the lock of these entries, so it is still running."""


class _Damaged(Exception):
    """Error for a folder that cannot be read as an entry."""


@dataclass(frozen=True)
class OutboxEntry:
    """A record, with everything that the publisher needs to publish it later."""

    uri: str
    """The address of the tracker that the record is for, without user and password."""
    sweep: str
    """The sweep's name; empty for a run that belongs to no sweep."""
    cell: str
    """The run's name."""
    study: Study
    base: RunConfig
    """The sweep's base configuration."""
    quick: bool
    note: str | None
    record: Record
    owner: str
    """The name of the lock that the process with this entry holds, see `owned`."""
    run_id: str | None = None
    """The run that was opened in MLflow for the record, if the tracker could be used then."""
    has_credentials: bool = False
    """Whether the tracker's address has a user and password. They are not stored."""
    id: str = ""
    """A name that no other entry has. It is tagged on the published run. Empty for entries of earlier revisions."""

    @property
    def key(self) -> str:
        """Return the key of the run's configuration."""
        return self.record.config.key


def roots() -> list[Path]:
    """Return the folders for new entries, in the order in which they are tried.

    The first is under mlruns/. The second is in the system's folder for temporary files and is used if the first
    cannot be written, for example because its disk is full.
    """
    return [mlruns() / "outbox", user_temporary("outbox")]


def former_roots() -> list[Path]:
    """Return the folders of earlier revisions. Their entries are still read; new entries are not written there."""
    return [mlruns() / "spool", user_temporary("spool")]


def sweep_owner(uri: str, study: str, sweep: str) -> str:
    """Return the owner of the entries of a sweep: whoever runs it, and so always the same name."""
    named = json.dumps([public_address(uri), study, sweep])
    return hashlib.sha256(named.encode()).hexdigest()[:OWNER_DIGITS]


def new_id() -> str:
    """Return a name that was not used before, for the owner of a single run or for an entry."""
    return secrets.token_hex(OWNER_DIGITS // 2)


def lock_folders() -> list[Path]:
    """Return the folders of the owners' locks.

    The lock beside the records is seen by every process that can read them, whoever its user is and whatever its folder
    for temporary files. The other one is there because the disk of the first can be full.
    """
    return [mlruns() / "locks", user_temporary("locks")]


@contextmanager
def owned(owner: str, wait_seconds: float = 0, single: bool = False) -> Iterator[None]:
    """Hold the locks of an owner while the block runs. A lock disappears with the process, also after a kill.

    Args:
        owner: the owner's name.
        wait_seconds: how long to wait for another process that holds a lock.
        single: whether the owner is a single run, whose lock is of no use afterwards.

    Raises:
        OwnedElsewhere: another process still holds one then.
        BadInput: no lock can be made.
    """
    failures: list[str] = []
    with ExitStack() as locks:
        for folder in lock_folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                locks.enter_context(FileLock(folder / f"{owner}.lock", timeout=wait_seconds))
            except Timeout:
                raise OwnedElsewhere(owner) from None
            except OSError as error:  # one of the folders is enough
                failures.append(f"{folder}: {error.strerror}")
        if len(failures) == len(lock_folders()):
            shown = "; ".join(failures)
            raise BadInput(f"no lock can be made, so another process could write the same results: {shown}")
        yield
        for folder in lock_folders() if single else ():  # no other process will ask for it
            with suppress(OSError):
                (folder / f"{owner}.lock").unlink()


def save_entry(entry: OutboxEntry) -> Path:
    """Write an entry completely or not at all; return its folder.

    Raises:
        OSError: none of the roots can be written to.
    """
    last_error: OSError | None = None
    readable = slug(f"{entry.study.name}-{entry.sweep}")[:LONGEST_NAME]
    for root in roots():
        folder = root / f"{readable}-{entry.key}-{entry.owner}-{entry.id}"
        scratch = folder.with_name(folder.name + PART)
        try:
            _write(scratch, entry)
            scratch.rename(folder)
            _sync_folder(root)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            last_error = error
            continue
        return folder
    raise last_error or OSError("no place to keep a result")


def waiting_entries(
    report: Callable[[str], None],
    uri: str | None = None,
    sweep: str | None = None,
    study: str | None = None,
) -> list[tuple[Path, OutboxEntry]]:
    """Return the entries that wait and their folders; only those of one tracker, sweep or study if these are given.

    What is not an entry is moved to the folder `set-aside`.

    Args:
        report: receives a line about each file or folder that is no entry.
        uri: the address of a tracker, with or without user and password.
        sweep: the name of a sweep.
        study: the name of a study.
    """
    found = []
    public = None if uri is None else public_address(uri)
    for path in _candidates():
        try:
            entry = _read(path)
        except _Damaged as error:
            _set_aside(path, str(error), report)
            continue
        except OSError as error:  # for example another user's entry: it stays where it is
            report(f"the waiting result {path} cannot be read: {error.strerror}")
            continue
        if entry is None:
            continue
        wanted = ((public, entry.uri), (sweep, entry.sweep), (study, entry.study.name))
        if all(value in (None, actual) for value, actual in wanted):
            found.append((path, entry))
    return found


def files_folder(folder: Path) -> Path:
    """Return the folder of an entry's files."""
    return folder / "files"


def remove_entry(folder: Path) -> None:
    """Delete an entry; call this only when its record is in the tracker.

    The folder is renamed first, so a kill never leaves a part of an entry under its name. If it cannot be renamed, the
    entry stays, and the next delivery finds its run FINISHED and deletes it.
    """
    removed = folder.with_name(folder.name + REMOVED)
    shutil.rmtree(removed, ignore_errors=True)
    with suppress(OSError):
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def discard_leftovers(held: str = "") -> None:
    """Delete what kills have left: entries that were being deleted, and entries whose writing did not end.

    Args:
        held: an owner whose lock this process holds. Leftovers of other owners are deleted if the owner has ended.
    """
    for root in (*roots(), *former_roots()):
        for path in root.glob(f"*{REMOVED}"):
            shutil.rmtree(path, ignore_errors=True)
        for path in root.glob(f"*{PART}"):
            owner = (["", "", *path.name.removesuffix(PART).rsplit("-", 2)])[-2]
            with suppress(OwnedElsewhere):  # the owner is alive and is writing it
                if owner == held:
                    shutil.rmtree(path, ignore_errors=True)
                    continue
                with owned(owner):
                    shutil.rmtree(path, ignore_errors=True)


def _candidates() -> Iterable[Path]:
    """Return what may be an entry, in all roots."""
    for root in (*roots(), *former_roots()):
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            if path.suffix not in (PART, REMOVED) and path.name != SET_ASIDE:
                yield path


def _set_aside(path: Path, reason: str, report: Callable[[str], None]) -> None:
    """Move what is no entry to the folder `set-aside` beside it; report it in one line."""
    target = path.parent / SET_ASIDE / path.name
    if target.exists():
        target = target.with_name(f"{path.name}-{new_id()}")
    try:
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    except FileNotFoundError:
        return  # its owner has published and deleted it in the meantime
    except OSError as error:
        report(f"{path} is no result that can be published ({reason}); it cannot be set aside ({error.strerror})")
        return
    report(f"{path.name} in {path.parent} is no result that can be published ({reason}); it was moved to {target}")


def _write(folder: Path, entry: OutboxEntry) -> None:
    """Write an entry's files, and entry.json last, and make sure that they are on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, content in entry.record.files.items():
        path = files_folder(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_file(path, content)
        digests[name] = hashlib.sha256(content).hexdigest()
    record = entry.record
    body: dict[str, Any] = {
        **{name: getattr(entry, name) for name in (*HEAD, *HEAD_ADDED_LATER)},
        "study": entry.study.model_dump(mode="json"),
        "base": entry.base.model_dump(mode="json"),
        "record": {k: v for k, v in asdict(record).items() if k not in ("config", "files")}
        | {"config": record.config.model_dump(mode="json"), "files": digests},
    }
    _write_file(folder / "entry.json", json.dumps(body).encode())
    _sync_folder(folder)


def _write_file(path: Path, content: bytes) -> None:
    """Write a file to the disk itself, not only to the system's cache."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk. Systems that cannot open a folder do not need it."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _read(folder: Path) -> OutboxEntry | None:
    """Read the entry that `_write` wrote; return None if it was deleted in the meantime.

    Raises:
        _Damaged: it is no entry, or not all of one.
        OSError: it cannot be read now.
    """
    try:
        body = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        stored = body["record"]
        contents = {name: (files_folder(folder) / name).read_bytes() for name in stored["files"]}
        if isinstance(stored["files"], dict):  # earlier revisions stored the names only
            _require_intact(contents, stored["files"])
        config = RunConfig.model_validate(stored["config"])
        record = Record(**(stored | {"config": config, "files": contents, "notices": tuple(stored["notices"])}))
        study, base = Study.stored(body["study"]), RunConfig.model_validate(body["base"])
        uri = public_address(body["uri"])
        added: dict[str, Any] = {name: body[name] for name in HEAD_ADDED_LATER if name in body}
        added.setdefault("owner", sweep_owner(uri, study.name, body["sweep"]))
        added.setdefault("has_credentials", has_credentials(body["uri"]))
        head = {name: body[name] for name in HEAD} | {"uri": uri}
        return OutboxEntry(**head, **added, study=study, base=base, record=record)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if not folder.exists():
            return None
        raise _Damaged(f"{Path(error.filename).name}: {error.strerror}") from error
    except (BadInput, ValueError, TypeError, AttributeError) as error:
        raise _Damaged((str(error).splitlines() or [type(error).__name__])[0]) from error
    except KeyError as error:
        raise _Damaged(f"{error} is missing") from error


def _require_intact(contents: dict[str, bytes], digests: dict[str, str]) -> None:
    """Raise unless the files have the digests that they had when they were written.

    Raises:
        ValueError: a file differs.
    """
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != digests[name]:
            raise ValueError(f"{name} is not what was written")
