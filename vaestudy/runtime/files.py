"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vaestudy.errors import BadInput

ZIP = ".zip"
"""The ending of the name of an archive."""


def write_files(folder: Path, files: Mapping[str, bytes], what: str = "the report") -> None:
    """Write files into a folder, each of them whole or not at all.

    Args:
        folder: the folder. It is made if it does not exist.
        files: path within the folder -> content.
        what: what the files are, for the message.

    Raises:
        BadInput: the folder cannot be written to.
    """
    try:
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f"{target.name}.part")
            scratch.write_bytes(content)
            scratch.replace(target)
    except OSError as error:
        raise BadInput(f"{what} cannot be written to {error.filename or folder}: {error.strerror}") from None
