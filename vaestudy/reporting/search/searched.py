"""What a sweep run in MLflow has of its searches, and which of the sweep's runs are the final ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
import pandas as pd

from vaestudy.config.presets import PRESETS
from vaestudy.errors import BadInput
from vaestudy.reporting.search.trials import TRIALS_FILE, read_trials
from vaestudy.study.declaration import Study, level_text
from vaestudy.study.search import Search
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.stored_form import param_text

FINAL_FILE = "search/final.json"
CONFIGURATION = "configuration"
"""The column that tells the best configuration from the base, in the table of a study without factors."""
NO_PART_OF_BASE = ("valid_size", "epochs")
"""Fields of the preset `article` that studies change, and which are no part of the article's model."""


@dataclass(frozen=True)
class Searched:
    """The searches of one sweep."""

    study: Study
    """The study as it was declared."""
    search: Search
    studies: dict[str, optuna.Study]
    """Name of an arm -> the trials of its search; "" for the only search of a sweep."""
    final: dict[str, Any]
    """The content of `FINAL_FILE`: which configurations were trained at the end, and the keys of their runs."""
    base: dict[str, Any]
    """The base configuration of the sweep, as fields of `RunConfig`."""
    sweep: str
    quick: bool = False
    parallel: bool = False
    """Whether more than one trial of a search ran at once."""
    untuned: str = ""
    """The name of the sweep of the same study without tuning; empty if this is no tuned sweep."""
    notes: list[str] = field(default_factory=list)
    """Lines about what could not be read."""

    @property
    def is_compared(self) -> bool:
        """Return whether the search's best is compared with the base in the study's own table."""
        return not self.study.factors

    @property
    def has_final_runs(self) -> bool:
        """Return whether runs are expected beside the trials: two objectives have a front in place of one best."""
        return bool(self.study.factors) or len(self.search.objectives) == 1

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials of all searches."""
        return [trial for study in self.studies.values() for trial in study.get_trials(deepcopy=False)]

    @property
    def base_won(self) -> bool:
        """Return whether the best configuration is the base itself."""
        best, base = self.final.get("best"), self.final.get("base")
        return best is not None and base is not None and set(best["keys"]) == set(base["keys"])

    @property
    def base_label(self) -> str:
        """Return the name of the base in tables: it may be the article's configuration."""
        article = {k: v for k, v in PRESETS["article"].items() if k not in NO_PART_OF_BASE}
        same = all(_plain(self.base.get(name)) == _plain(value) for name, value in article.items())
        return "article (base)" if same else "base"

    @property
    def best_label(self) -> str:
        """Return the name of the best configuration in tables."""
        return f"best of {len(self.trials)} trials"

    def final_keys(self) -> dict[str, set[str]]:
        """Return the keys of the final runs: "best", "base", or the name of an arm -> keys."""
        return {name: set(entry["keys"]) for name, entry in self.final.items()}

    def view(self, children: pd.DataFrame) -> tuple[Study, pd.DataFrame]:
        """Return the study and its runs as the usual tables and figures take them.

        Without factors, the factor is `configuration`, whose levels are the best and the base. With a search of each
        arm, only the final runs count. With a search beside factors, only the runs of cells do.

        Args:
            children: the tracker's runs of the sweep.
        """
        if self.is_compared:
            return self._compared_study(), self._compared_runs(children)
        if children.empty:
            return self.study, children
        keys = self.final_keys()
        if self.search.per_arm:
            return self.study, children[children["tags.config.key"].isin(set().union(*keys.values()))]
        final = children["tags.config.key"].isin(set().union(*keys.values()))
        cells = pd.Series([self._is_cell(run) for run in children.to_dict("records")], index=children.index)
        return self.study, children[~final | cells]

    def _compared_study(self) -> Study:
        """Return the study with the factor `configuration`."""
        base = f"{self.base_label}, {self.best_label}" if self.base_won else self.base_label
        levels = (base,) if self.base_won else (self.best_label, base)
        return self.study.model_copy(
            update={"factors": {CONFIGURATION: levels}, "full": {}, "baseline": {CONFIGURATION: base}}
        )

    def _compared_runs(self, children: pd.DataFrame) -> pd.DataFrame:
        """Return the final runs, with the level of `configuration` as if it were a field of the runs."""
        (*best, base) = self._compared_study().factors[CONFIGURATION]
        labels = {key: str(base) for key in self.final_keys().get("base", ())}
        labels = {key: str(best[0]) for key in self.final_keys().get("best", ()) if best} | labels
        if children.empty:
            return children
        found = children["tags.config.key"].map(labels)
        return children.assign(**{f"params.{CONFIGURATION}": found})[found.notna()]

    def _is_cell(self, run: Mapping[Any, Any]) -> bool:
        """Return whether a run is one of a cell: it has declared levels, and is like the base in all else."""
        levels = {
            n: {param_text(v) for v in (*vs, *self.study.full.get(n, ()))} for n, vs in self.study.factors.items()
        }
        fixed = {n: {param_text(v)} for n, v in self.base.items() if n not in levels and n != "seed"}
        return all(run.get(f"params.{name}") in texts for name, texts in (levels | fixed).items())

    def arm_of(self, runs: pd.DataFrame) -> str | None:
        """Return the arm to which final runs belong, None if to none."""
        keys = set(runs["tags.config.key"])
        return next((arm for arm, own in self.final_keys().items() if keys & own), None)

    def levels_of(self, name: str, text: Callable[[Any], str] = level_text) -> dict[str, str]:
        """Return the searched levels of a final configuration as text, in the order of the space.

        Args:
            name: "best", "base", or the name of an arm.
            text: returns a level as text: `level_text` for all digits, `short_text` for reading.
        """
        levels = self.final.get(name, {}).get("levels", {})
        return {field: text(levels[field]) for field in self.search.space if field in levels}

    def is_edge(self, name: str, field: str) -> bool:
        """Return whether a searched level of a final configuration lies at an edge of the space."""
        levels, dimension = self.final[name]["levels"], self.search.space[field]
        value = levels.get(field)
        return value is not None and dimension.is_edge(tuple(value) if isinstance(value, list) else value)


def read_searched(tracker: Tracker, row: Mapping[str, Any], study: Study) -> Searched | None:
    """Return the searches of a sweep, None if the study has none.

    Args:
        tracker: the store of the runs.
        row: the sweep run, as `Tracker.get` returns it.
        study: the study of the sweep.
    """
    if study.search is None:
        return None
    notes: list[str] = []
    contents: dict[str, bytes] = {}
    for name in (TRIALS_FILE, FINAL_FILE):
        try:
            contents[name] = tracker.read_file(str(row["run_id"]), name)
        except BadInput:  # the search has not come to an end yet
            what = "no trials are on record yet" if name == TRIALS_FILE else "no final runs are on record yet"
            notes.append(f"Search: {what}.")
    stored = row.get("tags.base")
    return Searched(
        study=study,
        search=study.search,
        studies=read_trials(contents[TRIALS_FILE]) if TRIALS_FILE in contents else {},
        final=json.loads(contents[FINAL_FILE]) if FINAL_FILE in contents else {},
        base=json.loads(stored) if isinstance(stored, str) else study.base.model_dump(mode="json"),
        sweep=str(row["tags.sweep"]),
        quick=row.get("tags.quick") == "True",
        parallel=row.get("tags.parallel_search") == "True",
        untuned=str(row.get("tags.untuned") or ""),
        notes=notes,
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value
