"""Export of a sweep: what a picture or a further table costs if it cannot be made, and which figures apply."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.reporting.test_summary import STUDY, VALUES, runs
from tests.support.studies import run_study, toy
from vaestudy.cli.main import main
from vaestudy.config.registry import STUDY_FIGURES, STUDY_TABLES
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.plotting import to_png
from vaestudy.reporting import export
from vaestudy.reporting.figures import bound
from vaestudy.reporting.tables import cost
from vaestudy.study.declaration import Study
from vaestudy.tracking.mlflow_tracker import DESCRIPTION


class FakeTracker:
    """A tracker in memory that holds one sweep."""

    def __init__(self, study: Study, children: pd.DataFrame) -> None:
        self.study, self.children = study, children
        self.written: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}

    def get(self, run_id: str) -> dict[str, Any]:
        return {"tags.sweep": "toy", "tags.quick": "False"}

    def read_file(self, run_id: str, name: str) -> bytes:
        if name == "study.json":
            return self.study.model_dump_json().encode()
        raise BadInput(f"run {run_id} holds no {name}")

    def runs(self, experiment: str, tags: Mapping[str, str], parent: str) -> pd.DataFrame:
        return self.children

    def files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        self.written |= files

    def tag(self, run_id: str, values: Mapping[str, str]) -> None:
        self.tags |= values

    def metrics(self, run_id: str, values: Mapping[str, float]) -> None: ...

    def series(self, run_id: str, name: str, values: Mapping[int, float]) -> None: ...

    def dataset(self, run_id: str, data: Mapping[str, str]) -> None: ...


def exported(study: Study, children: pd.DataFrame, papers: bool = False) -> tuple[export.Exported, FakeTracker]:
    tracker = FakeTracker(study, children)
    return export.export(tracker, "1", "parent", papers=papers), tracker  # type: ignore[arg-type]


def changed(**changes: object) -> Study:
    return Study(**(vars(STUDY) | changes))


def test_a_picture_or_further_table_that_fails_costs_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tidy: pd.DataFrame, study: Study) -> None:
        raise ValueError("no\nroom")

    monkeypatch.setattr(bound, "bound_and_parts", broken)
    monkeypatch.setattr(cost, "pareto", broken)
    study = changed(figures=("bound_and_parts", "arms"), tables=("pareto",), gallery="prior_means")
    result, tracker = exported(study, runs(VALUES))
    lines = [
        "table pareto could not be made: ValueError: no room",
        "figure bound_and_parts could not be made: ValueError: no room",
        "gallery prior_means lacks 1 of 1 pictures: run r20 holds no figures/prior_means.png",
    ]
    assert result.notes[-3:] == lines
    assert {"tables/table.csv", "tables/runs.csv", "figures/arms.png"} <= set(tracker.written)
    assert "figures/bound_and_parts.png" not in tracker.written
    for text in (tracker.written["tables/table.md"].decode(), tracker.tags[DESCRIPTION]):
        assert all(line in text for line in lines)
    assert (Path(result.folder) / "table.md").read_bytes() == tracker.written["tables/table.md"]


def test_pictures_for_papers_are_made_if_wanted() -> None:
    """The folder has them; MLflow keeps the PNG alone."""
    study = changed(figures=("arms",))
    result, _ = exported(study, runs(VALUES))
    assert not list(result.folder.glob("*.pdf"))
    result, tracker = exported(study, runs(VALUES), papers=True)
    assert not [path for path in tracker.written if path.endswith((".pdf", ".svg"))]
    assert (result.folder / "arms.pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in (result.folder / "arms.svg").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_gallery_of_damaged_pictures_costs_a_note(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = FakeTracker.read_file
    monkeypatch.setattr(
        FakeTracker, "read_file", lambda self, run, name: content if "figures" in name else plain(self, run, name)
    )
    result, tracker = exported(changed(gallery="prior_means", figures=()), runs(VALUES))
    assert result.notes[-1].startswith("gallery prior_means could not be made: ")
    assert "tables/table.csv" in tracker.written


FACTORS: dict[str, dict[str, tuple[Any, ...]]] = {
    "one level": {"latent_dim": (2,)},
    "names": {"sigma": ("raw", "abs")},
    "M and L": {"minibatch": (10, 20), "samples": (1, 2)},
    "estimators": {"estimator": ("sgvb-b", "stl"), "samples": (1, 2)},
}
LINES = {
    "elbo": ["test/elbo"],
    "milestones": ["test/elbo", "along/5/elbo", "along/5/images", "along/5/seconds"],
    "gradients": [f"gradient/{s}/all/{part}" for s in ("start", "epoch_1", "end") for part in ("var_x", "var_eps")],
    "classes": [f"test/class_{c}/{name}" for c in range(3) for name in ("neighbour_purity", "mu_1", "mu_2")],
    "pictures": ["test/unclear_prior"],
}


def tidy(factors: dict[str, tuple[Any, ...]], metrics: list[str], value: float, status: str) -> pd.DataFrame:
    """Return tidy runs of one seed that all have the same value of some metrics."""
    cells = pd.DataFrame(itertools.product(*factors.values()), columns=list(factors))
    facts = {"params.samples": "1", "params.subset": "null", "tags.data.name": "toy", "seconds/total": 1.0}
    return cells.assign(seed=0, run_id="r", status=status, **dict.fromkeys(metrics, value), **facts)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize(("value", "status"), [(math.nan, "FINISHED"), (-3.0, "FAILED"), (-3.0, None)])
def test_what_has_nothing_to_show_is_left_out(factors: str, kind: str, value: float, status: str | None) -> None:
    """No member raises where every run failed, every value is nan, or only other metrics were recorded."""
    named = FACTORS[factors]
    baseline = {name: levels[0] for name, levels in named.items()}
    study = changed(factors=named, baseline=baseline, tabulate=("test/elbo", "test/kl"))
    if status is None:  # finished, but without any metric
        frame = tidy(named, [], value, "FINISHED")
    else:
        frame = tidy(named, LINES[kind], value, status)
    for registry in (STUDY_FIGURES, STUDY_TABLES):
        assert [name for name in registry if registry.load(name)(frame, study) is not None] == []


@pytest.mark.parametrize(
    ("factors", "metrics", "drawn"),
    [
        ("one level", ["test/elbo"], {"bound_and_parts": 1, "arms": 1}),
        ("names", ["test/elbo", "test/kl", "test/iwae_100"], {"bound_and_parts": 3, "arms": 2}),
        ("M and L", ["test/elbo"], {"bound_and_parts": 1, "arms": 1, "m_l_heatmaps": 2}),  # with its colour bar
    ],
)
def test_a_figure_draws_the_panels_that_it_has(factors: str, metrics: list[str], drawn: dict[str, int]) -> None:
    named = FACTORS[factors]
    baseline = {name: levels[0] for name, levels in named.items()}
    study = Study(
        name="toy", doc="?", base=RunConfig(), factors=named, baseline=baseline, tabulate=("test/elbo", "test/kl")
    )
    frame = tidy(named, metrics, -3.0, "FINISHED")
    figures = {name: figure for name in STUDY_FIGURES if (figure := STUDY_FIGURES.load(name)(frame, study)) is not None}
    panels = {name: len(figure.axes) for name, figure in figures.items()}
    assert panels == drawn | ({"bound_and_parts": 2} if factors == "names" else {})
    assert all(to_png(figure) for figure in figures.values())


def test_noise_that_was_measured_beside_the_baseline_alone() -> None:
    """The table of estimators has the cells at the baseline's levels. Without noise there, there is no table."""
    factors: dict[str, tuple[Any, ...]] = {"latent_dim": (2, 10), "samples": (1, 5)}
    study = changed(factors=factors, baseline={"latent_dim": 2, "samples": 1}, tabulate=("test/elbo",))
    head = "gradient/end/sgvb-b"
    metrics = ["value/var_eps", "encoder/var_eps", "all/var_x", "all/var_eps", "encoder/snr_draws"]
    frame = tidy(factors, [f"{head}/{metric}" for metric in metrics], 1.0, "FINISHED")
    table = STUDY_TABLES.load("noise")
    assert len(table(frame, study).full) == 2
    frame.loc[frame["latent_dim"] == 2, [f"{head}/{metric}" for metric in metrics]] = math.nan
    assert table(frame, study) is None


def test_a_folder_of_tables_that_cannot_be_written(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The runs are done and recorded; one line says what is missing, in the study and in `tables`."""
    mlruns.mkdir()
    (mlruns / "tables").touch()
    assert run_study(toy(), "--seeds", "1") == 1
    line = "all runs are done, but their tables could not be made: tables cannot be written to"
    assert line in capsys.readouterr().err
    assert main(["tables"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tables cannot be written to" in line
    (mlruns / "tables").unlink()
    assert main(["tables"]) == 0


def test_tables_of_a_study_whose_file_is_elsewhere(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(toy(), "--seeds", "1") == 0
    assert main(["tables", "toy"]) == 0
    assert main(["tables", "toys"]) == 2
    assert "unknown study 'toys'" in capsys.readouterr().err
