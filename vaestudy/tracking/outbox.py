"""Results that are safe on disk before anybody tracks them.

A record is written here whole, then delivered to the tracker, then dropped; so a tracking server that is down, a locked
database or a kill between the two loses nothing. `vaestudy sync`, or the next run of the study, delivers what is left.
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
    """A finished run and all that is needed to track it: its sweep's name and declaration, its own name and record."""

    uri: str
    sweep: str
    cell: str
    study: Study
    base: RunConfig
    quick: bool
    note: str | None
    record: Record

    @property
    def key(self) -> str:
        return self.record.config.key


def roots() -> list[Path]:
    """Return the folders for waiting results: under mlruns/, and one of the system's where that cannot be written."""
    return [mlruns() / "outbox", _temporary("outbox")]


def former_roots() -> list[Path]:
    """Return the folders that earlier revisions used; what waits there is still read, and nothing new is written."""
    return [mlruns() / "spool", _temporary("spool")]


def _temporary(name: str) -> Path:
    """Return this user's path of that name in the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"vaestudy-{name}-{slug(getpass.getuser())}"


def save_entry(entry: OutboxEntry) -> Path:
    """Write an entry, whole or not at all; its folder.

    Raises:
        OSError: none of the roots can be written to.
    """
    trouble: OSError | None = None
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
            trouble = error
            continue
        return folder
    raise trouble or OSError("no place to keep a result")


def waiting_entries(
    uri: str | None = None, sweep: str | None = None, study: str | None = None
) -> list[tuple[Path, OutboxEntry]]:
    """The entries kept, of one tracker, sweep and study if those are named."""
    found = []
    for root in (*roots(), *former_roots()):
        for folder in sorted(root.glob("*")) if root.is_dir() else []:
            if folder.suffix != ".part":
                entry = _read(folder)
                asked = {"uri": uri, "sweep": sweep}
                if all(value in (None, getattr(entry, name)) for name, value in asked.items()) and (
                    study in (None, entry.study.name)
                ):
                    found.append((folder, entry))
    return found


@contextmanager
def locked() -> Iterator[None]:
    """Hold the outbox, so that one process at a time publishes its entries."""
    with FileLock(_temporary("outbox").with_suffix(".lock")):
        yield


def files_folder(folder: Path) -> Path:
    """The folder of an entry's files."""
    return folder / "files"


def remove_entry(folder: Path) -> None:
    """Forget an entry: it is tracked."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, entry: OutboxEntry) -> None:
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
    body = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
    stored = body["record"]
    contents = {name: (files_folder(folder) / name).read_bytes() for name in stored["files"]}
    config = RunConfig.model_validate(stored["config"])
    record = Record(**(stored | {"config": config, "files": contents, "notices": tuple(stored["notices"])}))
    study, base = Study.model_validate(body["study"]), RunConfig.model_validate(body["base"])
    head = {name: body[name] for name in ("uri", "sweep", "cell", "quick", "note")}
    return OutboxEntry(**head, study=study, base=base, record=record)
