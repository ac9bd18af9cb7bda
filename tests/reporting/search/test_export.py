"""The export of sweeps with a search, from what MLflow has of them: tables, notes, and which runs count."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import optuna
import pandas as pd
import pytest

from tests.reporting.test_export import FakeTracker
from tests.support.searches import SPACE, searched, searched_study, trials
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.reporting import export
from vaestudy.reporting.search import ranking, report
from vaestudy.reporting.search.searched import FINAL_FILE
from vaestudy.reporting.search.trials import TRIALS_FILE, trials_json
from vaestudy.study.declaration import Study
from vaestudy.study.search import Search
from vaestudy.tracking.stored_form import param_text

TUNED = Search(space={"learning_rate": SPACE["learning_rate"]}, trials=4, per_arm=True, sampler="QMCSampler")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures, which have tests of their own, but one."""
    monkeypatch.setattr(report, "FIGURES", {"search_timeline": report.FIGURES["search_timeline"]})


class SearchTracker(FakeTracker):
    """A tracker that holds one sweep with a search, and perhaps the untuned sweep."""

    def __init__(self, study: Study, children: pd.DataFrame, files: Mapping[str, bytes], **tags: str) -> None:
        super().__init__(study, children)
        self.stored, self.row, self.untuned = files, tags, pd.DataFrame()

    def get(self, run_id: str) -> dict[str, Any]:
        own = {f"tags.{name}": value for name, value in self.row.items()}
        return super().get(run_id) | {"run_id": run_id} | own

    def read_file(self, run_id: str, name: str) -> bytes:
        return self.stored[name] if name in self.stored else super().read_file(run_id, name)

    def runs(self, experiment: Any, tags: Mapping[str, str], parent: str = "") -> pd.DataFrame:
        if tags == {"role": "study"}:
            sweeps = [("old", "toy"), ("new", "toy~2"), ("tuned", "toy-tune")]
            return pd.DataFrame([{"experiment": "1", "run_id": run, "tags.sweep": name} for run, name in sweeps])
        return self.untuned if parent == "new" else self.children


def runs(study: Study, values: Mapping[str, tuple[dict[str, Any], float]], seeds: int = 3) -> pd.DataFrame:
    """Return runs as the tracker does: prefix of the keys -> (changed fields, test/elbo at seed 0)."""
    rows = []
    for name, (changes, elbo) in values.items():
        for seed in range(seeds):
            config = study.base.with_changes(**changes, seed=seed).model_dump(mode="json")
            rows.append(
                {f"params.{field}": param_text(value) for field, value in config.items()}
                | {f"tags.data.{part}": "9" for part in ("train", "valid", "test")}
                | {
                    "run_id": f"{name}-{seed}",
                    "status": "FINISHED",
                    "start_time": seed,
                    "tags.config.key": f"{name}-{seed}",
                    "tags.data.fingerprint": "f" * 64,
                    "tags.data.name": "toy",
                    "tags.code.revision": "abc",
                    "tags.code.state": "clean",
                    "metrics.test/elbo": elbo + seed + (0.1 * seed if changes else 0),
                    "metrics.test/kl": 1.0,
                    "metrics.valid/elbo": elbo + 2 * seed,
                    "metrics.seconds/total": 2.0,
                }
            )
    return pd.DataFrame(rows)


def final(name: str, levels: dict[str, Any], trial: int | None = 1) -> dict[str, Any]:
    return {"trial": trial, "value": -90.0, "levels": levels, "keys": [f"{name}-{seed}" for seed in range(3)]}


def exported(tracker: SearchTracker) -> tuple[export.Exported, dict[str, pd.DataFrame]]:
    """Return the export and its tables, by name."""
    result = export.export(tracker, "1", "parent")  # type: ignore[arg-type]
    tables = {
        path.removeprefix("tables/").removesuffix(".csv"): pd.read_csv(io.BytesIO(content))
        for path, content in tracker.written.items()
        if path.endswith(".csv")
    }
    return result, tables


def files(studies: dict[str, optuna.Study], ends: dict[str, Any] | None) -> dict[str, bytes]:
    found = {TRIALS_FILE: trials_json(studies)}
    return found if ends is None else found | {FINAL_FILE: json.dumps(ends).encode()}


SEARCHED = {"": trials("complete", "pruned", "failed", "infeasible", "complete")}
LEVELS = {"sigma": "raw", "learning_rate": 0.09, "hidden": [256, 256], "latent_dim": 11}
BASE_LEVELS = {"sigma": "log-variance", "learning_rate": 0.001, "hidden": [128], "latent_dim": 20, "init_sigma": 0.1}


