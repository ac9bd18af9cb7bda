"""The prepared views of MLflow's runs page: what they hold, and for which versions of MLflow they are written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

from tests.support.studies import by_likelihood, searching, toy
from vaestudy.runtime.addresses import database_uri
from vaestudy.tracking import mlflow_tracker
from vaestudy.tracking.mlflow_tracker import SHARED_VIEW, Tracker
from vaestudy.tracking.prepared_view import (
    LONGEST_VIEW,
    has_views,
    prepare_views,
    sweep_link,
    view_state,
    view_text,
)


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    """Return a tracker without any run."""
    return Tracker(database_uri(tmp_path / "mlflow.db"))


def views(tracker: Tracker, experiment: str) -> dict[str, dict[str, object]]:
    """Return the views of an experiment: key -> its tag."""
    tags = tracker.client.get_experiment(experiment).tags
    return {key.removeprefix(SHARED_VIEW): json.loads(text) for key, text in tags.items() if SHARED_VIEW in key}


def test_a_sweep_has_two_views(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.__version__", "3.17.9")
    experiment = tracker.create_experiment("toy", "", {"study": "toy"})
    for _ in range(2):
        assert prepare_views(tracker, experiment, "0123", toy(), "mnist-5k", 77)
    found = views(tracker, experiment)
    assert {key: view["name"] for key, view in found.items()} == {
        "0123": "mnist-5k",
        "0123-cells": "mnist-5k, mean of seeds",
    }
    assert found["0123"]["createdAt"] == found["0123"]["updatedAt"] == 77
    state = json.loads(str(found["0123"]["state"]))
    assert state["selectedColumns"] == [
        "params.`latent_dim`",
        "params.`seed`",
        "metrics.`test/elbo`",
        "metrics.`test/kl`",
        "metrics.`test/iwae_3`",
        "metrics.`test/active_units`",
    ]
    assert state["searchFilter"] == "tags.`vaestudy.sweep` = 'mnist-5k' AND tags.`vaestudy.role` = 'trial'"
    assert state["groupBy"] is None
    cells = json.loads(str(found["0123-cells"]["state"]))
    assert cells["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "latent_dim"}]
    assert tracker.client.get_experiment(experiment).tags["vaestudy.study"] == "toy"
    link = sweep_link(tracker, experiment, "0123")
    assert link.endswith(f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey=0123")


@pytest.mark.parametrize("version", ["3.16.0", "3.5.0", "4.0.0", "3.170.1", ""])
def test_other_versions_get_no_view(version: str, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow.__version__", version)
    experiment = tracker.create_experiment("toy", "", {})
    assert not prepare_views(tracker, experiment, "0123", toy(), "mnist-5k", 77)
    assert views(tracker, experiment) == {}
    assert sweep_link(tracker, experiment, "0123") == tracker.link(experiment, "0123")


def test_charts_of_a_study() -> None:
    state = view_state(toy(), "mnist-5k", grouped=False)
    kinds = [chart["type"] for chart in state["compareRunCharts"]]
    assert kinds == ["SCATTER"] * 4 + ["PARALLEL"] + ["LINE"] * 6
    scatter = state["compareRunCharts"][0]
    assert scatter["xaxis"] == {"key": "latent_dim", "type": "PARAM"}
    assert scatter["yaxis"] == {"key": "test/elbo", "type": "METRIC"}
    sections = [section["uuid"] for section in state["compareRunSections"]]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= set(sections)
    assert len(set(sections)) == len(sections)
    uuids = [chart["uuid"] for chart in state["compareRunCharts"]]
    assert len(set(uuids)) == len(uuids)
    assert state["orderByKey"] == "metrics.`test/elbo`"
    assert state["orderByAsc"] is False


def test_the_axis_is_a_number_where_there_is_one() -> None:
    state = view_state(by_likelihood(), "mnist-5k", grouped=False)
    assert state["compareRunCharts"][0]["xaxis"]["key"] == "latent_dim"
    assert state["orderByAsc"] is True  # bits/dim: lower is better
    assert state["compareRunCharts"][4]["selectedParams"] == ["likelihood", "likelihood_scale", "latent_dim"]


def test_a_study_that_searches() -> None:
    state = view_state(searching(), "mnist-5k", grouped=True)
    assert state["selectedColumns"][:3] == ["params.`learning_rate`", "params.`minibatch`", "params.`seed`"]


def test_times_are_shown_by_their_stored_name() -> None:
    state = view_state(toy(tabulate=("test/elbo", "seconds/train")), "mnist-5k", grouped=False)
    assert state["selectedColumns"][-1] == "metrics.`wall_seconds/train`"


def test_a_view_that_would_be_too_long_has_no_charts() -> None:
    state = view_state(toy(), "mnist-5k", grouped=False)
    assert len(view_text("a", state, 0)) < LONGEST_VIEW
    long = state | {"compareRunCharts": state["compareRunCharts"] * 10}
    text = view_text("a", long, 0)
    assert len(text) <= LONGEST_VIEW
    assert "compareRunCharts" not in json.loads(json.loads(text)["state"])


@pytest.mark.parametrize(
    ("status", "answer", "expected"), [(200, "3.17.1\n", True), (200, "2.9.0", False), (404, "no", False)]
)
def test_the_version_of_a_server_counts(
    status: int, answer: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once. The installed version does not matter."""
    asked: list[str] = []

    def request(host: object, endpoint: str, method: str, **_: object) -> SimpleNamespace:
        asked.append(endpoint)
        return SimpleNamespace(status_code=status, text=answer)

    monkeypatch.setattr("mlflow.__version__", "3.17.2")
    monkeypatch.setattr(mlflow_tracker, "http_request", request)
    monkeypatch.setattr(MlflowClient, "search_experiments", lambda *arguments, **named: [])
    server = Tracker("http://h:5000")
    assert [has_views(server), has_views(server)] == [expected] * 2
    assert asked == ["/version"]
