"""Removes credentials from addresses and texts: user, password, and secret parameters such as `?password=...`.

They are needed to connect. They are never shown, and stored nowhere.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "tcp", "tls")
"""The schemes of addresses that are used (`runtime/addresses.py`). Any other text before ":" may be a user."""

LONGEST_SHOWN = 200
REMOVED = "***"
"""The text that replaces a secret."""

_SECRET_NAMES = r"\w*(?:password|passwd|passphrase|pwd|secret|token|api_?key)\w*|user(?:name)?|uid|odbc_connect"
SECRET_PARAMETER = re.compile(rf"(?i)(?<!\w)((?:{_SECRET_NAMES})=)[^&;\s]+?(?=[:,.)]*(?:[&;\s]|$))")
_NO_PORT = re.compile(r"(?<=//)([^/?#\[\]:]*):(?!\d*(?:[/?#]|$))[^/?#]*|#.*")
"""What stands in the place of a port and is none, or in that of a fragment: a password may have been meant."""
_FILE = r"(?i:sqlite(?:\+pysqlite)?:///)"  # a path follows, so there is no user
_CREDENTIALS = re.compile(rf"\b(?!{_FILE})([A-Za-z][A-Za-z0-9+.-]*:/{{1,3}})\S*@")


def has_credentials(address: str) -> bool:
    """Return whether an address contains a user, a password or another secret."""
    return any(_credentials(address))


def shown(address: str) -> str:
    """Return one whole address for a message: without credentials, and not longer than a line."""
    scheme, slashes, rest = address.partition(":/")
    known = slashes and scheme.lower().split("+")[0] in SCHEMES
    if re.match(_FILE, address):
        text = address
    elif "@" in address:
        text = (f"{scheme}:/{'/' * rest.startswith('/')}" if known else "") + address.rpartition("@")[2]
    else:
        text = _NO_PORT.sub(lambda found: f"{found[1]}:{REMOVED}" if found[1] is not None else f"#{REMOVED}", address)
    text = SECRET_PARAMETER.sub(rf"\g<1>{REMOVED}", text)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def without_credentials(text: str, *addresses: str | None) -> str:
    """Return `text` without the credentials of any address in it, for messages, notes and logs.

    Args:
        text: any text, for example the message of a library.
        addresses: addresses that the text is about. Their passwords are removed wherever they stand, and their users
            where they stand in quotes, as in PostgreSQL's messages.
    """
    text = SECRET_PARAMETER.sub(rf"\g<1>{REMOVED}", _CREDENTIALS.sub(r"\1", text))
    for address in addresses:
        user, secrets = _credentials(address or "")
        for secret in secrets:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REMOVED, text)
        if user:
            text = re.sub(rf"([\"']){re.escape(user)}\1", rf"\g<1>{REMOVED}\g<1>", text)
    return text


def _credentials(address: str) -> tuple[str, list[str]]:
    """Return the user of an address, and its secrets as they are written and as they are meant, the longest first."""
    rest = address.partition("://")[2]
    login = "" if re.match(_FILE, address) else rest.rpartition("@")[0].lstrip("/")
    user, _, password = login.partition(":")
    values = [found[0].partition("=")[2] for found in SECRET_PARAMETER.finditer(rest)]
    written = [value for value in (password, *values) if value]
    return unquote(user), sorted({*written, *map(unquote, written)}, key=len, reverse=True)
