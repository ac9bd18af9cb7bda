"""Tests of one run: its figures, its record, and its weights, packed and unpacked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vaestudy
from vaestudy.config.registry import RUN_FIGURES
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput, noting_failure
from vaestudy.model.vae import VAE
from vaestudy.run import execute, figures, weights
from vaestudy.run.figures import FigureInputs
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import score
from vaestudy.training.train import StopTraining

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_every_figure_is_drawn_where_it_applies(tiny: RunConfig, latent_dim: int) -> None:
    config = tiny.with_changes(latent_dim=latent_dim, valid_size=0)
    d = datasets.load_splits(config, Path())
    x, labels = execute.scored_images(config, d)
    model = VAE(config)
    history = [{"train/elbo": -9.0 / e, "train/kl": 1.0, "train/log_likelihood": -8.0} for e in range(1, 40)]
    inputs = FigureInputs(model, x, labels, history, score(model, x, labels, (1,)))
    drawn, not_drawn = figures.draw_figures(inputs, tuple(RUN_FIGURES))
    assert not_drawn == []
    only_2, above_2 = {"latent_means", "manifold"}, {"traversals"}
    left_out = (only_2 if latent_dim != 2 else set()) | (above_2 if latent_dim <= 2 else set()) | {"pixel_calibration"}
    assert set(drawn) == set(RUN_FIGURES) - left_out
    assert all(content.startswith(PNG) and len(content) > 3_000 for content in drawn.values())
    again, _ = figures.draw_figures(inputs, ("prior_means",))
    assert again == {"prior_means": drawn["prior_means"]}  # the noise is fixed


@pytest.mark.parametrize(("subset", "columns", "rows"), [(1, 1, 2), (4, 2, 2), (20, 10, 2), (30, 5, 4), (60, 10, 4)])
def test_figures_of_few_images(tiny: RunConfig, subset: int, columns: int, rows: int) -> None:
    """Half of `subset` are test images, of the classes 0, 1, ... in turn: none of the figures needs more than one."""
    config = tiny.with_changes(subset=subset, latent_dim=2)
    x, labels = execute.scored_images(config, datasets.load_splits(config, Path()))
    model = VAE(config)
    history = [{"train/elbo": -9.0, "train/kl": 1.0, "train/log_likelihood": -8.0}]
    inputs = FigureInputs(model, x, labels, history, score(model, x, labels, (1,)))
    with torch.no_grad():
        (ax,) = figures.reconstructions(inputs).axes
    assert (len(ax.get_xticks()), len(ax.get_yticks())) == (columns, rows)
    names = ("decoder_samples", "kl_per_dimension", "latent_means", "training_curves")
    drawn, not_drawn = figures.draw_figures(inputs, names)
    assert (list(drawn), not_drawn) == (list(names), [])


def test_the_line_around_a_class_has_half_of_its_points_inside() -> None:
    """For a normal distribution the densest half lies within sqrt(2 ln 2) standard deviations of its centre."""
    points = np.random.default_rng(0).normal(0, 1, (200_000, 2)).astype(np.float32)
    x, y, density, level = figures._density(points, (-4.0, 4.0), (-4.0, 4.0))
    inside = density >= level
    assert density[inside].sum() / density.sum() == pytest.approx(0.5, abs=0.01)
    # Smoothing with 2 of 60 cells of 8/60 adds (4/15)^2 to the variance; a cell is 0.13 wide.
    area = inside.sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert area == pytest.approx(np.pi * 2 * np.log(2) * (1 + (4 / 15) ** 2), rel=0.05)
    assert figures._density(points[:0], (-4.0, 4.0), (-4.0, 4.0))[3] == 0.0


def test_a_figure_that_cannot_be_drawn_costs_a_line_and_not_the_run(
    tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(inputs: FigureInputs) -> None:
        raise ValueError("no room\nfor the axes")

    monkeypatch.setattr(figures, "kl_per_dimension", broken)
    reported: list[str] = []
    config = tiny.with_changes(figures=("kl_per_dimension", "prior_means"), epochs=1)
    record = execute.execute(config, Path(), report=reported.append)
    line = "figure kl_per_dimension could not be made: ValueError: no room for the axes"
    assert record.notices == (line,)
    assert reported == [line]
    assert record.facts["notices"] == line
    assert [name for name in record.files if name.endswith(".png")] == ["figures/prior_means.png"]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_some_errors_in_a_figure_end_the_run(error: type[BaseException]) -> None:
    with pytest.raises(error), noting_failure("figure x", []):
        raise error


def test_gradient_images_that_cannot_be_had_are_refused(tiny: RunConfig) -> None:
    with pytest.raises(BadInput, match="gradient_images 20: are train images, so subset must be 20 or more, not 19"):
        tiny.with_changes(subset=19, gradient_images=20)
    config = tiny.with_changes(subset=None, gradient_images=20, valid_size=3981)
    with pytest.raises(BadInput, match="--valid-size 3981: must be 3980 or less with --gradient-images"):
        datasets.resolve(config, Path())


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
        "image_scores.npz",
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


def test_a_run_without_test_scores_touches_no_test_image(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = execute.execute(tiny, Path())
    monkeypatch.setattr(execute, "scored_images", lambda *_: pytest.fail("the test images were used"))
    record = execute.execute(tiny.with_changes(test_scores=False), Path())
    assert record.history == complete.history
    assert not [name for name in record.metrics if name.startswith("test/")]
    assert list(record.files) == ["config.json"]
    assert record.facts["outcome"] == "complete"
    assert tiny.key == tiny.with_changes(test_scores=True).key != tiny.with_changes(test_scores=False).key


def test_a_pruned_run_records_the_epochs_it_saved(tiny: RunConfig) -> None:
    def stop(epoch: int, metrics: dict[str, float]) -> None:
        raise StopTraining

    record = execute.execute(tiny.with_changes(epochs=5), Path(), stop)
    assert record.pruned_epoch == 1
    assert (record.metrics["pruned/epoch"], record.metrics["pruned/epochs_saved"]) == (1, 4)
    assert record.facts["outcome"] == "pruned"
    assert len(record.history) == 1


def test_a_run_is_scored_by_annealed_importance_sampling(tiny: RunConfig) -> None:
    """Its metrics have the names of `vaestudy evaluate --ais`, and scores.json has the scores of single images."""
    settings = {"ais_images": 3, "ais_temperatures": 3, "ais_chains": 2, "ais_simulated": 2, "ais_iwae": (7,)}
    record = execute.execute(tiny.with_changes(**settings, epochs=1), Path())
    names = {"ais_3x2x3", "ess_ais_3x2x3", "acceptance_ais_3x2x3", "bdmc_gap_3x2x2", "looseness_elbo_3x2x3"}
    names |= {f"{score}_iwae_{K}_3x2x3" for score in ("looseness", "ess") for K in (1, 5, 7)}
    added = {f"test/{name}{end}" for name in names for end in ("", "_se")}
    assert added <= set(record.metrics)
    assert "test/iwae_7" not in record.metrics
    found = json.loads(record.files["scores.json"])["ais_by_image"]
    assert set(found) == {"elbo", "iwae_1", "iwae_5", "iwae_7", "ais"}
    assert np.mean(found["ais"]) == pytest.approx(record.metrics["test/ais_3x2x3"])
    plain = execute.execute(tiny.with_changes(epochs=1), Path())
    assert set(record.metrics) - set(plain.metrics) == added
    scores = {name: value for name, value in plain.metrics.items() if name.startswith("test/")}
    assert {name: record.metrics[name] for name in scores} == scores


def test_a_likelihood_without_gradient_is_refused_before_training(
    tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    likelihood = type(VAE(tiny).likelihood)
    log_prob = likelihood.log_prob
    monkeypatch.setattr(likelihood, "log_prob", lambda self, x, head, guard=0.0: log_prob(self, x, head).detach())
    monkeypatch.setattr(execute, "train", lambda *arguments: pytest.fail("it was trained"))
    execute.require_gradient_in_z([tiny])  # nothing is annealed
    with pytest.raises(BadInput, match=r"--ais-images 4: .* 'bernoulli' has no gradient in z"):
        execute.execute(tiny.with_changes(ais_images=4), Path())


def test_more_images_than_there_are_is_refused_before_training(
    tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the declaration of the data set has too large a number of test images."""
    monkeypatch.setattr(execute, "train", lambda *arguments: pytest.fail("it was trained"))
    data = datasets.load_splits(tiny, Path())
    monkeypatch.setattr(datasets, "load_splits", lambda *arguments: replace(data, test=data.test[:2]))
    with pytest.raises(BadInput, match="--ais-images 3: must be 2 or less, the test images of mnist-5k"):
        execute.execute(tiny.with_changes(ais_images=3), Path())
