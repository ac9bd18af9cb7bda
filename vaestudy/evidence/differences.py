"""A table of differences between cells of a study: any two of them, or all against one of them.

A difference is that of the means over seeds. It is paired by seed or pooled by the rule of `statistics.py`, and its
interval is over seeds: it answers whether training again with other seeds would give this difference.

If the request does not name all factors, each row is compared with the cell that has the levels of the request and, in
the other factors, those of the row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.errors import BadInput
from vaestudy.evidence.estimates import StudentEstimate
from vaestudy.evidence.statistics import difference, mean
from vaestudy.reporting.grouping import runs_by_cell
from vaestudy.reporting.image_scores import RecordedScores
from vaestudy.reporting.runs_frame import Incomparable, require_comparable
from vaestudy.reporting.tables import mixed
from vaestudy.reporting.tables.formats import ANY_SIZE, format_of, interval_texts, label, three_digits
from vaestudy.reporting.tables.summary import Table, factor_columns, notes_below
from vaestudy.study.declaration import Level, Study
from vaestudy.study.difference_request import DifferenceRequest, RecordedCells, has_levels, levels_shown
from vaestudy.study.levels import level_text, settled

Cell = tuple[Level, ...]
PAIRED = "paired by seed"


@dataclass(frozen=True)
class Row:
    """One row: a cell, and the cell that is subtracted from it."""

    cell: Cell
    other: Cell
    differences: dict[str, StudentEstimate]
    """Metric -> the difference."""


def recorded_names(runs: pd.DataFrame, study: Study) -> RecordedCells:
    """Return the names that tidy runs know, for the checks of a request."""
    finished = runs[runs["status"] == "FINISHED"]
    names = tuple(study.factors)
    cells = [{n: level_text(v) for n, v in zip(names, cell, strict=True)} for cell in runs_by_cell(finished, study)]
    metrics = frozenset(str(name) for name in finished if pd.api.types.is_numeric_dtype(finished[name]))
    return RecordedCells(study.name, names, cells, metrics)


def shown_metrics(runs: pd.DataFrame, study: Study, request: DifferenceRequest) -> list[str]:
    """Return the metrics of the table that a request asks for."""
    return list(request.columns) or [name for name in study.tabulate if name in runs]


def difference_table(
    runs: pd.DataFrame, study: Study, request: DifferenceRequest, scores: RecordedScores | None = None
) -> Table:
    """Return the table of the differences that a request asks for.

    Args:
        runs: the tidy runs of a sweep.
        study: the study that declares the factors.
        request: the request; `require_recorded` has found all its names on record.
        scores: the scores of the runs for each test image; None to leave the differences over images out.

    Raises:
        BadInput: no row has a cell to be compared with, or numbers of a column may not be ranked against each other.
    """
    cells = runs_by_cell(runs, study)
    metrics = shown_metrics(runs, study, request)
    pairs = _pairs(cells, study, request)
    if not pairs:
        raise BadInput(
            f"--against {levels_shown(request.against)}: no row has such a cell beside it with its other levels"
        )
    used = _runs_of(runs, study, [cell for pair in pairs for cell in pair])
    try:
        require_comparable(used, metrics)
    except Incomparable as error:
        raise BadInput(f"--against {levels_shown(request.against)}: {error}; --cells LEVELS limits the rows") from None
    rows = [Row(a, b, {m: _difference(cells[a], cells[b], m) for m in metrics}) for a, b in pairs]
    full = pd.DataFrame([_numbers(row, cells, study, metrics, scores) for row in rows])
    declared = study.model_copy(update={"tabulate": tuple(metrics)})
    reading = [*_reading(request, study, rows), *_others(rows, cells, metrics, study)]
    if scores is not None:
        reading += mixed.notes(full, used[used["status"] == "FINISHED"], metrics, study, scores)
    return Table(full, _shown(full, study, metrics), notes_below(used, declared, reading))


def _pairs(cells: Mapping[Cell, pd.DataFrame], study: Study, request: DifferenceRequest) -> list[tuple[Cell, Cell]]:
    """Return each row's cell with the cell that is subtracted from it."""
    names = list(study.factors)
    texts = {cell: {n: level_text(v) for n, v in zip(names, cell, strict=True)} for cell in cells}
    named = {field: next(c[names.index(field)] for c in cells if texts[c][field] == t) for field, t in request.against}
    pairs = []
    for cell in cells:
        levels = settled(study.base.likelihood, dict(zip(names, cell, strict=True)) | named)
        other = tuple(levels[name] for name in names)
        wanted = not request.cells or any(has_levels(texts[cell], levels) for levels in request.cells)
        if wanted and other in cells and other != cell and not has_levels(texts[cell], request.against):
            pairs.append((cell, other))
    return pairs


