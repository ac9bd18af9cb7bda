"""Text about results without what belongs to one machine: a note below a table names no folder of the author's disk."""

from __future__ import annotations

import re

_NAME = r"[^\s\\/:;,'\"()«»|]+"
_PATH = re.compile(rf"(?<![\w.:/~)\]|])(?:(?:~|[A-Za-z]:)?/(?:{_NAME}/)*|[A-Za-z]:\\(?:{_NAME}\\)*)({_NAME})[\\/]?")
_NO_MNIST = re.compile(r"neither under .*? nor quickly downloaded")


def without_places(text: str) -> str:
    """Return a text in which each absolute path is its last name alone.

    Addresses of web pages, relative paths and names such as `test/elbo` stay.
    """
    return _PATH.sub(r"\1", _NO_MNIST.sub("neither on disk nor quickly downloaded", text))


def readable_sweep(sweep: str) -> str:
    """Return the name of a sweep for a title: of one that was begun anew with `--fresh`, the number in words.

    `mnist-5k~2` becomes `mnist-5k, generation 2`.
    """
    return re.sub(r"~(\d+)$", r", generation \1", sweep)
