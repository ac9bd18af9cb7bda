"""The addresses of trackers, databases and schedulers: checked, and brought into one form.

An address that the user gives is checked once, at the command line. From then on the program uses its normal form:

    sqlite:///rel.db, sqlite:///./rel.db, sqlite+pysqlite:///rel.db    -> sqlite:////current/folder/rel.db
    HTTP://user:p@ss@host/                                             -> http://user:p%40ss@host

The normal form keeps the credentials (`runtime/credentials.py`), as they are needed to connect. `public_address` gives
the address without them, which names the tracker in records. Nothing slow is imported here, so a wrong address is
reported at once; only the address of a database server imports sqlalchemy, to find the database's driver.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from vaestudy.errors import BadInput
from vaestudy.runtime.credentials import SECRET_PARAMETER, shown
from vaestudy.runtime.paths import mlruns

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
"""The environment variable that gives the tracker's address if no flag does."""

SERVERS = {"http": 80, "https": 443}
"""Scheme of a tracking server -> its default port."""

DATABASES = ("postgresql", "mysql", "mssql")
"""Schemes of the tracking databases besides SQLite."""

SCHEDULERS = ("tcp", "tls")
"""Schemes of Dask's schedulers."""

CONNECT_SECONDS = 3
"""Seconds after which an attempt to connect fails."""

DRIVER_PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
"""Module of a database driver -> the package that contains it, where the names differ."""

LONGEST_HOST = 253
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadAddress(ValueError):
    """An address that cannot be used."""

    def __init__(self, address: str, why: str) -> None:
        """Args:
        address: the address as the user gave it.
        why: the reason and what is valid, without any part of the address that may be secret.
        """
        self.shown, self.why = shown(address), why
        super().__init__(f"{self.shown}: {why}")


@dataclass(frozen=True)
class Location:
    """The parts of an address that names a host; the scheme and the driver are not among them."""

    user: str | None
    password: str | None
    host: str
    port: int | None
    path: str
    """The path with its slash, or empty."""
    query: str
    """The parameters, without the question mark."""

    def text(self, scheme: str) -> str:
        """Return the address in its normal form."""
        login = "" if self.user is None else quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        query = f"?{self.query}" if self.query else ""
        return f"{scheme}://{login}{'@' if login else ''}{host}{port}{self.path}{query}"


def public_address(address: str) -> str:
    """Return the normal form of an address without its credentials. It names the tracker in records and folders.

    Two addresses of one tracker have the same public address. An address that is malformed, as one in an old record may
    be, is returned as `shown` shows it.
    """
    try:
        if (database := database_file(address)) is not None:
            return database_uri(_absolute(database, address))
        scheme, location = _scheme(address)[0], _location(address)
    except BadAddress:
        return shown(address)
    query = "&".join(part for part in location.query.split("&") if not SECRET_PARAMETER.match(part))
    return Location(None, None, location.host, location.port, location.path, query).text(scheme)


def database_uri(path: Path) -> str:
    """Return the SQLite URI of a file. Special characters in the path (space, %, #) are encoded."""
    return f"sqlite:///{quote(os.fsencode(path))}"


def database_file(address: str) -> Path | None:
    """Return the file of a SQLite address, None for any other address."""
    kind, _, rest = address.partition(":///")
    if kind.lower() not in ("sqlite", "sqlite+pysqlite"):
        return None
    return Path(os.fsdecode(unquote_to_bytes(rest.partition("?")[0])))


def tracking_uri(named: str | None, must_answer: bool = True) -> str:
    """Return the address of the tracker in its normal form, checked, because a wrong address makes MLflow hang later.

    Args:
        named: the address that the user gave; None means MLFLOW_TRACKING_URI, else the SQLite file under mlruns/.
        must_answer: whether a server must answer now. A study does not need that: its results wait in the outbox until
            the server answers.

    Raises:
        BadInput: the file cannot be written, the server does not answer, or this kind of address is not supported.
    """
    origin = "--tracking-uri" if named is not None else TRACKING_VARIABLE
    given = os.environ.get(TRACKING_VARIABLE) if named is None else named
    if named is None and not given:
        origin, given = "tracking path", database_uri(mlruns() / "mlflow.db")
    try:
        address = tracker_address(given or "")
        if (database := database_file(address)) is not None:
            require_writable_database(database, address)
    except BadAddress as error:
        raise BadInput(f"{origin} {error}") from None
    if must_answer and is_server(address):
        require_listening(address, origin, "server")
    return address


