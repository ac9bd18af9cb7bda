"""Where things are written: mlruns/, the tracking database in it, and checks that they can be. Imports nothing slow."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import vaestudy
from vaestudy.errors import BadInput

MLRUNS_VARIABLE = "VAESTUDY_MLRUNS"
SERVERS = {"http": 80, "https": 443}
DATABASES = ("postgresql", "mysql", "mssql")
CONNECT_SECONDS = 3


def checkout() -> Path:
    """Return the folder that holds the package: the root of a checkout, or `site-packages`."""
    return Path(vaestudy.__file__).resolve().parents[1]


def repository() -> Path:
    """Return the checkout that this package runs from; the current directory where it was installed without one."""
    return checkout() if (checkout() / "pyproject.toml").is_file() else Path.cwd()


def mlruns() -> Path:
    """The folder for all that is recorded: VAESTUDY_MLRUNS, else mlruns/ at the repository's root."""
    named = os.environ.get(MLRUNS_VARIABLE)
    return Path(named).resolve() if named else repository() / "mlruns"


def slug(text: str) -> str:
    """`text` as a file name that cannot leave its folder."""
    return re.sub(r"[^A-Za-z0-9._=+~-]+", "-", text).strip("-.") or "-"


def without_credentials(text: str) -> str:
    """`text` without the user and password of any URI in it, for messages and file names."""
    return re.sub(r"://[^@/\s]*@", "://", text)


def database_uri(path: Path) -> str:
    """The SQLite URI of a file, safe with spaces, % and # in its path."""
    return f"sqlite:///{quote(str(path))}"


def tracking_uri(named: str | None, must_answer: bool = True) -> str:
    """`named`, else MLFLOW_TRACKING_URI, else the SQLite file under mlruns/; checked, since a wrong one hangs later.

    A study need not have its server answer: its results wait on disk until one does.

    Raises:
        BadInput: it cannot be written, does not answer, or is of no kind that tracking knows.
    """
    uri = named or os.environ.get("MLFLOW_TRACKING_URI") or database_uri(mlruns() / "mlflow.db")
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme == "sqlite":
        require_writable_database(database_file(uri) or Path(), uri)
    elif scheme in SERVERS:
        if must_answer:
            require_listening(uri, "--tracking-uri", "server")
    elif scheme not in DATABASES:
        valid = ", ".join(f"{kind}://" for kind in ("sqlite", *SERVERS, *DATABASES))
        raise BadInput(f"--tracking-uri {uri}: not a kind that can be used; choose from: {valid}")
    return uri


def database_file(uri: str) -> Path | None:
    """The file of a SQLite URI, None for any other URI."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path[1:])) if parts.scheme.split("+")[0] == "sqlite" else None


def require_writable_database(path: Path, shown: str) -> None:
    """Refuse a path that no file can be written at; nothing is created.

    Raises:
        BadInput: it is a folder, or its nearest existing folder cannot be written to.
    """
    if path.is_dir() or not path.name:
        raise BadInput(f"tracking path {shown}: a folder, not a file")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise BadInput(f"tracking path {shown}: the file cannot be written to")
        with path.open("rb") as file:
            if (head := file.read(16)) and head != b"SQLite format 3\x00":
                raise BadInput(f"tracking path {shown}: the file is no SQLite database")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"tracking path {shown}: {folder} cannot be written to")


def require_listening(uri: str, name: str, kind: str) -> None:
    """Refuse an address where nothing listens.

    Raises:
        BadInput: nothing does.
    """
    parts = urlsplit(uri)
    address = (parts.hostname or "", parts.port or SERVERS[parts.scheme])
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise BadInput(f"{name} {without_credentials(uri)}: no {kind} answers there ({error})") from None


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
