"""The page of a comparison: its tables, and the figures of the runs side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from vaestudy.errors import BadInput
from vaestudy.reporting.compare.contents import Contents
from vaestudy.reporting.compare.sides import Side
from vaestudy.reporting.pages import Picture, rendered
from vaestudy.runtime.paths import mlruns, slug
from vaestudy.tracking.mlflow_tracker import Tracker

TEMPLATE = "page.html.j2"
FILE = "index.html"
LONGEST = 100  # characters of a folder's name

Pictures = dict[str, list[Picture | None]]
"""Name of a figure -> the picture of each side; None if it has none."""


def page_folder(sides: Sequence[Side]) -> Path:
    """Return the folder of a comparison's page: the same for the same names in the same order."""
    name = slug("_vs_".join(side.label for side in sides))
    if len(name) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: LONGEST - 9]}-{digest}"
    return mlruns() / "compare" / name


def read_pictures(tracker: Tracker, sides: Sequence[Side]) -> tuple[Pictures, list[str]]:
    """Return the figures of the first run of each side, and a line about each figure that cannot be read."""
    names = list(dict.fromkeys(name for side in sides for name in side.runs[0]["figures"]))
    found: Pictures = {}
    notes = []
    for name in names:
        shown: list[Picture | None] = []
        for side in sides:
            run = side.runs[0]
            picture = None
            if name in run["figures"]:
                try:
                    content = tracker.read_file(run["id"], f"figures/{name}.png")
                    picture = Picture(content, f"{name.replace('_', ' ')} of {side.label}")
                except BadInput:  # a figure that D does not fit, or that could not be drawn
                    notes.append(f"{side.label} has no picture {name}")
            shown.append(picture)
        if any(shown):
            found[name] = shown
    return found, notes


def comparison_page(contents: Contents, pictures: Pictures, links: Sequence[Sequence[str]]) -> str:
    """Return the page as HTML.

    Args:
        contents: the tables and notes.
        pictures: the figures.
        links: for each side, the addresses of its runs in MLflow.
    """
    return rendered(Path(__file__).parent / TEMPLATE, contents=contents, pictures=pictures, links=links)
