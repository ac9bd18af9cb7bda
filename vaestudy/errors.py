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


def unknown_name(kind: str, name: str, valid: Iterable[str], all_by: str = "") -> str:
    """Return a message of one line for a name that does not exist.

    The message contains the name, the most similar valid name if there is one, and all valid names.

    Args:
        kind: what the name stands for, e.g. "dataset".
        name: the unknown name.
        valid: the valid names.
        all_by: what lists all valid names, e.g. "--help", if they are too many for a line. The message then contains
            this, and up to three of the most similar names.
    """
    valid = list(valid)
    if all_by:
        near = similar_names(str(name), valid)
    else:
        near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
        near = near or [known for known in valid if name and known.lower().startswith(str(name).lower())]
    near = near if all_by else near[:1]
    hint = f" (did you mean {_alternatives(near)}?)" if near else ""
    return f"unknown {kind} {str(name)!r}{hint}; " + (
        f"{all_by} lists all" if all_by else f"choose from: {', '.join(valid) or 'none'}"
    )


def _alternatives(names: list[str]) -> str:
    """Return names as text: 'a', 'b' or 'c'."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def similar_names(name: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """Return the valid names, of flags or fields, that are most similar to a name, the best first.

    These are the names that begin with it, if it has three letters or more. If there are none, those that are spelt
    like it, within a tenth of the best; else those that it abbreviates (lr: learning-rate), that begin with it or that
    contain one of its words; else those that are spelt a little like it.
    """
    plain = {known: known.lower().lstrip("-").replace("_", "-") for known in valid}
    wanted = name.lower().lstrip("-").replace("_", "-")
    ratios = {known: difflib.SequenceMatcher(None, wanted, text).ratio() for known, text in plain.items()}
    begun = [known for known, text in plain.items() if wanted and text.startswith(wanted)]
    if begun and len(wanted) >= 3:
        return begun[:most]
    least = max(0.7, max(ratios.values(), default=0.0) - 0.1)
    if near := sorted((known for known in ratios if ratios[known] >= least), key=lambda known: -ratios[known]):
        return near[:most]
    words = [word for word in wanted.split("-") if len(word) > 2]
    initials = [known for known, text in plain.items() if "".join(word[:1] for word in text.split("-")) == wanted]
    containing = [known for known, text in plain.items() if any(word in text for word in words)]
    found = list(dict.fromkeys([*initials, *begun, *containing]))
    alike = sorted((known for known in ratios if ratios[known] >= 0.5), key=lambda known: -ratios[known])
    return (found or alike)[:most]


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
