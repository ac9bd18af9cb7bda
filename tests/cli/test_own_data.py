"""Own data end to end: colour images through `vaestudy train`, its record, the loaded model, and a study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import vaestudy
from tests.support.own_data import pictures, store
from tests.support.studies import run_study, toy
from vaestudy.cli import commands
from vaestudy.cli.main import main
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.vae import VAE
from vaestudy.reporting.runs_frame import Incomparable, require_comparable
from vaestudy.run import execute, weights
from vaestudy.runtime import addresses, provenance
from vaestudy.runtime.provenance import CodeRevision
from vaestudy.scoring import class_probe
from vaestudy.tracking.mlflow_tracker import Tracker

COLOUR = ImageShape(32, 32, 3)
FLAGS = "--epochs 1 --hidden 8 --latent-dim 2 --iwae 1 2 --minibatch 20 --pixels dequantised"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code have a clean revision, whatever the checkout is like."""
    monkeypatch.setattr(provenance, "code_revision", lambda: CodeRevision("a" * 40, "clean"))


def cells() -> pd.DataFrame:
    """Return the tracked runs of cells of the study `toy`."""
    tracker = Tracker(addresses.tracking_uri(None))
    runs = tracker.runs(tracker.experiments()["toy"])
    return runs[runs["tags.role"] != "study"]


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """Return a file of 60 colour images without labels."""
    return store(tmp_path / "colour.npz", images=pictures(60, 32, 32, 3))