def _runs_of(runs: pd.DataFrame, study: Study, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the runs of some cells, those that failed too."""
    wanted = {tuple(map(level_text, cell)) for cell in cells}
    own = zip(*([level_text(v) for v in runs[name]] for name in study.factors), strict=True)
    return runs[[levels in wanted for levels in own]]


def _samples(cell: pd.DataFrame, metric: str) -> dict[int, float]:
    """Return seed -> the value of a metric, of the runs that have a finite one."""
    pairs = zip(cell["seed"], cell[metric], strict=True)
    return {int(seed): float(value) for seed, value in pairs if math.isfinite(value)}


def _difference(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> StudentEstimate:
    """Return the difference of a metric between two cells."""
    one, other = _samples(a, metric), _samples(b, metric)
    return difference(one, other, lost=len(a) + len(b) - len(one) - len(other))


def _half(estimate: StudentEstimate) -> float:
    """Return the half-width of an interval that is symmetric; nan if there is none."""
    return estimate.high - estimate.value


def _numbers(
    row: Row,
    cells: Mapping[Cell, pd.DataFrame],
    study: Study,
    metrics: Sequence[str],
    scores: RecordedScores | None,
) -> dict[str, Any]:
    """Return the row as numbers."""
    a, b = cells[row.cell], cells[row.other]
    numbers: dict[str, Any] = dict(zip(study.factors, row.cell, strict=True))
    numbers |= {f"against_{name}": level for name, level in zip(study.factors, row.other, strict=True)}
    for metric in metrics:
        found = row.differences[metric]
        numbers |= {metric: mean(_samples(a, metric)).value, f"{metric}_against": mean(_samples(b, metric)).value}
        numbers |= {f"{metric}_diff": found.value, f"{metric}_diff_ci95": _half(found)}
        numbers |= {f"{metric}_diff_how": found.how, f"{metric}_diff_correlation": found.correlation}
        numbers |= {f"{metric}_lost": found.lost}
        numbers |= mixed.numbers(a, b, metric, scores) if scores else {}
    numbers |= {"seeds": len(a), "against_seeds": len(b)}
    return numbers | {"run_ids": " ".join(a["run_id"]), "against_run_ids": " ".join(b["run_id"])}


def _shown(full: pd.DataFrame, study: Study, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the table as text."""
    shown = factor_columns(full, study)
    for metric in metrics:
        value, half = f"{metric}_diff", f"{metric}_diff_ci95"
        if metric.startswith(ANY_SIZE):
            pairs = zip(full[value], full[half], strict=True)
            texts = [("+" if centre > 0 else "") + three_digits(centre, width) for centre, width in pairs]
        else:
            texts = interval_texts(full, value, half, format_of(metric), sign="+")
        shown[f"Δ {label(metric)}"] = texts
        if mixed.has_column(full, metric):
            shown[mixed.heading(metric)] = mixed.texts(full, metric)
    shown["seeds"] = full["seeds"].astype(str)
    return shown


def _reading(request: DifferenceRequest, study: Study, rows: Sequence[Row]) -> list[str]:
    """Return the lines that say what Δ and ± are."""
    named = {field for field, _ in request.against}
    others = [name for name in study.factors if name not in named]
    beside = f" and the row's own {' and '.join(others)}" if others else ""
    minus = levels_shown(request.against).replace(",", ", ")
    every = [(row, metric, found) for row in rows for metric, found in row.differences.items()]
    paired = [(row, metric) for row, metric, found in every if found.how == PAIRED]
    how = "None here is paired." if not paired else "All here are paired." if len(paired) == len(every) else ""
    how = how or f"Paired here: {'; '.join(f'{label(metric)} of {_name(row.cell, study)}' for row, metric in paired)}."
    return [
        f"Δ: the mean of a row minus that of {minus}{beside}.",
        "± is the half-width of the 95 % interval of the difference over seeds: what training again with other seeds "
        "may give. It is not over images, which all rows share; without it there were too few seeds. A difference is "
        "paired by seed where the seeds of the two are shown to vary together, else the two are pooled (Welch). " + how,
    ]


def _others(rows: Sequence[Row], cells: Mapping[Cell, pd.DataFrame], metrics: Sequence[str], study: Study) -> list[str]:
    """Return the lines with the scores of the cells that are subtracted, and one about runs without a value."""
    lines = []
    for other in dict.fromkeys(row.other for row in rows):
        texts = []
        for metric in metrics:
            found = mean(_samples(cells[other], metric))
            if metric.startswith(ANY_SIZE):
                text = three_digits(found.value, _half(found))
            else:
                numbers = pd.DataFrame({"value": [found.value], "half": [_half(found)]})
                text = interval_texts(numbers, "value", "half", format_of(metric))[0]
            texts.append(f"{label(metric)} {text or 'unknown'}")
        lines.append(f"{_name(other, study)} itself, {len(cells[other])} seeds: {', '.join(texts)}.")
    lost = max(found.lost for row in rows for found in row.differences.values())
    return lines + [f"Up to {lost} finished runs of a difference have no value of its metric."] * bool(lost)


def _name(cell: Cell, study: Study) -> str:
    """Return a cell's levels as text."""
    return ", ".join(f"{name}={level_text(level)}" for name, level in zip(study.factors, cell, strict=True))
