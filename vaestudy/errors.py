"""Errors that a command reports as one line, and the message for an unknown name. All rooms may import this file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """An error in the user's input. Its message is one line; the command prints it and exits with code 2."""


class TrackerUnavailable(Exception):
    """The tracker cannot be used now: the server does not answer, the database is locked, or the disk is full.

    Its message is one line without user and password.
    """


class NoTracker(TrackerUnavailable):
    """There is no tracker at the address, or none that this version of MLflow can use; it makes no sense to wait."""


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
