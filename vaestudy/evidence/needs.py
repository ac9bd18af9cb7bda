"""What a claim or a published number needs: cells of a study, each with a number of seeds.

Nothing slow is imported here. A need is one combination of levels of a study, which is declared in studies/ or, for a
published protocol, in the package. Factors that it does not name are at the study's baseline. With `flags` it changes
fields of the study's base, as flags of the command line would; this makes a sweep of its own.
"""

from __future__ import annotations

import functools
import runpy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime.project import repository
from vaestudy.study.declaration import Cell, Level, Study, level_text, quick_config
from vaestudy.study.discovery import find_study
from vaestudy.study.sweep import Sweep


@dataclass(frozen=True)
class Need:
    """One cell of a study, with the seeds 0, 1, ..., `seeds` - 1. Made by `need`."""

    study: str
    levels: tuple[tuple[str, Level], ...]
    seeds: int
    flags: tuple[tuple[str, Any], ...] = ()
    """Pairs of a field of the study's base configuration and the value that replaces the declared one."""
    own: Study | None = field(default=None, compare=False, repr=False)
    """The study, if it is not declared in studies/."""

    @property
    def declaration(self) -> Study:
        """Return the study.

        Raises:
            BadInput: it is not declared.
        """
        return self.own or declared_study(self.study)

    @property
    def name(self) -> str:
        """Return the study, the levels and the changed fields as text."""
        shown = [f"{name}={level_text(value)}" for name, value in (*self.levels, *self.flags)]
        return f"{self.study} ({', '.join(shown)})" if shown else self.study

    @property
    def file(self) -> str:
        """Return the name of the file in docs/data/ that may contain these runs."""
        return "-".join([self.study, *(f"{name}={level_text(value)}" for name, value in self.flags)]) + ".csv"

    def with_seeds(self, seeds: int) -> Need:
        """Return the same cell with another number of seeds."""
        return replace(self, seeds=seeds)

    def sweep(self, dataset: str, quick: bool = False) -> Sweep:
        """Return the sweep to which the runs belong.

        Args:
            dataset: the name of the data set, not "auto".
            quick: at the scale of --quick.

        Raises:
            BadInput: there is no such study or data set, or a changed field is not valid.
        """
        study, changes = self.declaration, dict(self.flags)
        entry = DATASETS[dataset]
        base = study.base.with_changes(**changes, dataset=dataset)
        # The defaults that depend on the data set, as `data.datasets.resolve` fills them in.
        base = base.with_changes(
            valid_size=entry.valid_size if base.valid_size is None else base.valid_size,
            epochs=entry.epochs if base.epochs is None else base.epochs,
        )
        if quick:
            base = quick_config(base).with_changes(**changes)
        return Sweep(study, base, changes, quick, None)

    def cells(self, dataset: str, quick: bool = False) -> list[Cell]:
        """Return the cells of the study, one for each seed.

        Raises:
            BadInput: as `sweep`; or the levels are not valid, or the study leaves this cell out.
        """
        cell = _cell(replace(self, seeds=1), dataset, quick)
        return [Cell(cell.levels, cell.config.with_changes(seed=seed)) for seed in range(self.seeds)]

    def key(self, dataset: str, quick: bool, seed: int) -> str:
        """Return the key of the run with a seed."""
        return _key(replace(self, seeds=1), dataset, quick, seed)


def need(study: str, seeds: int, flags: dict[str, Any] | None = None, **levels: Level) -> Need:
    """Return a need: levels of some factors of a study; other factors are at the baseline."""
    return Need(study, tuple(sorted(levels.items())), seeds, tuple(sorted((flags or {}).items())))


@dataclass(frozen=True)
class SweepNeeds:
    """The cells that are needed of one sweep; those of a lower seed come first."""

    sweep: Sweep
    cells: list[Cell]


def needs_by_sweep(needs: Iterable[Need], dataset: str, quick: bool = False) -> list[SweepNeeds]:
    """Return the cells of all needs, each once, in the order in which the sweeps are first named.

    Raises:
        BadInput: a need is not valid, see `Need.cells`.
    """
    found: dict[str, SweepNeeds] = {}
    for one in needs:
        entry = found.setdefault(one.file, SweepNeeds(one.sweep(dataset, quick), []))
        known = {cell.config.key for cell in entry.cells}
        entry.cells.extend(cell for cell in one.cells(dataset, quick) if cell.config.key not in known)
    for entry in found.values():
        entry.cells.sort(key=lambda cell: cell.config.seed)
    return list(found.values())


@functools.cache
def declared_study(name: str) -> Study:
    """Return the study that a file in studies/ declares.

    Raises:
        BadInput: there is no such file, or it declares no study.
    """
    path = find_study(studies_folder(), name).path
    study = runpy.run_path(str(path)).get("STUDY")
    if not isinstance(study, Study):
        raise BadInput(f"{path}: declares no STUDY")
    return study


def studies_folder() -> Path:
    """Return the folder of the studies."""
    return repository() / "studies"


@functools.cache
def _cell(one: Need, dataset: str, quick: bool) -> Cell:
    """Return the cell of a need with the seed 0.

    Raises:
        BadInput: see `Need.cells`.
    """
    sweep = one.sweep(dataset, quick)
    levels = sweep.study.baseline | dict(one.levels)
    if unknown := sorted(set(levels) - set(sweep.study.factors)):
        raise BadInput(f"{one.name}: {unknown[0]} is no factor of the study; it has {', '.join(sweep.study.factors)}")
    (cell,) = sweep.study.cells_to_run(sweep.base, {name: (level,) for name, level in levels.items()}, 1)
    return cell


@functools.cache
def _key(one: Need, dataset: str, quick: bool, seed: int) -> str:
    """Return the key of the run of a cell with a seed."""
    config: RunConfig = _cell(one, dataset, quick).config
    return config.with_changes(seed=seed).key
