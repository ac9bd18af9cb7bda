"""How a configuration names a data set: by the name of one of the package's, or by the place of the user's own data.

Own data is a path (with a slash, or ending in one of `ENDINGS`) or a function, written `package.module:function`.
Nothing is read here, so a wrong name is reported at once. `vaestudy/data/own.py` reads own data.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from vaestudy.config.compatibility import Conflict
from vaestudy.config.fields import Choice

ENDINGS = (".npz", ".npy", ".mat", ".amat")
"""How the name of a file of images may end. `.mat` and `.amat` are published files (`data/published.py`)."""
PLACES = "own data: a path with a slash or ending in .npz or .npy, or package.module:function"
FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
DIGEST_LETTERS = 12
"""Number of digits of a digest in names."""


def is_function(dataset: str) -> bool:
    """Return whether the name of a data set stands for a function that returns its images."""
    return FUNCTION.fullmatch(dataset) is not None


def is_own(dataset: str) -> bool:
    """Return whether the name of a data set stands for a path or a function."""
    slashes = {"/", os.sep}
    return is_function(dataset) or any(slash in dataset for slash in slashes) or dataset.endswith(ENDINGS)


def short_name(dataset: str) -> str:
    """Return the name of a data set for titles: of a path, its last part."""
    return Path(dataset).name or dataset if is_own(dataset) and not is_function(dataset) else dataset


def absolute_name(dataset: str) -> str:
    """Return the name of a data set with an absolute path, as another process may have another current directory."""
    return str(Path(dataset).absolute()) if is_own(dataset) and not is_function(dataset) else dataset


class DatasetName(Choice):
    """A validator for the name of a data set: one of several names, or own data."""

    def __call__(self, value: str) -> str:
        """Return `value` if it can be the name of a data set.

        Raises:
            ValueError: it cannot.
        """
        if is_own(value):
            return value
        try:
            return super().__call__(value)
        except ValueError as error:
            raise ValueError(f"{error}; {PLACES}") from None


def digest_text(value: str) -> str:
    """Return `value` if it is empty or a SHA-256 in hexadecimal digits.

    Raises:
        Conflict: it is neither.
    """
    if value and not re.fullmatch("[0-9a-f]{64}", value):
        raise Conflict("data_digest", value, "must be a SHA-256: 64 digits, each 0 to 9 or a to f")
    return value
