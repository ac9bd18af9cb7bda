"""Finds the study files in a folder and reads their docstrings.

The files are parsed and not executed, so listing the studies imports nothing slow.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from vaestudy.errors import BadInput, reason_of, unknown_name


@dataclass(frozen=True)
class StudyFile:
    """A study's file, as described by its name and its docstring."""

    name: str
    path: Path
    question: str
    """The first line of the docstring."""
    minutes: str
    """The text after "Minutes:" in the docstring, "?" if there is none."""


def study_files(folder: Path) -> list[StudyFile]:
    """Return the studies of a folder, sorted by file name."""
    found = []
    for path in sorted(path for path in folder.glob("[a-z]*.py") if path.is_file()):
        doc = _docstring(path)
        minutes = re.search(r"^Minutes:\s*(.+)$", doc, re.MULTILINE)
        name = path.stem.replace("_", "-")
        found.append(StudyFile(name, path, (doc.splitlines() or ["?"])[0], minutes[1] if minutes else "?"))
    return found


def _docstring(path: Path) -> str:
    """Return the docstring of a file, or the reason why Python cannot parse the file.

    A file with a mistake must not keep the user from the other studies. Python names the mistake when the file is run.
    """
    try:
        return ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except SyntaxError as error:
        return f"cannot be read: line {error.lineno}: {error.msg}" if error.lineno else f"cannot be read: {error.msg}"
    except (OSError, ValueError) as error:  # ValueError: the file has a null byte
        return f"cannot be read: {reason_of(error)}"


def find_study(folder: Path, name: str) -> StudyFile:
    """Return the study called `name`; "_" and "-" in it are equal.

    Raises:
        BadInput: there is no such study; the message suggests or lists valid names.
    """
    studies = {study.name: study for study in study_files(folder)}
    if name.replace("_", "-") not in studies:
        raise BadInput(unknown_name("study", name, studies))
    return studies[name.replace("_", "-")]