def test_colour_images_without_labels(colour: Path, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--dataset", str(colour), *FLAGS.split(), "--class-scores", "--json"]
    assert main([*command, "--figures", "reconstructions", "prior_means", "latent_means", "manifold"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out.splitlines()[-1])
    assert "--class-scores: none, as colour.npz has no labels" in err
    assert "images of 32 x 32 x 3" in err
    assert "by the SHA-256 of each image" in err
    assert not [name for name in record if "class_" in name or "neighbour" in name]

    tracker = Tracker(addresses.tracking_uri(None))
    row = tracker.get(record["run_id"])
    assert (row["tags.data.shape"], row["tags.data.classes"]) == ("32 x 32 x 3", "none: no labels")
    assert row["tags.data.fingerprint"] == row["params.data_digest"]
    assert sum(int(row[f"tags.data.{split}"]) for split in ("train", "valid", "test")) == 60
    assert row["tags.data.split"].startswith("by the SHA-256")
    for name in ("reconstructions", "prior_means", "latent_means", "manifold"):
        assert tracker.read_file(record["run_id"], f"figures/{name}.png").startswith(b"\x89PNG")

    model = vaestudy.load(record["run_id"]).vae
    assert model.shape == COLOUR
    data = datasets.load_splits(model.config, Path())
    x, labels = execute.scored_images(model.config, data)
    assert labels is None
    with torch.no_grad():
        assert model.decode(model.encode(x).mu).shape == (len(x), COLOUR.pixels * model.likelihood.heads)

    # A number of pixels other than 784 counts in bits per dimension: P = 3,072.
    nats = record["test/continuous_bernoulli_iwae_2"]
    assert record["test/bits_per_dim"] == pytest.approx(8 - nats / (3 * 32 * 32 * np.log(2)))

    assert main(["evaluate", record["run_id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differs_from_record"] == []

    moved = colour.rename(colour.parent / "moved.npz")
    assert main(["train", "--from", record["run_id"]]) == 2
    assert f"dataset {colour}: no such file" in capsys.readouterr().err
    assert main(["train", "--from", record["run_id"], "--dataset", str(moved), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (again["exact"], again["config_key"]) == (True, record["config_key"])

    store(colour, images=pictures(60, 32, 32, 3, seed=1))
    for command in (["train", "--from", record["run_id"]], ["evaluate", record["run_id"]]):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "other content than expected" in err
    assert main(["train", "--from", record["run_id"], "--dataset", "mnist"]) == 2
    assert "--dataset mnist: run" in capsys.readouterr().err


def test_a_quick_study_is_resumed_after_a_move(colour: Path, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--seeds", "1", "--workers", "0", "--quick"]
    assert run_study(toy(), "--dataset", str(colour), *flags) == 0
    runs = cells()
    assert len(runs) == 2
    assert set(runs["tags.data.shape"]) == {"32 x 32 x 3"}
    moved = colour.rename(colour.parent / "moved.npz")
    capsys.readouterr()
    assert run_study(toy(), "--dataset", str(moved), *flags) == 0
    assert "toy on moved.npz: 2 runs, 2 done" in capsys.readouterr().err
    assert len(cells()) == 2

    store(moved, images=pictures(60, 32, 32, 3, seed=1))
    assert run_study(toy(), "--dataset", str(moved), *flags) == 0  # other content is another sweep
    runs = cells()
    assert len(runs) == 4
    with pytest.raises(Incomparable, match="different data sets"):
        require_comparable(runs, ["test/elbo"])


def test_classes_follow_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_probe, "CLASSIFIER_STEPS", 20)
    path = store(tmp_path / "a.npz", images=pictures(240, 9, 7), labels=np.arange(240) % 12)
    config = RunConfig(dataset=str(path), epochs=1, hidden=(8,), latent_dim=2, iwae=(1,), class_scores=True)
    record = execute.run(config.with_changes(figures=("latent_means", "reconstructions", "decoder_samples")), tmp_path)
    assert record.facts["data.classes"] == "12"
    assert {"test/class_11/neighbours_11", "test/class_0/neighbours_11"} <= set(record.metrics)
    assert "test/class_0/neighbours_12" not in record.metrics
    assert len([name for name in record.files if name.startswith("figures/")]) == 3


def test_weights_without_a_shape_are_of_digits(tiny: RunConfig) -> None:
    from safetensors.torch import save

    model = VAE(tiny)
    older = save(model.state_dict(), metadata={"config": tiny.model_dump_json()})
    assert weights.unpack_weights(older).shape == DIGIT
    assert weights.pack_weights(model) == older
    small = VAE(tiny, ImageShape(5, 6, 3))
    assert len({weights.pack_weights(small) for _ in range(10)}) == 1
    assert weights.unpack_weights(weights.pack_weights(small)).shape == ImageShape(5, 6, 3)


def test_a_changed_file_fails_in_a_worker_in_one_line(colour: Path, mlruns: Path) -> None:
    from vaestudy.run.record import RunFailure
    from vaestudy.sweep.worker_pool import run_safely

    config = datasets.resolve(RunConfig(dataset=str(colour), epochs=1, figures=()), Path())[0]
    store(colour, images=pictures(50, 32, 32, 3, seed=2))
    outcome = run_safely(config, Path(), lambda epoch, metrics: None)
    assert isinstance(outcome, RunFailure)
    assert outcome.reason.startswith(f"BadInput: dataset {colour}: other content than expected")


def test_own_data_is_refused_before_anything_slow(tmp_path: Path) -> None:
    path = store(tmp_path / "bad.npz", images=np.full((9, 3, 3), np.nan))
    code = (
        "import sys; from vaestudy.cli.main import main; code = main(['train', '--dataset', sys.argv[1]]); "
        "print(code, *sorted({'torch', 'mlflow', 'optuna', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_data_too_large_for_the_memory(
    colour: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vaestudy.training import memory

    monkeypatch.setattr(commands, "train_and_track", lambda *_: pytest.fail("it was begun"))
    monkeypatch.setattr(memory, "PROCESS", 0)
    monkeypatch.setattr(memory, "available", lambda: 10**6)
    assert main(["train", "--dataset", str(colour), "--hidden", "1", "--minibatch", "1", "--iwae", "1"]) == 2
    assert f"--dataset {colour}: a run would take about" in capsys.readouterr().err
