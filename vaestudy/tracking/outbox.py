"""The outbox: finished records on disk that wait for the tracker.

Every record passes through the outbox, also while the tracker works:

1. `save_entry` writes the record into a folder of its own. It writes to `NAME.part` and renames that to `NAME`, so a
   folder with that name was written completely.
2. The publisher sends the record to the tracker, which marks the run FINISHED as the last step.
3. `remove_entry` deletes the folder.

If the process is killed, the server is down or the database is locked before step 3, the entry stays on disk and is
published later, by `vaestudy sync` or by the next run of the study. If the run is FINISHED already, the publisher only
deletes the entry, so nothing is published twice.

An entry contains everything that publishing needs, so `vaestudy sync` works without the study's file:

    <root>/<study>-<sweep>-<key of the configuration>/entry.json    names, declaration, configuration, scores, curves
    <root>/<study>-<sweep>-<key of the configuration>/files/...     weights, figures and the record's other files
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from vaestudy.config.run_config import RunConfig
from vaestudy.run.record import Record
from vaestudy.runtime.paths import mlruns, slug
from vaestudy.study.declaration import Study


@dataclass(frozen=True)
class OutboxEntry:
    """A record, with everything that the publisher needs to publish it later."""

    uri: str
    """The address of the tracker that the record is for."""
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

    @property
    def key(self) -> str:
        """Return the key of the run's configuration."""
        return self.record.config.key


def roots() -> list[Path]:
    """Return the folders for new entries, in the order in which they are tried.

    The first is under mlruns/. The second is in the system's folder for temporary files and is used if the first
    cannot be written, for example because its disk is full.
    """
    return [mlruns() / "outbox", _temporary("outbox")]


def former_roots() -> list[Path]:
    """Return the folders of earlier revisions. Their entries are still read; new entries are not written there."""
    return [mlruns() / "spool", _temporary("spool")]


def _temporary(name: str) -> Path:
    """Return a path for this user in the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"vaestudy-{name}-{slug(getpass.getuser())}"


def save_entry(entry: OutboxEntry) -> Path:
    """Write an entry completely or not at all; return its folder.

    Raises:
        OSError: none of the roots can be written to.
    """
    last_error: OSError | None = None
    for root in roots():
        folder = root / slug(f"{entry.study.name}-{entry.sweep}-{entry.key}")
        scratch = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            _write(scratch, entry)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.replace(folder)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            last_error = error
            continue
        return folder
    raise last_error or OSError("no place to keep a result")


def waiting_entries(
    uri: str | None = None, sweep: str | None = None, study: str | None = None
) -> list[tuple[Path, OutboxEntry]]:
    """Return the entries that wait and their folders; only those of one tracker, sweep or study if these are given."""
    found = []
    for root in (*roots(), *former_roots()):
        for folder in sorted(root.glob("*")) if root.is_dir() else []:
            if folder.suffix != ".part":
                entry = _read(folder)
                wanted = {"uri": uri, "sweep": sweep}
                if all(value in (None, getattr(entry, name)) for name, value in wanted.items()) and (
                    study in (None, entry.study.name)
                ):
                    found.append((folder, entry))
    return found


@contextmanager
def locked() -> Iterator[None]:
    """Lock the outbox while the block runs, so that only one process at a time publishes waiting entries."""
    with FileLock(_temporary("outbox").with_suffix(".lock")):
        yield


def files_folder(folder: Path) -> Path:
    """Return the folder of an entry's files."""
    return folder / "files"


def remove_entry(folder: Path) -> None:
    """Delete an entry; call this only when its record is in the tracker."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, entry: OutboxEntry) -> None:
    """Write an entry's files, and entry.json last."""
    for name, content in entry.record.files.items():
        path = files_folder(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    record = entry.record
    body: dict[str, Any] = {
        "uri": entry.uri,
        "sweep": entry.sweep,
        "cell": entry.cell,
        "quick": entry.quick,
        "note": entry.note,
        "study": entry.study.model_dump(mode="json"),
        "base": entry.base.model_dump(mode="json"),
        "record": {k: v for k, v in asdict(record).items() if k not in ("config", "files")}
        | {"config": record.config.model_dump(mode="json"), "files": sorted(record.files)},
    }
    with (folder / "entry.json").open("w", encoding="utf-8") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())


def _read(folder: Path) -> OutboxEntry:
    """Read the entry that `_write` wrote."""
    body = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
    stored = body["record"]
    contents = {name: (files_folder(folder) / name).read_bytes() for name in stored["files"]}
    config = RunConfig.model_validate(stored["config"])
    record = Record(**(stored | {"config": config, "files": contents, "notices": tuple(stored["notices"])}))
    study, base = Study.model_validate(body["study"]), RunConfig.model_validate(body["base"])
    head = {name: body[name] for name in ("uri", "sweep", "cell", "quick", "note")}
    return OutboxEntry(**head, study=study, base=base, record=record)
