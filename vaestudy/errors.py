"""The error for input that cannot be used, and its message for an unknown name. All rooms may import this file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class BadInput(Exception):
    """An error in the user's input. Its message is one line; the command prints it and exits with code 2."""


def one_line(text: str, longest: int = 2000) -> str:
    """Return `text` as one line of a limited length: control characters and line ends are written as escapes."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)
    return plain if len(plain) <= longest else plain[:longest] + "..."


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """Return a message of one line for a name that does not exist.

    The message contains the name, the most similar valid name if there is one, and all valid names.

    Args:
        kind: what the name stands for, e.g. "dataset".
        name: the unknown name.
        valid: the valid names.
    """
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {str(name)!r}{hint}; choose from: {', '.join(valid) or 'none'}"
