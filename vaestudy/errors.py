"""TODO"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """The user's input cannot be used; the message is the one line that the user is shown (exit code 2)."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """One line for a name that does not exist: the value, the nearest valid one, all valid ones."""
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {str(name)!r}{hint}; choose from: {', '.join(valid) or 'none'}"