def test_the_best_is_compared_with_the_base() -> None:
    """Runs of an earlier winner are left out; the difference is paired by seed."""
    study = searched_study()
    children = runs(study, {"base": ({}, -100), "best": ({"learning_rate": 0.09}, -90), "earlier": ({}, -95)})
    ends = {"best": final("best", LEVELS), "base": final("base", BASE_LEVELS, None)}
    tracker = SearchTracker(study, children, files(SEARCHED, ends), parallel_search="True")
    result, tables = exported(tracker)
    table = tables["table"].set_index("configuration")
    assert list(table.index) == ["best of 5 trials", "base"]
    best = table.loc["best of 5 trials"]
    assert best["test/elbo"] == pytest.approx(-88.9)
    assert best["test/elbo_diff"] == pytest.approx(10.1)
    assert best["test/elbo_diff_ci95"] == pytest.approx(4.302653 * 0.1 / 3**0.5)
    assert best["hidden"] == "256x256"
    text = tracker.written["tables/table.md"].decode()
    assert "| best - base" in text
    assert "+10.10 ± 0.25" in text
    assert "+0.00 ± 0.00" in text  # the KL's
    assert "Δ ELBO" not in text
    notes = " ".join(result.notes)
    assert "trial 1: sigma=raw, learning_rate=0.09, hidden=256x256, latent_dim=11." in notes
    assert (
        "5 trials: 2 complete, 1 pruned, 1 failed, 1 infeasible; 11 epochs trained, 2 saved by pruning, 15 %" in notes
    )
    assert "does not repeat exactly" in notes
    space = tables["search_space"].set_index("field")
    assert space["best_at_edge"].to_dict() == {
        "sigma": False, "learning_rate": True, "hidden": False, "latent_dim": False, "init_sigma": False
    }  # fmt: skip
    assert "0.09 *" in tracker.written["tables/search_space.html"].decode()
    assert "could not be made" not in notes
    assert "best - base: mean difference at the same seed" in notes
    assert len(tables["trials"]) == 5
    assert len(tables["runs"]) == 6
    assert "figures/search_timeline.png" in tracker.written


def test_the_name_of_the_base() -> None:
    article = searched_study(base=RunConfig.preset("article", valid_size=None, epochs=3))
    assert searched({}, article).base_label == "article (base)"
    other = searched_study(base=RunConfig.preset("article", valid_size=None, learning_rate=0.01))
    assert searched({}, other).base_label == "base"


def test_a_base_that_won() -> None:
    study = searched_study()
    ends = {"best": final("base", BASE_LEVELS, None), "base": final("base", BASE_LEVELS, None)}
    tracker = SearchTracker(study, runs(study, {"base": ({}, -100)}), files(SEARCHED, ends))
    result, tables = exported(tracker)
    assert tables["table"]["configuration"].tolist() == ["base, best of 5 trials"]
    assert any(line.startswith("The best configuration is the base itself") for line in result.notes)
    assert "best - base" not in tracker.written["tables/table.md"].decode()


def test_a_search_that_goes_on() -> None:
    """Before the final runs there are the trials and the figures, and before those only a note."""
    study = searched_study()
    result, tables = exported(tracker := SearchTracker(study, pd.DataFrame(), files(SEARCHED, None)))
    assert set(tables) == {"trials"}
    assert "Search: no final runs are on record yet." in result.notes
    assert {"figures/search_timeline.png", "tables/trials.md"} <= set(tracker.written)
    assert (result.folder / "trials.md").exists()
    result, tables = exported(SearchTracker(study, pd.DataFrame(), {}))
    assert tables == {}
    assert [screen.title for screen in result.screens] == ["no run has finished"]


def test_two_objectives_have_no_final_runs() -> None:
    study = searched_study(search=Search(space=SPACE, trials=3, objectives=("valid/elbo", "valid/kl")))
    stored = files({"": trials("complete", "complete", "failed", objectives=2)}, {})
    result, tables = exported(SearchTracker(study, pd.DataFrame(), stored))
    assert tables["trials"]["valid/kl"].notna().sum() == 2
    assert [screen.title for screen in result.screens] == ["The trials of the search (toy)"]
    assert any(line.startswith("Search: 3 trials: 2 complete, 1 failed") for line in result.notes)


def test_a_search_beside_factors_leaves_the_cells_alone() -> None:
    study = searched_study(factors={"latent_dim": (2, 10)}, baseline={"latent_dim": 2})
    cells = {"two": ({"latent_dim": 2}, -100), "ten": ({"latent_dim": 10}, -95)}
    winner = {"best": ({"latent_dim": 10, "learning_rate": 0.09}, -80)}
    ends = {"best": final("best", LEVELS), "base": final("two", BASE_LEVELS, None)}
    _, tables = exported(SearchTracker(study, runs(study, cells | winner), files(SEARCHED, ends)))  # type: ignore[arg-type]
    assert tables["table"]["latent_dim"].tolist() == [2, 10]
    assert tables["table"]["test/elbo"].round(1).tolist() == [-98.9, -93.9]
    assert "trials" in tables
    assert "search_space" not in tables


