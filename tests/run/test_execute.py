"""Tests of one run: its figures, its record, and its weights, packed and unpacked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vaestudy
from vaestudy.config.registry import RUN_FIGURES
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE
from vaestudy.run import execute, figures, weights
from vaestudy.run.figures import FigureInputs
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import score

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_every_figure_is_drawn_where_it_applies(tiny: RunConfig, latent_dim: int) -> None:
    config = tiny.with_changes(latent_dim=latent_dim, valid_size=0)
    d = datasets.load_splits(config, Path())
    x, labels = execute.scored_images(config, d)
    model = VAE(config)
    history = [{"train/elbo": -9.0 / e, "train/kl": 1.0, "train/log_likelihood": -8.0} for e in range(1, 40)]
    inputs = FigureInputs(model, x, labels, history, score(model, x, labels, (1,)))
    drawn = figures.draw_figures(inputs, tuple(RUN_FIGURES))
    only_2, above_2 = {"latent_means", "manifold"}, {"traversals"}
    left_out = (only_2 if latent_dim != 2 else set()) | (above_2 if latent_dim <= 2 else set()) | {"pixel_calibration"}
    assert set(drawn) == set(RUN_FIGURES) - left_out
    assert all(content.startswith(PNG) and len(content) > 3_000 for content in drawn.values())
    assert figures.draw_figures(inputs, ("prior_means",)) == {"prior_means": drawn["prior_means"]}  # the noise is fixed


def test_default_figures_are_registered() -> None:
    assert set(RunConfig().figures) <= set(RUN_FIGURES)


def test_record_is_whole(tiny: RunConfig) -> None:
    config = tiny.with_changes(figures=("reconstructions",), minibatch=300)
    reported: list[str] = []
    record = execute.execute(config, Path(), report=reported.append)
    assert set(record.files) == {
        "weights.safetensors",
        "config.json",
        "scores.json",
        "figures/reconstructions.png",
    }
    assert RunConfig.model_validate_json(record.files["config.json"]) == config
    scores = json.loads(record.files["scores.json"])
    assert scores["metrics"]["elbo"] == record.metrics["test/elbo"]
    assert len(scores["kl_per_dimension"]) == 4
    assert len(record.history) == 2
    assert reported == list(record.notices)
    assert "300" in reported[0]
    for fact in ("code.revision", "version.torch", "hardware.cpu", "data.fingerprint", "threads", "backend"):
        assert record.facts[fact]
    parts = ("seconds/train_and_validate", "seconds/score", "seconds/figures")
    assert sum(record.metrics[p] for p in parts) == pytest.approx(record.metrics["seconds/total"])


def test_weights_come_back_bit_for_bit(tiny: RunConfig, tmp_path: Path) -> None:
    model = VAE(tiny.with_changes(second_biases=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=stream("test")))
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.pack_weights(model))
    back = vaestudy.load(str(path))
    assert back.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), back.parameters(), strict=True))


@pytest.mark.parametrize("damage", [lambda c: c[:-100], lambda c: b"", lambda c: b"\x80\x04" + c, lambda c: c[:50]])
def test_torn_weights_are_refused(tiny: RunConfig, damage) -> None:
    with pytest.raises(BadInput, match="weights cannot be read"):
        weights.unpack_weights(damage(weights.pack_weights(VAE(tiny))))


def test_a_device_that_is_not_there() -> None:
    execute.require_device("cpu")
    with pytest.raises(BadInput, match=r"--device cuda:99: .*choose from: cpu"):
        execute.require_device("cuda:99")


def test_key_is_a_hash_of_the_content() -> None:
    a = RunConfig()
    assert a.key == RunConfig.model_validate_json(a.model_dump_json()).key
    assert len({a.with_changes(seed=s).key for s in range(5)} | {a.with_changes(latent_dim=11).key}) == 6
    assert a.key == a.with_changes(hidden=[256]).key


def test_fields_that_came_later_move_no_key_by_being_there() -> None:
    assert RunConfig().key == "826c69d816dfde64"
    later = {"lr_scaling": "sqrt", "milestones": (5,), "gradient_images": 20}
    assert len({RunConfig(**{name: value}).key for name, value in later.items()} | {RunConfig().key}) == 4
