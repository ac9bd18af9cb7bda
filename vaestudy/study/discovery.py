"""TODO"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from vaestudy.errors import BadInput, unknown


@dataclass(frozen=True)
class Listing:
    """What a study file says of itself, read without running it."""

    name: str
    path: Path
    question: str
    minutes: str


def listing(folder: Path) -> list[Listing]:
    """The studies of a folder."""
    found = []
    for path in sorted(folder.glob("[a-z]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        minutes = re.search(r"^Minutes:\s*(.+)$", doc, re.MULTILINE)
        name = path.stem.replace("_", "-")
        found.append(Listing(name, path, (doc.splitlines() or ["?"])[0], minutes[1] if minutes else "?"))
    return found


def find(folder: Path, name: str) -> Listing:
    """The study called `name`.

    Raises:
        BadInput: there is none; the message lists those there are.
    """
    studies = {study.name: study for study in listing(folder)}
    if name.replace("_", "-") not in studies:
        raise BadInput(unknown("study", name, studies))
    return studies[name.replace("_", "-")]