ARMS = {
    "latent_dim=2": final("two", {"learning_rate": 0.003}),
    "latent_dim=10": final("ten", {"learning_rate": 0.0999}),
}
OF_ARMS = {"latent_dim=2": trials(*["complete"] * 3, "failed"), "latent_dim=10": trials(*["complete"] * 4, seed=1)}


def tuned(before: tuple[float, float] | None = None, **tags: str) -> tuple[SearchTracker, Study]:
    """Return a tracker with a tuned sweep, in which D=10 is better, and perhaps the untuned one: its ELBO by D."""
    study = searched_study(factors={"latent_dim": (2, 10)}, baseline={"latent_dim": 2}, search=TUNED)
    values = {"two": ({"latent_dim": 2}, -100.0), "ten": ({"latent_dim": 10}, -90.0), "x": ({"latent_dim": 2}, 0.0)}
    tracker = SearchTracker(study, runs(study, values), files(OF_ARMS, ARMS), **tags)
    if before:
        cells = {"two": ({"latent_dim": 2}, before[0]), "ten": ({"latent_dim": 10}, before[1])}
        tracker.untuned = runs(study, cells)
    return tracker, study


def test_tuned_arms_have_their_winners_and_two_spreads() -> None:
    tracker, _ = tuned()
    result, tables = exported(tracker)
    table = tables["table"].set_index("latent_dim")
    assert table["test/elbo"].round(1).to_dict() == {2: -98.9, 10: -88.9}
    assert table["tuned_learning_rate"].to_dict() == {2: 0.003, 10: 0.0999}
    assert table["tuned_learning_rate_at_edge"].to_dict() == {2: False, 10: True}
    text = tracker.written["tables/table.html"].decode()
    assert "tuned learning_rate" in text
    assert "0.0999 *" in text
    assert any(line.startswith("Levels with * are at the edge of the space") for line in result.notes)
    assert any("the untuned study (no sweep) is not tracked" in line for line in result.notes)
    spread = tables["search_spread"].set_index("latent_dim")
    values = sorted(trial.value for trial in OF_ARMS["latent_dim=10"].trials)
    assert spread.loc[10, "n"] == 2
    assert spread.loc[10, "expected_best"] == pytest.approx((values[1] + 2 * values[2] + 3 * values[3]) / 6)
    assert spread.loc[2, "with_value"] == 3
    assert spread.loc[10, "sd_trials"] == pytest.approx(pd.Series(values).std())
    assert spread.loc[10, "sd_seeds"] == pytest.approx(2.0)
    assert len(tables["trials"]) == 8


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ((-90.0, -100.0), "1 of 1 pairs of arms (latent_dim=10 now has more than latent_dim=2); 0 pairs tie"),
        ((-100.0, -90.0), "0 of 1 pairs of arms; 0 pairs tie without it and differ with it, 0 differ"),
        ((-90.0, -90.0), "0 of 1 pairs of arms; 1 pairs tie without it"),
    ],
)
def test_where_the_ranking_changes(before: tuple[float, float], found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "study_experiments", lambda tracker: {"tune": ["1"]})
    tracker, _ = tuned(before, untuned="toy")
    if before[0] == before[1]:  # differences of -1, 0 and 1
        tracker.untuned.loc[3:, "metrics.test/elbo"] = [-89.9, -88.8, -88.8]
    result, _ = exported(tracker)
    (line,) = [line for line in result.notes if line.startswith("Tuning reverses the order by ELBO of ")]
    assert found in line
    assert "(untuned: sweep toy; two arms differ if" in line


def test_a_ranking_on_other_data_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "study_experiments", lambda tracker: {"tune": ["1"]})
    tracker, _ = tuned((-90.0, -100.0), untuned="toy")
    tracker.untuned["tags.data.fingerprint"] = "0" * 64
    assert "the untuned sweep toy has other data" in " ".join(exported(tracker)[0].notes)


def test_a_comparison_that_fails_costs_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(tracker: object) -> None:
        raise BadInput("run holds no study.json")

    monkeypatch.setattr(ranking, "study_experiments", lost)
    tracker, _ = tuned(untuned="toy")
    line = "comparison with the untuned study could not be made: BadInput: run holds no study.json"
    assert line in exported(tracker)[0].notes
