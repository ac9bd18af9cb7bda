"""What MLflow shows on the page of a sweep: the description in Markdown, and the metrics of the sweep as a whole."""

from __future__ import annotations

import bisect
import io
import json
import re
from collections.abc import Iterable

import pandas as pd
from PIL import Image

from vaestudy.reporting.escaping import markdown_cell, markdown_line
from vaestudy.reporting.finding import best_cell, finding
from vaestudy.reporting.tables import summary
from vaestudy.study.declaration import Study, level_text

LONGEST_DESCRIPTION = 8_000  # characters of a description that MLflow keeps
MOST_LEVELS_SHOWN = 30
PREVIEW = "preview.png"
"""The file of the sweep run that its description shows."""
PREVIEW_WIDTH = 640  # pixels; the column of the description has about so many on a laptop


def sweep_metrics(tidy: pd.DataFrame, table: summary.Table, study: Study) -> dict[str, float]:
    """Return the sweep run's own metrics, so that MLflow's list of runs shows numbers for it."""
    finished = int((tidy["status"] == "FINISHED").sum())
    best = best_cell(table, study)
    return {
        "cells": float(len(table.full)),
        "runs/finished": float(finished),
        "runs/failed": float(len(tidy) - finished),
        "seconds/all_runs": float(tidy["seconds/total"].sum()),
        **(best.numbers if best else {}),
    }


def sweep_tags(table: summary.Table, study: Study) -> dict[str, str]:
    """Return the sweep run's own tags."""
    best = best_cell(table, study)
    return {"best.cell": best.name} if best else {}


def description(
    study: Study, table: summary.Table, notes: list[str], quick: bool, run_id: str, files: Iterable[str]
) -> str:
    """Return the description that MLflow shows with the sweep run: question, finding, picture, table, notes.

    It contains the first rows of the table, as many as fit into LONGEST_DESCRIPTION characters.

    Args:
        study: the study as its table takes it.
        table: its table.
        notes: the lines below the table.
        quick: whether the scale is `--quick`.
        run_id: the id of the sweep run, whose files contain the picture.
        files: the paths of these files.
    """
    # MLflow's page gives table cells no padding and breaks lines anywhere: non-breaking spaces prevent both.
    hard = table.shown.rename(columns=lambda name: f"\u00a0{markdown_cell(name)}\u00a0").map(
        lambda text: markdown_cell(text).replace("± ", "±\u00a0")
    )
    padded = hard.to_markdown(index=False, disable_numparse=True)
    head, rule, *rows = re.sub("  +", " ", re.sub("---+", "---", padded)).splitlines()
    lines = "".join(f"* {markdown_line(line)}\n" for line in notes)
    levels = {
        name: [level_text(value) for value in values][:MOST_LEVELS_SHOWN] for name, values in study.factors.items()
    }
    declared = json.dumps(levels).replace("`", "\\u0060")  # the same text in JSON, but no end of the code format
    design = f"`{study.command('--quick' if quick else '')}`, factors `{declared}` x seeds."
    curves = f"Means as curves: the Model metrics tab, where step stands for {next(iter(study.factors))}."
    tail = f"Files and pictures: the Artifacts tab. {curves} Single runs: the children."
    found = markdown_line(finding(table, study))
    above = "\n\n".join(filter(None, (found, picture(study, run_id, files))))
    most = len(rows)

    def note(count: int) -> str:
        cut = f"\n\nThe first {count} of {most} rows; tables/table.csv has all." if count < most else ""
        body = "\n".join([head, rule, *rows[:count]]) + cut
        return f"## {markdown_line(study.question)}\n\n{above}\n\n{body}\n\n{lines}\n{design}\n\n{tail}\n"

    if len(note(most)) <= LONGEST_DESCRIPTION:
        return note(most)
    fits = bisect.bisect_right(range(most), LONGEST_DESCRIPTION, key=lambda count: len(note(count)))
    return note(max(fits - 1, 0))[:LONGEST_DESCRIPTION]


def first_figure(study: Study, files: Iterable[str]) -> str | None:
    """Return the path of the study's first figure that was drawn; None if none was."""
    drawn = set(files)
    return next((path for path in (f"figures/{name}.png" for name in study.figures) if path in drawn), None)


def preview(png: bytes) -> bytes:
    """Return a picture at most PREVIEW_WIDTH pixels wide, as a PNG file.

    MLflow shows a picture in a description at its own size, and makes the page as wide as the picture.
    """
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((PREVIEW_WIDTH, image.height))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def picture(study: Study, run_id: str, files: Iterable[str]) -> str:
    """Return the preview of the study's first figure as Markdown; empty if none was drawn.

    MLflow removes images whose address begins with `data:`. It keeps an address relative to its own page, and serves
    the files of runs at `get-artifact`.
    """
    drawn = first_figure(study, files)
    return f"![{drawn}](get-artifact?path={PREVIEW}&run_uuid={run_id})" if drawn else ""
