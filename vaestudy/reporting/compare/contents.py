"""A comparison as plain text: the same tables for the terminal, for the page and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting.compare.paired import Compared, Difference, ScoreRow
from vaestudy.reporting.compare.sides import Side
from vaestudy.reporting.tables.formats import number_text
from vaestudy.study.declaration import is_nats_of_pixels
from vaestudy.study.levels import level_text

READING = (
    "Δ: a run's score minus that of the first. ± behind it: the paired standard error over the same test images, for "
    "these trained models; it varies over images, not over seeds."
)
READING_SEEDS = "Behind «seeds»: the 95 % interval of the difference over the seeds, each seed paired with itself."
READING_NO_ERROR = "A Δ without ± is of a score that is no mean over images, or that was not scored again."
SURROUNDINGS = ("code.revision", "code.state", "threads", "version.torch", "hardware.cpu")
"""Tags on which the bits of a result may depend."""
WITHOUT = "not recorded"


@dataclass(frozen=True)
class TextTable:
    """A table as text."""

    title: str
    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Contents:
    """What a comparison shows."""

    title: str
    sides: list[Side]
    configuration: TextTable
    """The fields in which the runs differ, and what else may change the bits."""
    scores: TextTable
    notes: list[str]


def contents_of(compared: Compared) -> Contents:
    """Return the tables and notes of a comparison."""
    labels = [side.label for side in compared.sides]
    rows = [[name, *values] for name, values in differing_fields(compared.sides).items()]
    scores = [_score_cells(row) for row in compared.scores]
    seeds = [run["seed"] for run in compared.sides[0].runs]
    is_cell = any(side.is_cell for side in compared.sides)
    over = [f"Each is the mean of {len(seeds)} runs, of the seeds {', '.join(map(str, seeds))}."] if is_cell else []
    reading = [READING + (f" {READING_SEEDS}" if len(seeds) > 1 else ""), READING_NO_ERROR]
    return Contents(
        f"{' and '.join(labels)} compared" if len(labels) < 3 else f"{labels[0]} and {len(labels) - 1} others compared",
        compared.sides,
        TextTable("what differs in configuration", ["", *labels], rows),
        TextTable("scores on test", ["score", labels[0], *(f"{label}, Δ" for label in labels[1:])], scores),
        [*over, *reading, *compared.notes],
    )


def differing_fields(sides: Sequence[Side]) -> dict[str, list[str]]:
    """Return the fields of the configuration, and further facts, in which sides differ: name -> a text for each side.

    The seeds are left out for cells, which have the same ones.
    """
    found = {}
    same_seeds = any(side.is_cell for side in sides)
    for name in RunConfig.model_fields:
        values = [_field_text(side.runs[0][name]) for side in sides]
        if len(set(values)) > 1 and not (name == "seed" and same_seeds):
            found[name] = values
    for tag in SURROUNDINGS:
        values = [", ".join(dict.fromkeys(run["tags"].get(tag, WITHOUT)[:40] for run in side.runs)) for side in sides]
        if len(set(values)) > 1:
            found[tag] = values
    return found


def _field_text(value: Any) -> str:
    """Return a field's value as text; names of a list are separated by commas, numbers as in levels."""
    is_names = isinstance(value, list | tuple) and any(isinstance(item, str) for item in value)
    return ", ".join(value) if is_names else level_text(value)


def _score_cells(row: ScoreRow) -> list[str]:
    """Return the cells of a score: its name, the first side's value, and each further value with its difference."""
    cells = [row.name, _number(row.name, row.values[0])]
    for value, difference in zip(row.values[1:], row.differences, strict=True):
        cells.append("\n".join(filter(None, [_number(row.name, value), _difference_text(row.name, difference)])))
    return cells


def _digits(name: str) -> int:
    """Return the number of decimals of a score."""
    return 2 if is_nats_of_pixels(name) or name.startswith("ess_") else 4


def _number(name: str, value: float | None) -> str:
    return "" if value is None else number_text(value, f".{_digits(name)}f")


def _difference_text(name: str, difference: Difference | None) -> str:
    """Return a difference with its errors as text."""
    if difference is None:
        return ""
    digits = _digits(name)
    text = f"Δ {number_text(difference.value, f'.{digits}f', '+')}"
    if difference.error is not None and difference.error == difference.error:
        text += f" ± {number_text(difference.error, f'.{digits + 1}f')}"
    if difference.over_seeds is not None:
        text += f" (seeds ± {number_text(difference.over_seeds, f'.{digits}f')})"
    return text


def as_json(compared: Compared, page: str) -> dict[str, Any]:
    """Return a comparison for programs."""
    return {
        "runs": [{"name": side.label, "run_ids": [run["id"] for run in side.runs]} for side in compared.sides],
        "configuration": differing_fields(compared.sides),
        "scores": {
            row.name: {
                "values": row.values,
                "differences": [
                    None if d is None else {"value": d.value, "error": d.error, "over_seeds": d.over_seeds}
                    for d in row.differences
                ],
            }
            for row in compared.scores
        },
        "notes": compared.notes,
        "page": page,
    }
