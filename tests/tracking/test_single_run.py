"""`vaestudy.train`, `load`, `data` and `runs`: single runs from Python, and what is read back of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import vaestudy as vs
from vaestudy.cli.main import main
from vaestudy.data import datasets
from vaestudy.run.execute import scored_images
from vaestudy.runtime import addresses
from vaestudy.tracking.mlflow_tracker import Tracker


def test_train_load_data_and_runs(mlruns: Path, tiny: vs.RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """One run, to the bit what `vaestudy.run` makes, read back by its id."""
    config = tiny.with_changes(minibatch=300)
    run = vs.train(config, quiet=True)
    assert capsys.readouterr() == ("", "")
    assert "one step an epoch" in run.notices[0]
    untracked = vs.run(config, report=lambda line: None)
    assert run.record.files["weights.safetensors"] == untracked.files["weights.safetensors"]
    assert run.metrics["test/elbo"] == untracked.metrics["test/elbo"]
    assert list(run.history.index) == [1, 2]
    assert run.history.loc[2, "valid/elbo"] == untracked.history[1]["valid/elbo"] == run.metrics["valid/elbo"]
    assert run.id is not None
    elbo = f"test/elbo={run.metrics['test/elbo']:.2f}"
    assert f"id='{run.id}', dataset='mnist-5k', latent_dim=4, seed=0, {elbo}" in repr(run)
    assert str(run.link).endswith(f"/runs/{run.id}?workflowType=machine_learning")

    row = Tracker(addresses.tracking_uri(None)).get(run.id)
    assert row["status"] == "FINISHED"
    assert row["metrics.test/elbo"] == run.metrics["test/elbo"]

    images = vs.data(run.id[:8])
    assert images.fingerprint == row["tags.data.fingerprint"]
    assert (len(images.train), len(images.valid), len(images.test)) == (200, 100, 100)
    assert (images.name, images.classes, str(images.shape)) == ("mnist-5k", 10, "28 x 28")
    data = datasets.load_splits(run.config, run.data_root)
    for name in ("train", "valid", "test"):
        mine, stored = getattr(images, name), getattr(data, name)
        assert torch.equal(mine.images.flatten(1), stored.images)
        assert mine.images.dtype == torch.uint8
        assert mine.images.shape[1:] == (28, 28)
        assert torch.equal(mine.labels, stored.labels)
    assert "test=images uint8 [100, 28, 28], labels" in repr(images)
    for same in (vs.data(run), vs.data(run.id), vs.data(config)):
        assert same.fingerprint == images.fingerprint
        assert torch.equal(same.test.images, images.test.images)

    x, _ = scored_images(run.config, data)
    for model in (vs.load(run.id), vs.load(run.id[:8]), vs.load(run), run.load()):
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert model.bound(images.test.images).mean().item() == run.metrics["test/elbo"]  # to the bit
        assert model.bound(images.test.images / 255).mean().item() == run.metrics["test/elbo"]
        assert torch.equal(model.encode(images.test.images).mu, model.vae.encode(x).mu)

    vs.train(config.with_changes(seed=1, latent_dim=3, iwae=(1,)), quiet=True)
    frame = vs.runs()
    assert list(frame["seed"]) == [0, 1]
    assert frame["id"][0] == run.id
    assert frame["test/elbo"][0] == run.metrics["test/elbo"]
    assert frame["latent_dim"].dtype == "int64"
    assert frame["hidden"][0] == (32,)
    assert frame["test/iwae_5"].isna().tolist() == [False, True]
    assert frame["started"].dt.tz is not None
    assert frame["started"].is_monotonic_increasing
    assert set(vs.RunConfig.model_fields) <= set(frame)
    assert list(vs.runs("train", where="latent_dim<4")["seed"]) == [1]
    none = vs.runs(where="latent_dim>100")
    assert isinstance(none, pd.DataFrame)
    assert len(none) == 0
    assert "test/elbo" not in none
    with pytest.raises(vs.BadInput, match=r"unknown study 'trian'.*did you mean 'train'"):
        vs.runs("trian")
    with pytest.raises(vs.BadInput, match="no run 'ffffff'"):
        vs.load("ffffff")


def test_the_command_and_the_function_make_the_same_record(
    tiny: vs.RunConfig, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "train --dataset mnist-5k --subset 200 --epochs 2 --hidden 32 --latent-dim 4 --iwae 1 5 --minibatch 50"
    assert main([*command.split(), "--figures", "prior_means"]) == 0
    run = vs.train(tiny.with_changes(figures=("prior_means",)))
    tracker = Tracker(addresses.tracking_uri(None))
    mine = tracker.get(str(run.id))
    (theirs,) = (row["id"] for row in vs.runs().to_dict("records") if row["id"] != run.id)
    other = tracker.get(theirs)
    differing = {name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name)}
    varying = ("run_id", "start_time", "tags.record.id", "metrics.seconds", "metrics.along", "tags.mlflow.log-model")
    assert not [name for name in differing if not name.startswith(varying)]


def test_a_run_of_drawn_images_returns_these(tiny: vs.RunConfig, mlruns: Path) -> None:
    run = vs.train(tiny.with_changes(pixels="binarised-once", epochs=1), quiet=True)
    images = vs.data(str(run.id))
    assert set(images.test.images.unique().tolist()) == {0, 255}
    assert images.fingerprint == run.record.facts["data.fingerprint"] != vs.data(tiny).fingerprint
    assert run.load().bound(images.test.images).mean().item() == run.metrics["test/elbo"]


@pytest.mark.parametrize("pixels", ["stochastic", "dequantised"])
def test_the_bound_of_drawn_pixels_is_the_recorded_one(pixels: str, tiny: vs.RunConfig, mlruns: Path) -> None:
    run = vs.train(tiny.with_changes(pixels=pixels, epochs=1), quiet=True)
    assert run.load().bound(vs.data(run).test.images).mean().item() == run.metrics["test/elbo"]


def test_other_images_than_those_of_the_run_are_refused(tiny: vs.RunConfig, mlruns: Path) -> None:
    run = vs.train(tiny.with_changes(epochs=1, test_scores=False), quiet=True)
    tracker = Tracker(addresses.tracking_uri(None))
    tracker.tag(str(run.id), {"data.fingerprint": "0" * 64})
    with pytest.raises(vs.BadInput, match="was made from other images than mnist-5k"):
        vs.data(str(run.id))
    with pytest.raises(vs.BadInput, match="no weights: it was trained with test_scores=False"):
        run.load()


def test_a_run_that_diverges(tiny: vs.RunConfig, mlruns: Path) -> None:
    with pytest.raises(vs.NonFiniteLoss, match=r"after epoch|the loss is") as error:
        vs.train(tiny.with_changes(learning_rate=1e6, optimizer="adam", epochs=5), quiet=True)
    tracker = Tracker(addresses.tracking_uri(None))
    row = tracker.get(str(error.value.run_id))
    assert (row["status"], row["tags.diverged"], row["tags.outcome"]) == ("FAILED", "True", "diverged")
    run = vs.train(tiny, quiet=True)
    about_data = {name: value for name, value in run.record.facts.items() if name.startswith("data.")}
    assert about_data
    assert {name: row.get(f"tags.{name}") for name in about_data} == about_data
    assert {name for name in run.record.facts if f"tags.{name}" not in row} <= {"gradient", "image_scores"}
    inputs = [tracker.client.get_run(one).inputs.dataset_inputs for one in (row["run_id"], run.id)]
    assert inputs[0] == inputs[1] != []


def test_reading_makes_no_empty_store(mlruns: Path, tmp_path: Path) -> None:
    for read in (vs.runs, lambda: vs.data("0123abcd")):
        with pytest.raises(vs.BadInput, match="nothing is tracked at"):
            read()
    with pytest.raises(vs.BadInput, match="no run '0123abcd' is tracked"):
        vs.load("0123abcd")
    assert not mlruns.exists()
    with pytest.raises(vs.BadInput, match=r"weights .*none.safetensors: cannot be read: No such file"):
        vs.load(tmp_path / "none.safetensors")
    with pytest.raises(vs.BadInput, match="no such directory"):
        vs.train(vs.RunConfig(), data_dir=tmp_path / "none")


def test_a_wrong_configuration_is_one_line() -> None:
    with pytest.raises(vs.BadInput, match=r"^latent_dim -1: must be a whole number, 1 or more, [0-9,]+ or less$"):
        vs.RunConfig(latent_dim=-1)
    with pytest.raises(vs.BadInput, match=r"^unknown option 'latent_dims' \(did you mean 'latent_dim'"):
        vs.RunConfig(latent_dims=2)  # type: ignore[call-arg]
    with pytest.raises(vs.BadInput, match=r"^gradient_images 20: are train images, so subset must be 20 or more"):
        vs.RunConfig(subset=19, gradient_images=20)


def test_a_file_of_weights_needs_no_tracker(tiny: vs.RunConfig, tmp_path: Path) -> None:
    from vaestudy.model.vae import VAE
    from vaestudy.run.weights import pack_weights

    path = tmp_path / "w.safetensors"
    path.write_bytes(pack_weights(VAE(tiny)))
    code = f"import sys, vaestudy; vaestudy.load({str(path)!r}).sample(1); print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
