"""Epochs to a target that arms share, by synthetic curves whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from tests.reporting.test_export import exported
from tests.reporting.test_summary import STUDY, runs
from vaestudy.reporting import common_target, runs_frame
from vaestudy.reporting.common_target import EPOCHS, TARGET, first_epoch, with_common_target
from vaestudy.reporting.tables import summary
from vaestudy.study.declaration import Study

TUNED = Study(
    **(
        vars(STUDY)
        | {
            "factors": {"latent_dim": (2, 10), "learning_rate": (1e-3, 1e-2, 1e-4)},
            "baseline": {"latent_dim": 10, "learning_rate": 1e-3},
            "tabulate": ("test/elbo", "epochs_to_95"),
        }
    )
)
D2, D10 = [-200.0, -180.0, -160.0, -150.0], [-200.0, -150.0, -104.0, -100.0]
"""Targets: -200 + 0.95 * 50 = -152.5, epoch 4, and -200 + 0.95 * 100 = -105, epoch 3."""
LOW = [-300.0, -251.0, -250.0, -250.0]
"""Has 95 % of its own rise at epoch 2, and never comes near the target."""
SLOW = [-200.0, -190.0, -180.0, -105.0]
CURVES = {(2, 1e-3): [D2, D2], (10, 1e-3): [D10, D10], (10, 1e-2): [LOW, LOW], (10, 1e-4): [D10, SLOW],
          (2, 1e-2): [SLOW, D2], (2, 1e-4): [LOW, D2]}  # fmt: skip


def tracked(failed: tuple[str, ...] = ()) -> tuple[pd.DataFrame, dict[str, dict[int, float]]]:
    """Return runs of TUNED as the tracker returns them, and their curves by run id."""
    parts, curves = [], {}
    for (D, rate), both in CURVES.items():
        for seed, curve in enumerate(both):
            name = f"{D}-{rate:g}-{seed}"
            part = runs({(D, seed): -1.0}, **{"params.learning_rate": str(rate), "run_id": name})
            part["tags.config.key"], part["metrics.epochs_to_95"] = name, 2.0
            part["metrics.valid/elbo"] = curve[-1]
            part.loc[part["run_id"].isin(failed), "status"] = "FAILED"
            parts.append(part)
            curves[name] = {0: 0.0} | dict(enumerate(curve, start=1))  # MLflow keeps final values at step 0
    return pd.concat(parts, ignore_index=True), curves


def table(failed: tuple[str, ...] = ()) -> tuple[pd.DataFrame, summary.Table]:
    children, curves = tracked(failed)
    tidy = with_common_target(runs_frame.tidy_runs(children, TUNED), TUNED, curves)
    return tidy, summary.summarise(tidy, TUNED)


def shown(found: summary.Table) -> dict[tuple[str, str], str]:
    columns = found.shown[["latent_dim", "learning_rate", "epochs to common target"]]
    return {(D, rate): text for D, rate, text in columns.itertuples(index=False)}


def test_the_first_epoch_at_a_target() -> None:
    curve = dict(enumerate(D10, start=1))
    assert first_epoch(curve, -104.0) == 3
    assert first_epoch(curve, -103.9) == 4
    assert first_epoch(curve, -99.0) == math.inf
    assert first_epoch(curve, math.nan) == math.inf


def test_the_target_is_that_of_the_baseline_with_the_same_dimension() -> None:
    tidy, _ = table()
    assert tidy.groupby("latent_dim")[TARGET].unique().map(list).to_dict() == {2: [-152.5], 10: [-105.0]}
    found = tidy.set_index("run_id")[EPOCHS].to_dict()
    assert [found[f"10-{rate}-{s}"] for rate in ("0.001", "0.01", "0.0001") for s in (0, 1)] == [
        3, 3, math.inf, math.inf, 3, 4]  # fmt: skip
    assert [found[f"2-0.01-{s}"] for s in (0, 1)] == [4, 4]


def test_a_poor_arm_is_not_flattered() -> None:
    """The relative measure says epoch 2 for the arm that ends 150 nats below; the common one says never."""
    _, found = table()
    cells = shown(found)
    assert cells["10", "0.01"] == "> 4"
    assert cells["2", "0.0001"] == "> 4 in 1 of 2"
    assert cells["10", "0.001"] == "3.0 ± 0.0"
    full = found.full.set_index(["latent_dim", "learning_rate"])
    assert full.loc[(10, 1e-4), EPOCHS] == 3.5
    assert math.isnan(full.loc[(2, 1e-4), EPOCHS])  # no mean over the run that reached it
    assert full.loc[(2, 1e-4), f"{EPOCHS}_reached"] == 1
    (note,) = [line for line in found.notes if "common target" in line]
    assert "-152.5 at latent_dim=2; -105.0 at latent_dim=10" in note
    assert "ELBO on valid" in note


def test_a_failed_run_never_reached_the_target() -> None:
    _, found = table(failed=("2-0.01-0",))
    assert shown(found)["2", "0.01"] == "> 4 in 1 of 2"


def test_without_the_arm_that_sets_the_target_the_column_is_empty() -> None:
    _, found = table(failed=("10-0.001-0", "10-0.001-1"))
    assert {text for (D, _), text in shown(found).items() if D == "10"} == {""}
    assert shown(found)["2", "0.001"] == "4.0 ± 0.0"
    assert any("none at latent_dim=10" in line for line in found.notes)


def test_a_bound_that_does_not_rise_sets_no_target() -> None:
    children, curves = tracked()
    falling = {name: dict(enumerate(D10[::-1], start=1)) for name in curves}
    tidy = with_common_target(runs_frame.tidy_runs(children, TUNED), TUNED, falling)
    assert tidy[TARGET].isna().all()


def test_the_export_reads_the_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    children, curves = tracked()
    asked: list[str] = []

    def curve(self: Any, run_id: str, name: str) -> dict[int, float]:
        asked.append(name)
        return curves[run_id]

    monkeypatch.setattr("tests.reporting.test_export.FakeTracker.curve", curve, raising=False)
    _, tracker = exported(TUNED, children)
    assert set(asked) == {"valid/elbo"}
    assert len(asked) == len(children)
    assert "> 4 in 1 of 2" in tracker.written["tables/table.md"].decode()
    assert common_target.EPOCHS in tracker.written["tables/runs.csv"].decode().splitlines()[0]


def test_runs_without_a_validation_split_use_the_train_images() -> None:
    children, _ = tracked()
    assert common_target.curve_metric(runs_frame.tidy_runs(children, TUNED)) == "valid/elbo"
    assert common_target.curve_metric(children.drop(columns="metrics.valid/elbo")) == "train/elbo"