def tracker_address(address: str) -> str:
    """Return a tracker's address in its normal form.

    Raises:
        BadAddress: it is malformed, or this kind of address is not supported.
    """
    scheme, kind = _scheme(address)
    if kind == "sqlite":
        return _sqlite_address(address)
    if scheme in SERVERS:
        location = _location(address)
        if location.query:
            raise BadAddress(address, "the address of a server has no ? and no #")
        return location.text(scheme)
    if kind in DATABASES:
        return _database_address(address)
    valid = ", ".join(f"{name}://" for name in ("sqlite", *SERVERS, *DATABASES))
    folder = "://" not in address or scheme == "file"
    hint = " (a folder of files is not used as a tracker: write sqlite:///FOLDER/mlflow.db)" if folder else ""
    raise BadAddress(address or "''", f"not a kind that can be used{hint}; choose from: {valid}")


def storage_address(address: str) -> str:
    """Return the address of the database of Optuna's trials in its normal form.

    Raises:
        BadAddress: it is malformed, its driver is missing, or it is no PostgreSQL database. SQLite is refused because
            with it two drivers could run the same trial.
    """
    if _scheme(address)[1] != "postgresql" or "://" not in address:
        raise BadAddress(address, "must be postgresql://... (or leave it out, for mlruns/)")
    return _database_address(address)


def scheduler_address(address: str) -> str:
    """Return the address of a Dask scheduler in its normal form.

    Raises:
        BadAddress: it is malformed.
    """
    form = "must be tcp://HOST:PORT or tls://HOST:PORT"
    scheme, _ = _scheme(address)
    if scheme not in SCHEDULERS or "://" not in address:
        raise BadAddress(address, form)
    location = _location(address)
    if location.user is not None:
        raise BadAddress(address, f"{form}; a scheduler takes no user and no password")
    if location.port is None or location.path or location.query:
        raise BadAddress(address, form)
    return location.text(scheme)


def _scheme(address: str) -> tuple[str, str]:
    """Return the scheme of an address in small letters, and its part before "+"; both are empty if there is none."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)", address)
    scheme = found[0].lower() if found else ""
    return scheme, scheme.split("+")[0]


def _sqlite_address(address: str) -> str:
    """Return the normal form of a SQLite address: an absolute path; parameters are kept.

    Raises:
        BadAddress: it names no file.
    """
    if _CONTROL.search(address):
        raise BadAddress(address, "an address has no control characters")
    if (path := database_file(address)) is None:
        raise BadAddress(address, "must be sqlite:///FILE, with three slashes (four for an absolute path)")
    name = str(path)
    if name in (".", ":memory:") or name.startswith("file:") or "mode=memory" in address:
        raise BadAddress(address, "must name a file, as records in memory are lost: sqlite:///FILE")
    query = address.partition("?")[2]
    return database_uri(_absolute(path, address)) + (f"?{query}" if query else "")


def _absolute(path: Path, address: str) -> Path:
    """Return the absolute path. Symbolic links are not followed, because stored names contain the path with its links.

    Raises:
        BadAddress: the system cannot read such a path: it contains a NUL, is too long or is a circle of links.
    """
    try:
        path.stat()
    except ValueError as error:
        raise BadAddress(address, f"no path of a file ({error})") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise BadAddress(address, f"no path of a file ({error.strerror})") from None
    return Path(os.path.abspath(path))  # noqa: PTH100 - `Path.absolute` keeps "..", `Path.resolve` follows links


def _database_address(address: str) -> str:
    """Return the normal form of a database server's address.

    Raises:
        BadAddress: it is malformed, or its driver is unknown or not installed.
    """
    location = _location(address)
    elsewhere = re.search(r"(?:^|&)(?:host|odbc_connect)=.", location.query)
    if not location.host and location.path in ("", "/") and not elsewhere:
        raise BadAddress(address, "names neither a host nor a database")
    normal = location.text(_scheme(address)[0])
    _require_driver(address, normal)
    return normal


def _require_driver(address: str, normal: str) -> None:
    """Raise unless the driver of a database's address is known and installed."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, kind = _scheme(normal)
    try:
        dialect = make_url(normal).get_dialect()
        if dialect.is_async:
            raise BadAddress(address, f"the driver of {scheme}:// is asynchronous and cannot be used; try {kind}://")
        dialect.import_dbapi()
    except ImportError as error:
        module = (error.name or "").split(".")[0]
        package = DRIVER_PACKAGES.get(module, module)
        raise BadAddress(address, f"its driver is not installed; the package that is missing: {package}") from None
    except ArgumentError:
        raise BadAddress(address, f"{scheme}:// names no driver of {kind} that is known; try {kind}://") from None


