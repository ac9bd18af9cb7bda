"""TODO"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from vaestudy.errors import BadInput, unknown_name


@dataclass(frozen=True)
class StudyFile:
    """What a study file says of itself, read without running it."""

    name: str
    path: Path
    question: str
    minutes: str


def study_files(folder: Path) -> list[StudyFile]:
    """The studies of a folder."""
    found = []
    for path in sorted(folder.glob("[a-z]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        minutes = re.search(r"^Minutes:\s*(.+)$", doc, re.MULTILINE)
        name = path.stem.replace("_", "-")
        found.append(StudyFile(name, path, (doc.splitlines() or ["?"])[0], minutes[1] if minutes else "?"))
    return found


def find_study(folder: Path, name: str) -> StudyFile:
    """The study called `name`.

    Raises:
        BadInput: there is none; the message lists those there are.
    """
    studies = {study.name: study for study in study_files(folder)}
    if name.replace("_", "-") not in studies:
        raise BadInput(unknown_name("study", name, studies))
    return studies[name.replace("_", "-")]
