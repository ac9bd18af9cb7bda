"""What `vaestudy tables STUDY --against LEVELS` asks for, and whether the records of a sweep have it.

This file imports nothing slow. The same checks are made of a local database before MLflow is imported, and of the
tracker's own answer afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaestudy.errors import BadInput, unknown_name

Named = tuple[tuple[str, str], ...]
"""Some levels: (factor, level as `level_text` has it)."""


@dataclass(frozen=True)
class DifferenceRequest:
    """A table of differences, as the user asks for it."""

    against: Named
    """The levels of the cell that is subtracted. Factors that are not named have the levels of each row."""
    cells: tuple[Named, ...] = ()
    """Only rows that have one of these combinations of levels; all rows if there is none."""
    columns: tuple[str, ...] = ()
    """The metrics; those of the study's table if there is none."""
    sweep: str = ""
    """The sweep; the newest that is not quick if empty."""


@dataclass(frozen=True)
class RecordedCells:
    """The names that the finished runs of a sweep know."""

    study: str
    factors: tuple[str, ...]
    cells: Sequence[Mapping[str, str]]
    """Factor -> level of each finished run."""
    metrics: frozenset[str]


def levels_shown(levels: Named) -> str:
    """Return levels as the user writes them."""
    return ",".join(f"{field}={level}" for field, level in levels)


def has_levels(cell: Mapping[str, str], levels: Named) -> bool:
    """Return whether a cell has these levels."""
    return all(cell[field] == level for field, level in levels)


def chosen_sweep(study: str, sweeps: Sequence[str], wanted: str) -> str:
    """Return the sweep of a request.

    Args:
        study: the study's name, for the message.
        sweeps: the names of its sweeps, the newest first.
        wanted: the name that the user gave, or empty.

    Raises:
        BadInput: there is no such sweep, or none at all.
    """
    if wanted and wanted not in sweeps:
        raise BadInput(f"--sweep: {unknown_name(f'sweep of {study}', wanted, sweeps)}")
    if not sweeps:
        raise BadInput(f"study {study} has no sweep on record yet")
    return wanted or next((name for name in sweeps if not name.startswith("quick")), sweeps[0])


def require_recorded(request: DifferenceRequest, recorded: RecordedCells) -> None:
    """Raise unless the records have all that a request names.

    Raises:
        BadInput: a factor, a level, a cell or a metric is not on record, or no other cell is left to compare.
    """
    if not recorded.factors:
        raise BadInput(no_factors(recorded.study))
    if not recorded.cells:
        raise BadInput(f"--against: study {recorded.study} has no finished run in this sweep")
    for flag, levels in (("--against", request.against), *(("--cells", cell) for cell in request.cells)):
        _require_cell(flag, levels, recorded)
    for metric in request.columns:
        if metric not in recorded.metrics:
            scores = sorted(name for name in recorded.metrics if not name.endswith("_se") and name.count("/") < 2)
            known = [name for name in scores if name.startswith("test/")]
            raise BadInput(f"--columns: no finished run has it: {unknown_name('metric', metric, known)}")
    others = [cell for cell in recorded.cells if not has_levels(cell, request.against)]
    if not any(not request.cells or any(has_levels(cell, wanted) for wanted in request.cells) for cell in others):
        raise BadInput(f"--against {levels_shown(request.against)}: no other cell is left to compare with it")


def no_factors(study: str) -> str:
    """Return the message for a study without factors, whose cells therefore have no levels to be named by."""
    return f"--against: study {study} has no factors; its own table has the difference of its two rows"


def _require_cell(flag: str, levels: Named, recorded: RecordedCells) -> None:
    """Raise unless a finished run has these levels.

    Raises:
        BadInput: none has; the message names the first factor or level that is not known.
    """
    for field, level in levels:
        if field not in recorded.factors:
            raise BadInput(f"{flag}: {unknown_name(f'factor of {recorded.study}', field, recorded.factors)}")
        known = list(dict.fromkeys(cell[field] for cell in recorded.cells))
        if level not in known:
            raise BadInput(f"{flag}: {unknown_name(f'level of {field}', level, sorted(known, key=_natural))}")
    if not any(has_levels(cell, levels) for cell in recorded.cells):
        raise BadInput(f"{flag} {levels_shown(levels)}: no finished run has these levels together")


def _natural(level: str) -> tuple[float, str]:
    """Return a sort key by which 2 comes before 10, and numbers before words."""
    try:
        return float(level), ""
    except ValueError:
        return float("inf"), level