def _location(address: str) -> Location:
    """Split an address that names a host.

    Raises:
        BadAddress: it is malformed.
    """
    if _CONTROL.search(address) or re.search(r"\s", address):
        raise BadAddress(address, "an address has no white space and no control characters")
    _, found, rest = address.partition("://")
    if not found:
        raise BadAddress(address, f"must begin with {_scheme(address)[0]}:// (two slashes)")
    head, _, query = rest.partition("?")
    login, at, place = head.rpartition("@")
    user, colon, password = login.partition(":")
    database = _scheme(address)[1] in DATABASES
    # A database's password may contain these characters; elsewhere they end the host, and "@" is part of a path.
    if "@" in query or re.search(r"[/#]", user if database else login):
        raise BadAddress(address, "in a user, a password and a parameter write @ / # ? as %40 %2F %23 %3F")
    host_and_port, slash, path = place.partition("/")
    if "#" in place:
        raise BadAddress(address, "an address has no #")
    host, port = _host_and_port(address, host_and_port)
    if not host and not database:
        raise BadAddress(address, "names no host")
    path = slash + path if database else (slash + path).rstrip("/")
    return Location(unquote(user) if at else None, unquote(password) if colon else None, host, port, path, query)


def _host_and_port(address: str, text: str) -> tuple[str, int | None]:
    """Split HOST:PORT; the host may be empty.

    Raises:
        BadAddress: the host is no valid name or number, or the port is out of range.
    """
    try:
        parts = urlsplit(f"//{text}")
        name = text.rpartition(":")[0] if re.search(r":[^\]:]*$", text) else text
        host = name.strip("[]")
        if ":" in host or name != host:
            ipaddress.IPv6Address(host)
        elif len(host) > LONGEST_HOST or not re.fullmatch(rb"[\w.-]*", host.encode("idna")):
            raise ValueError("no host name")
    except ValueError:  # UnicodeError is one: a name that cannot be encoded for DNS
        raise BadAddress(address, "its host is neither a name nor an IP address (IPv6: in [ ])") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadAddress(address, "its port must be a whole number from 1 to 65535")
    return host, port


def require_writable_database(path: Path, address: str) -> None:
    """Raise unless a SQLite database can be written at `path`. Nothing is created.

    Args:
        path: the file.
        address: its address, for messages.

    Raises:
        BadAddress: `path` is a folder, a file that cannot be written to, or a file of another kind; or its nearest
            existing folder cannot be written to.
    """
    try:
        if path.is_dir() or not path.name:
            raise BadAddress(address, "a folder, not a file")
        if path.exists():
            if not os.access(path, os.W_OK):
                raise BadAddress(address, "the file cannot be written to")
            with path.open("rb") as file:
                if (head := file.read(16)) and head != b"SQLite format 3\x00":
                    raise BadAddress(address, "the file is no SQLite database")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise BadAddress(address, f"{folder} cannot be written to")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadAddress(address, f"the path cannot be used ({error.strerror})") from None


def is_server(address: str) -> bool:
    """Return whether an address is that of a tracking server."""
    return _scheme(address)[0] in SERVERS


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def require_listening(address: str, name: str, kind: str) -> None:
    """Raise an error if no program accepts connections at an address.

    Args:
        address: the address, in its normal form.
        name: the flag or variable of the address, for the message.
        kind: what should listen there, for the message.

    Raises:
        BadInput: nothing listens there.
    """
    location = _location(address)
    place = (location.host, location.port or SERVERS[_scheme(address)[0]])
    try:
        socket.create_connection(place, timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise BadInput(f"{name} {shown(address)}: no {kind} answers there ({error})") from None
