"""Tests of `vaestudy runs`: the list of tracked runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vaestudy.cli.main import main
from vaestudy.cli.tracked import tracked_study
from vaestudy.errors import BadInput

RUNS = 7
"""The runs in the store: four of the study, three single ones."""


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    """Return the runs that the command lists, as JSON has them."""
    assert main(["runs", *arguments, "--json"]) == 0
    runs: list[dict[str, object]] = json.loads(capsys.readouterr().out)["runs"]
    return runs


def test_lists_and_selects(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(capsys)
    assert len(everything) == RUNS
    assert [run["started"] for run in everything] == sorted(str(run["started"]) for run in everything)
    assert everything[-1]["likelihood"] == "categorical-256"  # the newest is last
    study = listed(capsys, "toy")
    assert len(study) == 4
    assert sorted(str(run["varies"]) for run in study) == [
        f"latent_dim={D}, seed={seed}" for D in (2, 3) for seed in (0, 1)
    ]
    assert {run["status"] for run in study} == {"FINISHED"}
    assert all(float(str(run["test/elbo"])) < 0 for run in study)
    assert [run["seed"] for run in listed(capsys, "toy", "--where", "latent_dim>2 and seed=1")] == [1]
    assert len(listed(capsys, "--where", "role=train and not likelihood=bernoulli")) == 2
    best = max(float(str(run["test/elbo"])) for run in study)
    assert len(listed(capsys, "toy", "--where", f"elbo>={best!r}")) == 1


def test_the_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "toy", "--where", "latent_dim=3"]) == 0
    out = capsys.readouterr().out
    heading, *rows = [line for line in out.splitlines() if line.strip() and "─" not in line]
    assert heading.split()[:7] == ["id", "started", "study", "sweep", "varies", "status", "elbo"]
    assert len(rows) == 3
    assert "latent_dim=3, seed=0" in rows[0] + rows[1]
    assert rows[-1] == "2 of 4 runs"
    run = listed(capsys, "toy", "--where", "latent_dim=3")[0]
    shown = next(row for row in rows if str(run["id"])[:8] in row)
    assert f"{run['test/elbo']:.2f}" in shown


def test_columns_and_csv(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runs.csv"
    assert main(["runs", "toy", "--columns", "id,latent_dim", "elbo", "hidden", "--csv", str(file)]) == 0
    assert "4 runs, 4 columns" in capsys.readouterr().out
    rows = list(csv.DictReader(file.open()))
    expected = listed(capsys, "toy")
    assert [row["id"] for row in rows] == [run["id"] for run in expected]
    assert [float(row["test/elbo"]) for row in rows] == [run["test/elbo"] for run in expected]
    assert {row["hidden"] for row in rows} == {"16"}
    assert main(["runs", "--csv", str(file)]) == 0
    everything = list(csv.DictReader(file.open()))
    assert len(everything) == RUNS
    assert {"learning_rate", "seconds/total", "fingerprint", "test/iwae_3"} < everything[0].keys()


def test_nothing_matches(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "toy", "--where", "latent_dim>5 or likelihood=beta"]) == 0
    out, err = capsys.readouterr()
    assert out == "0 runs\n"
    assert "latent_dim is 2 to 3; likelihood is bernoulli" in err
    assert main(["runs", "toi"]) == 2
    assert "did you mean" not in capsys.readouterr().out


def test_a_study_of_another_project_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "elsewhere").mkdir(parents=True)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert tracked_study("elsewhere", uri) == "elsewhere"
    assert tracked_study("latent_dims", uri) == "latent-dims"
    with pytest.raises(BadInput, match=r"did you mean 'elsewhere'.*classes.*elsewhere.*latent-dims"):
        tracked_study("elsewher", uri)
    with pytest.raises(BadInput, match="unknown study"):
        tracked_study("x" * 300, uri)
