"""The errors that a command prints as one line, and functions that write such lines. All rooms may import this file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LONGEST_REASON = 300
"""The number of characters to which a reason in a message of one line is cut."""


class BadInput(Exception):
    """An error in the user's input. Its message is one line; the command prints it and exits with code 2."""


class TrackerUnavailable(Exception):
    """The tracker cannot be used now: the server does not answer, the database is locked, or the disk is full.

    Its message is one line without user and password.
    """


class StudyIncomplete(Exception):
    """Some runs of a study have no result in the tracker. Its message is one line; the other runs are recorded."""


class NoTracker(TrackerUnavailable):
    """There is no tracker at the address, or none that this version of MLflow can use; it makes no sense to wait."""


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
    near = near or [known for known in valid if name and known.lower().startswith(str(name).lower())]
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {str(name)!r}{hint}; choose from: {', '.join(valid) or 'none'}"


def reason_of(error: BaseException) -> str:
    """Return the type and the message of an error on one line, cut to LONGEST_REASON characters."""
    message = " ".join(str(error).split())
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."


@contextmanager
def noting_failure(what: str, lines: list[str]) -> Iterator[None]:
    """Make something that may be missing: if the block fails, add one line to `lines` and go on after the block.

    This is for pictures and further tables of results that are already complete: such a failure must not lose them.

    Args:
        what: what the block makes, for the line.
        lines: receives the line, which names `what`, the type of the error and its message.

    Raises:
        MemoryError: the block raised it. What is not an `Exception`, such as KeyboardInterrupt, is raised too.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        lines.append(f"{what} could not be made: {reason_of(error)}")
