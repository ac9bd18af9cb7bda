"""The folder mlruns/ and the tracking database in it, and checks that an address or a path can be used.

Nothing slow is imported here, so a wrong path or address is reported at once.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vaestudy.errors import BadInput

MLRUNS_VARIABLE = "VAESTUDY_MLRUNS"
"""The environment variable that sets the folder of `mlruns`."""

SERVERS = {"http": 80, "https": 443}
"""Scheme of a tracking server -> its default port."""

DATABASES = ("postgresql", "mysql", "mssql")
"""Schemes of the tracking databases besides SQLite."""

CONNECT_SECONDS = 3
"""Seconds after which an attempt to connect fails."""


def checkout() -> Path:
    """Return the folder that contains the package: the root of a checkout, or `site-packages`."""
    spec = importlib.util.find_spec("vaestudy")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package vaestudy is not on the import path")
    return Path(spec.origin).resolve().parents[1]


def repository() -> Path:
    """Return the root of the checkout that this package runs from, or the current directory if there is no checkout."""
    return checkout() if (checkout() / "pyproject.toml").is_file() else Path.cwd()


def mlruns() -> Path:
    """Return the folder for all records: VAESTUDY_MLRUNS if it is set, else mlruns/ at the repository's root."""
    named = os.environ.get(MLRUNS_VARIABLE)
    return Path(named).resolve() if named else repository() / "mlruns"


def user_temporary(name: str) -> Path:
    """Return a path for this user in the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"vaestudy-{name}-{slug(_user_name())}"


def _user_name() -> str:
    """Return the name of this process's user, or the user's number if the system has no name for it.

    A container that was started with an arbitrary user id has no entry for it in the list of users.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # KeyError before Python 3.13; ImportError without the module pwd
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def slug(text: str) -> str:
    """Return `text` as a file name. It contains no slash and starts with no dot, so it stays inside its folder."""
    return re.sub(r"[^A-Za-z0-9._=+~-]+", "-", text).strip("-.") or "-"


def without_credentials(text: str) -> str:
    """Return `text` without the user and password of any URI in it, for messages and file names."""
    return re.sub(r"://[^@/\s]*@", "://", text)


def database_uri(path: Path) -> str:
    """Return the SQLite URI of a file. The path may contain spaces, % and #."""
    return f"sqlite:///{quote(str(path))}"


def tracking_uri(named: str | None, must_answer: bool = True) -> str:
    """Return the address of the tracker, checked, because a wrong address makes MLflow hang later.

    Args:
        named: the address that the user gave; None means MLFLOW_TRACKING_URI, else the SQLite file under mlruns/.
        must_answer: whether a server must answer now. A study does not need that: its results wait in the outbox until
            the server answers.

    Raises:
        BadInput: the file cannot be written, the server does not answer, or this kind of address is not supported.
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
    """Return the file of a SQLite URI, None for any other URI."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path[1:])) if parts.scheme.split("+")[0] == "sqlite" else None


def require_writable_database(path: Path, shown: str) -> None:
    """Raise unless a SQLite database can be written at `path`. Nothing is created.

    Args:
        path: the file.
        shown: the address or path in messages.

    Raises:
        BadInput: `path` is a folder, a file that cannot be written to, or a file of another kind; or its nearest
            existing folder cannot be written to.
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
    """Raise unless something listens at an address.

    Args:
        uri: the address.
        name: the flag of the address, for the message.
        kind: what should listen there, for the message.

    Raises:
        BadInput: nothing listens there.
    """
    parts = urlsplit(uri)
    address = (parts.hostname or "", parts.port or SERVERS[parts.scheme])
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise BadInput(f"{name} {without_credentials(uri)}: no {kind} answers there ({error})") from None


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
