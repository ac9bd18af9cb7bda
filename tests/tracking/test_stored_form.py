"""Runs read the same in whichever form a revision stored their configuration, their name and their times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Metric, Param

from tests.support.studies import recorded, run_study, searching, toy
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.addresses import database_uri
from vaestudy.study.metrics import METRICS
from vaestudy.tracking import stored_form
from vaestudy.tracking.destination import Destination
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.recorded_run import read_recorded_run
from vaestudy.tracking.stored_form import param_text, parameter_fields, stored_config, varying_fields

CONFIG = RunConfig(dataset="mnist-5k", valid_size=500, epochs=3, latent_dim=7, hidden=(32, 16), log_guard=1e-8, seed=4)


def start_as_earlier(to: Destination, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
    """Create a run as earlier revisions did: its long name, and every field as a parameter."""
    about = {"role": "trial" if to.sweep_run else "train", "config.key": config.key} | dict(tags)
    run_id = to.tracker.start(to.experiment, name, about, to.sweep_run)
    values = config.model_dump(mode="json").items()
    to.tracker.client.log_batch(run_id, params=[Param(field, param_text(value)) for field, value in values])
    return run_id


def test_both_forms_of_a_run_read_the_same(tmp_path: Path) -> None:
    tracker = Tracker(database_uri(tmp_path / "mlflow.db"))
    to = Destination(tracker, tracker.create_experiment("e", "", {}), "", ("latent_dim", "seed"))
    name = "latent_dim=7, seed=4"
    old, new = start_as_earlier(to, name, CONFIG, {}), to.start_run(name, CONFIG, {})
    metrics = {"seconds/total": 2.0, "along/100/elbo": -9.0, "gradient/end/all/var_x": 3.0, "pruned/epoch": 4.0}
    tracker.client.log_batch(old, [Metric(name, value, 1, 0) for name, value in metrics.items()])
    tracker.metrics(new, metrics)
    stored = tracker.client.get_run(new)
    assert len(stored.data.params) == stored_form.MOST_PARAMETERS
    assert {"latent_dim", "seed"} <= set(stored.data.params)
    assert stored.info.run_name == "D=7 s4"
    assert set(stored.data.metrics) == {
        "wall_seconds/total", "valid_along/100/elbo", "weights_gradient/end/all/var_x", "was_pruned/epoch"
    }  # fmt: skip
    rows = [tracker.get(run_id) for run_id in (old, new)]
    fields = {f"params.{field}" for field in RunConfig.model_fields}
    for row in rows:
        assert {column for column in row if column.startswith("params.")} == fields
        assert row["name"] == name
        assert {metric: row[f"metrics.{metric}"] for metric in metrics} == metrics
        assert not [column for column in row if column.startswith("tags.config.") and column != "tags.config.key"]
        for metric, value in metrics.items():
            assert tracker.curve(row["run_id"], metric) == {0: value}
        assert read_recorded_run(tracker, row["run_id"]).config == CONFIG
    assert {row[field] == rows[0][field] for row in rows for field in fields} == {True}


def test_a_sweep_of_an_earlier_revision_goes_on(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its runs are not made again, and stand in one table with the new ones."""
    with monkeypatch.context() as earlier:
        earlier.setattr(Destination, "start_run", start_as_earlier)
        earlier.setattr("vaestudy.tracking.mlflow_tracker.stored_metric", str)
        assert run_study(toy(), "--seeds", "1") == 0
    capsys.readouterr()
    assert run_study(toy(), "--seeds", "2") == 0
    assert "4 runs, 2 done" in capsys.readouterr().err
    runs, _ = recorded(mlruns)
    params = runs[[column for column in runs if column.startswith("params.")]]
    assert set(params) == {f"params.{field}" for field in RunConfig.model_fields}
    assert not params.isna().any(axis=None)
    assert not runs["metrics.seconds/total"].isna().any()
    table = pd.read_csv(mlruns / "tables" / "toy" / "table.csv")
    assert table["seeds"].tolist() == [2, 2]


def test_every_field_is_stored_once() -> None:
    varying = varying_fields(toy())
    params, tags = stored_config(CONFIG, varying)
    names = [*params, *(name.removeprefix("config.") for name in tags)]
    assert sorted(names) == sorted(RunConfig.model_fields)
    assert stored_form.read_config(params, tags | {"config.key": CONFIG.key}) == {
        name: param_text(value) for name, value in CONFIG.model_dump(mode="json").items()
    }


def test_what_varies_comes_first() -> None:
    assert varying_fields(toy()) == ("latent_dim", "seed")
    assert varying_fields(searching()) == ("learning_rate", "minibatch", "seed")
    many = tuple(RunConfig.model_fields)[:15]
    assert parameter_fields(many) == many
    assert len(set(parameter_fields(("latent_dim", "seed")))) == stored_form.MOST_PARAMETERS
    assert set(stored_form.ASKED_FOR) <= set(RunConfig.model_fields)


@pytest.mark.parametrize("name", [name for name in METRICS if "/" in name])  # those without come last in any case
def test_the_scores_come_first_on_the_page_of_a_run(name: str) -> None:
    stored = stored_form.stored_metric(name)
    assert stored_form.metric_of(stored) == name
    assert (stored == name) == name.startswith(("test/", "train/", "valid/"))
    assert stored == name or stored > "valid/~"
