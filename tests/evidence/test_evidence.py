"""Evidence from MLflow and from committed files: which run counts, and that a file gives back what was written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.evidence import diverged, evidence, rows, runs_of
from vaestudy.claims.committed import committed_files
from vaestudy.claims.registry import CLAIMS
from vaestudy.evidence.collect import collect
from vaestudy.evidence.committed import csv_text
from vaestudy.evidence.evidence import SOURCE, TRACKED
from vaestudy.evidence.needs import Need, need
from vaestudy.runtime import addresses
from vaestudy.tracking.mlflow_tracker import Tracker

D2, D10 = (need("latent-dims", 3, latent_dim=D) for D in (2, 10))
SHORT = need("latent-dims", 2, {"epochs": 1}, latent_dim=2)


def write(folder: Path, *needs: Need, **metrics: list[float]) -> None:
    """Write the committed file of needs, each with the same metrics."""
    values = {name.replace("_", "/", 1): series for name, series in metrics.items()}
    text = csv_text(evidence(*(rows(one, values) for one in needs)), needs, values)
    (folder / needs[0].file).write_text(text)


@pytest.fixture
def tracker() -> Tracker:
    """Return a tracker with the experiment of the study."""
    found = Tracker(addresses.tracking_uri(None))
    found.create_experiment("latent-dims", "", {"study": "latent-dims"})
    return found


def track(tracker: Tracker, one: Need, seed: int, elbo: float, status: str = "FINISHED", **tags: str) -> str:
    """Record a run as a sweep would."""
    config = one.with_seeds(seed + 1).cells("mnist")[seed].config
    facts = {"role": "trial", "config.key": config.key, "data.fingerprint": "f", "data.name": "mnist"} | tags
    run_id = tracker.start(tracker.experiments()["latent-dims"], "cell", facts)
    tracker.params(run_id, config.model_dump(mode="json"))
    tracker.metrics(run_id, {"test/elbo": elbo})
    tracker.close(run_id, status)
    return run_id


def test_a_committed_file_gives_back_its_runs(tmp_path: Path) -> None:
    write(tmp_path, D10, D2, test_elbo=[-1.0, -2.0, -1 / 3])
    found = collect([D2, D10], "mnist", folder=tmp_path).runs(D2)
    assert found["test/elbo"].tolist() == [-1.0, -2.0, pytest.approx(-1 / 3, rel=1e-9)]
    assert found["seed"].tolist() == [0, 1, 2]
    assert set(found[SOURCE]) == {"latent-dims.csv"}
    assert set(found["params.subset"]) == {"null"}


def test_a_committed_file_is_sorted_and_stable(tmp_path: Path) -> None:
    values = {"test/elbo": [-1.0, -2.0], "test/kl": [3.0, 4.0]}
    runs = evidence(rows(D2, values), rows(D10, values))
    text = csv_text(runs, [D10, D2], ["test/kl", "test/elbo", "test/absent"])
    assert text == csv_text(runs, [D2, D10], ["test/elbo", "test/kl"])
    assert text.splitlines()[0].startswith("latent_dim,seed,status,run_id,tags.config.key,")
    assert [line.split(",")[:2] for line in text.splitlines()[1:]] == [["2", "0"], ["2", "1"], ["10", "0"], ["10", "1"]]
    (tmp_path / D2.file).write_text(text)
    again = collect([D2, D10], "mnist", folder=tmp_path)
    assert csv_text(again, [D2, D10], ["test/elbo", "test/kl"]) == text
    assert csv_text(evidence(rows(D2, values)), [D10], ["test/elbo"]) == ""


def test_a_diverged_run_is_committed_too(tmp_path: Path) -> None:
    """It has no fingerprint of its data, neither in the tracker nor in the file, and may stand beside other runs."""
    runs = evidence(diverged(D2, [0, 1]), rows(D10, {"test/elbo": [-1.0, -2.0]}))
    (tmp_path / D2.file).write_text(csv_text(runs, [D2, D10], ["train/elbo", "test/elbo"]))
    found = collect([D2, D10], "mnist", folder=tmp_path)
    assert (len(found.runs(D2)), len(found.finished(D2))) == (2, 0)
    found.require_same_images([D2, D10])


def test_changed_fields_are_in_a_file_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, D2, test_elbo=[-1.0, -2.0])
    write(tmp_path, SHORT, test_elbo=[-5.0, -6.0])
    found = collect([D2, SHORT], "mnist", folder=tmp_path)
    assert found.runs(SHORT)["test/elbo"].tolist() == [-5.0, -6.0]
    assert found.runs(D2)["test/elbo"].tolist() == [-1.0, -2.0]


def test_runs_of_another_data_set_or_scale_are_not_found(tmp_path: Path) -> None:
    write(tmp_path, D2, test_elbo=[-1.0])
    assert collect([D2], "mnist-5k", folder=tmp_path).runs(D2).empty
    assert collect([D2], "mnist", quick=True, folder=tmp_path).runs(D2).empty


def test_without_anything(tmp_path: Path) -> None:
    found = collect([D2], "mnist", folder=tmp_path)
    assert found.runs(D2).empty
    assert found.missing(D2) == [0, 1, 2]


def test_tracked_runs_come_first_and_the_file_fills_in(tracker: Tracker, tmp_path: Path) -> None:
    write(tmp_path, D2, test_elbo=[-1.0, -2.0])
    mine = track(tracker, D2, 0, -9.0)
    track(tracker, D2, 3, -7.0)
    found = collect([D2], "mnist", tracker=tracker, folder=tmp_path)
    assert found.runs(D2)["test/elbo"].tolist() == [-9.0, -2.0, -7.0]
    assert found.runs(D2)[SOURCE].tolist() == [TRACKED, "latent-dims.csv", TRACKED]
    assert found.runs(D2)["run_id"].iloc[0] == mine
    assert found.missing(D2) == [2]
    assert list(pd.unique(found.runs(D2)["latent_dim"].astype(int))) == [2]


def test_crashed_and_open_runs_are_no_evidence(tracker: Tracker, tmp_path: Path) -> None:
    track(tracker, D2, 0, -9.0, "FAILED", diverged="False")
    track(tracker, D2, 1, -9.0, "KILLED")
    track(tracker, D2, 2, -9.0, "FAILED", diverged="True")
    found = collect([D2], "mnist", tracker=tracker, folder=tmp_path)
    assert found.runs(D2)["seed"].tolist() == [2]
    assert found.finished(D2).empty
    assert found.missing(D2) == [0, 1]


def test_single_runs_and_other_studies_are_no_evidence(tracker: Tracker, tmp_path: Path) -> None:
    track(tracker, D2, 0, -9.0, role="search")
    assert collect([D2], "mnist", tracker=tracker, folder=tmp_path).runs(D2).empty


def test_committed_files_give_every_verdict_again(tmp_path: Path) -> None:
    """All claims: the files have what the claims read, and the verdicts are the same to ten digits."""
    merged: dict[object, dict[str, object]] = {}  # a cell that several claims need has the metrics of all of them
    for row in (row for claim in CLAIMS.values() for part in runs_of(claim) for row in part):
        merged.setdefault(row["tags.config.key"], {}).update(row)
    before = evidence(list(merged.values()))
    for name, text in committed_files(CLAIMS.values(), before).items():
        (tmp_path / name).write_text(text)
    needs = [one for claim in CLAIMS.values() for one in claim.needs]
    after = collect(needs, "mnist", folder=tmp_path)
    for claim in CLAIMS.values():
        first, second = claim.judge(before), claim.judge(after)
        assert (second.verdict, second.summary) == (first.verdict, first.summary)
        assert [part.whole_sentence for part in second.parts] == [part.whole_sentence for part in first.parts]
        assert second.p == pytest.approx(first.p, rel=1e-6)
        assert {file for part in second.parts for file in part.committed} == {one.file for one in claim.needs}
    assert committed_files(CLAIMS.values(), after) == {p.name: p.read_text() for p in tmp_path.iterdir()}
