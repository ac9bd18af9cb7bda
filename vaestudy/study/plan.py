"""The plan of a sweep: the searches that it makes, and the cells that follow from what they found.

no search                   no arms; the cells of the factors
a search without factors    one arm; the base and the best configuration, with each seed
a search beside factors     one arm; the cells of the factors
a search of each arm        an arm for each combination of levels; its best configuration, with each seed
chosen cells                no arms; these cells (`vaestudy article` runs only those that a claim lacks)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from vaestudy.config.compatibility import AIS_DEFAULTS
from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import Cell, Level, Levels, Study, level_text
from vaestudy.study.levels import combinations
from vaestudy.study.search_space import candidate

BASE, BEST = "base", "best"
"""The names of the two configurations that a search without factors compares."""

UNSCORED = {
    "test_scores": False,
    "class_scores": False,
    **AIS_DEFAULTS,
    "figures": (),
    "milestones": (),
    "gradient_images": 0,
    "gradient_estimators": (),
}
"""Fields of the configuration of every trial: it is trained and scored on valid, and nothing else is measured."""


@dataclass(frozen=True)
class Arm:
    """The part of a study that has a search of its own: a combination of levels, or the whole study."""

    name: str
    """The levels as text; empty for a search of the whole study."""
    levels: dict[str, Level]
    base: RunConfig
    """The study's base with the levels. Trials change it."""


@dataclass(frozen=True)
class Plan:
    """What a sweep runs.

    Args:
        study: the study, with its search if it has one.
        base: the sweep's base configuration.
        levels: the levels of each factor.
        seeds: the number of seeds of each cell.
        chosen: the cells to run, in place of all combinations of levels and seeds; empty for these.
    """

    study: Study
    base: RunConfig
    levels: Levels
    seeds: int
    chosen: tuple[Cell, ...] = ()

    @functools.cached_property
    def arms(self) -> list[Arm]:
        """Return an arm for each search of the sweep.

        Raises:
            BadInput: an arm's configuration is not valid.
        """
        if self.study.search is None or self.chosen:
            return []
        if not self.study.search.per_arm:
            return [Arm("", {}, self.base)]
        found = combinations(self.base.likelihood, self.levels, self.study.leave_out)
        return [Arm(_name(levels), levels, self.base.with_changes(**levels)) for levels in found]

    def cells(self, best: Mapping[str, dict[str, Level]]) -> list[Cell]:
        """Return the cells to run.

        Args:
            best: name of an arm -> the searched fields of its best configuration. An arm without any has no cells.

        Raises:
            BadInput: a cell's configuration is not valid, or `leave_out` leaves out all cells.
        """
        if self.chosen:
            return list(self.chosen)
        search = self.study.search
        if search is None or (self.study.factors and not search.per_arm):
            return self.study.cells_to_run(self.base, self.levels, self.seeds)
        arms = [arm for arm in self.arms if arm.name in best]
        if search.per_arm:
            return [
                Cell(arm.levels, candidate(arm.base, best[arm.name], seed=seed))
                for seed in range(self.seeds)
                for arm in arms
            ]
        shown = [(BASE, self.base), *((BEST, candidate(arm.base, best[arm.name])) for arm in arms)]
        cells = [
            Cell({}, config.with_changes(seed=seed), label) for seed in range(self.seeds) for label, config in shown
        ]
        return list({cell.config.key: cell for cell in reversed(cells)}.values())[::-1]  # the best may be the base

    def final_keys(self, best: Mapping[str, dict[str, Level]]) -> dict[str, list[str]]:
        """Return the keys of the runs that compare the searches' results: arm, "base" or "best" -> a key per seed."""
        search = self.study.search
        if search is None or (self.study.factors and not search.per_arm):
            return {}
        configs = {arm.name: candidate(arm.base, best[arm.name]) for arm in self.arms if arm.name in best}
        if not search.per_arm:
            configs = {BASE: self.base} | {BEST: configs[name] for name in configs}  # noqa: B035 (at most one)
        return {
            name: [config.with_changes(seed=seed).key for seed in range(self.seeds)] for name, config in configs.items()
        }


def _name(levels: Mapping[str, Level]) -> str:
    """Return levels as text."""
    return ", ".join(f"{name}={level_text(value)}" for name, value in levels.items())
