"""The training loop: it is reproducible, follows the article's script, and raises a named error if it diverges."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from vaestudy.config.registry import LIKELIHOODS, OBJECTIVES, PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.datasets import Data
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import score
from vaestudy.training.divergence import ExplodedBound, NonFiniteLoss, raise_if_diverged
from vaestudy.training.train import StopTraining, run_notices, train

# train/elbo of a fixed seed after each epoch, nats: it changes only if the computation changes. The test has a
# tolerance because other processors round differently.
GOLDEN = {"default": (-460.227, -288.783), "article": (-458.173, -283.191)}


def prepare(config: RunConfig) -> Data:
    return datasets.load_splits(config, Path())


def weights(config: RunConfig) -> dict[str, torch.Tensor]:
    return train(config, prepare(config)).model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("changes", [{}, {"pixels": "stochastic", "estimator": "sgvb-a", "samples": 3}])
def test_same_config_same_bits(tiny: RunConfig, changes: dict) -> None:
    config = tiny.with_changes(**changes)
    first = weights(config)
    torch.manual_seed(12345)  # as if other code had used torch's global generator
    torch.randn(7)
    assert same(first, weights(config))


def test_another_seed_gives_other_weights(tiny: RunConfig) -> None:
    assert not same(weights(tiny), weights(tiny.with_changes(seed=1)))


def test_building_a_model_leaves_torchs_generator_alone(tiny: RunConfig) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    VAE(tiny)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(name: str) -> None:
    presets = {"default": RunConfig(), "article": RunConfig.preset("article", valid_size=None)}
    config = presets[name].with_changes(dataset="mnist-5k", epochs=2, subset=1000, figures=())
    config = datasets.resolve(config, Path())[0]
    history = train(config, prepare(config)).history
    assert [h["train/elbo"] for h in history] == pytest.approx(GOLDEN[name], rel=2e-3)


def test_article_preset_has_second_biases_that_move(tiny: RunConfig) -> None:
    with_second = weights(tiny.with_changes(second_biases=True))
    names = [name for name in with_second if name.endswith("second_bias")]
    assert len(names) == 5
    assert all(with_second[name].abs().max() > 0 for name in names)
    assert not any(name.endswith("second_bias") for name in weights(tiny))


@pytest.mark.parametrize("changes", [{"minibatch": 1, "subset": 5}, {"minibatch": 10_000}, {"samples": 50}])
def test_edges_of_l_and_m(tiny: RunConfig, changes: dict) -> None:
    config = tiny.with_changes(**changes)
    result = train(config, prepare(config))
    assert all(torch.isfinite(p).all() for p in result.model.parameters())
    assert len(result.history) == 2
    notices = run_notices(config, prepare(config))
    assert bool(notices) == (config.minibatch > 200)
    assert all("10000" in line for line in notices)


def test_one_importance_sample_is_said_to_be_sgvb_a(tiny: RunConfig) -> None:
    config = tiny.with_changes(estimator="iwae")
    (line,) = run_notices(config, prepare(config))
    assert "iwae" in line
    assert "equals sgvb-a" in line
    assert same(weights(config), weights(tiny.with_changes(estimator="sgvb-a")))
    assert not run_notices(config.with_changes(samples=2), prepare(config))


@pytest.mark.parametrize("estimator", OBJECTIVES)
def test_what_is_logged_is_the_elbo_whatever_is_trained(tiny: RunConfig, estimator: str) -> None:
    """In one epoch of one step all objectives see the same weights and draws, so all report the same ELBO."""
    config = tiny.with_changes(epochs=1, minibatch=200, samples=5, estimator=estimator)
    reference = train(config.with_changes(estimator="sgvb-a"), prepare(config)).history[0]
    mine = train(config, prepare(config)).history[0]
    # sgvb-b computes its KL in closed form, not from the draws.
    tolerance = 0.02 if estimator == "sgvb-b" else 1e-6
    assert mine["train/elbo"] == pytest.approx(reference["train/elbo"], rel=tolerance)
    assert mine["train/log_likelihood"] == pytest.approx(reference["train/log_likelihood"], rel=1e-6)
    assert ("train/objective" in mine) == (estimator in ("iwae", "dreg"))
    assert mine.get("train/objective", mine["train/elbo"] + 1) > mine["train/elbo"]


def test_a_density_on_grey_pixels_is_remarked_on(tiny: RunConfig) -> None:
    data = prepare(tiny)
    (line,) = run_notices(tiny.with_changes(likelihood="gaussian"), data)
    assert "only its floor ends that" in line
    for changes in ({}, {"likelihood": "continuous-bernoulli"}, {"likelihood": "gaussian", "pixels": "dequantised"}):
        assert run_notices(tiny.with_changes(**changes), data) == []


def test_no_validation_split(tiny: RunConfig) -> None:
    config = tiny.with_changes(valid_size=0)
    history = train(config, prepare(config)).history
    assert all(name.startswith("train/") for name in history[0])
    assert {"train/elbo", "train/kl", "train/log_likelihood"} < set(history[1])


def test_parts_add_up_and_training_raises_the_bound(tiny: RunConfig) -> None:
    config = tiny.with_changes(epochs=15)
    history = train(config, prepare(config)).history
    for split in ("train", "valid"):
        for h in history:
            assert h[f"{split}/elbo"] == pytest.approx(h[f"{split}/log_likelihood"] - h[f"{split}/kl"])
        assert history[-1][f"{split}/elbo"] > history[0][f"{split}/elbo"] + 50


def test_a_diverged_run_stops_by_name(tiny: RunConfig) -> None:
    config = tiny.with_changes(learning_rate=1e6)
    with pytest.raises(NonFiniteLoss, match=r"the loss is (nan|inf) in epoch \d+, step \d+"):
        train(config, prepare(config))


def test_a_bound_that_explodes_stops_by_name(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A very low bound stops the run after the first epoch; a bound that is not finite stops it at once."""
    monkeypatch.setattr("vaestudy.training.divergence.LOWEST_BOUND", -1.0)
    with pytest.raises(ExplodedBound, match=r"(train|valid)/elbo is -\d.* after epoch 2") as stopped:
        train(tiny, prepare(tiny))
    assert stopped.value.epoch == 2
    for value in (math.nan, -math.inf):
        with pytest.raises(NonFiniteLoss, match="test/elbo is"):
            raise_if_diverged({"test/elbo": value}, 1)
    raise_if_diverged({"train/elbo": -1e12}, 1)


def test_optimal_scale_is_fitted_to_train_and_frozen(tiny: RunConfig) -> None:
    config = tiny.with_changes(likelihood="gaussian", likelihood_scale="optimal", pixels="dequantised")
    data = prepare(config)
    model = train(config, data).model
    x = PIXELS.load("dequantised")(data.train.images, stream(0, "fit-scale", "pixels"))
    eps = torch.randn(1, len(x), 4, generator=stream(0, "fit-scale", "epsilon"))
    with torch.no_grad():
        mean = model.likelihood.mean(model.decode(model.encode(x).draw(eps))[0])
    sigma = model.likelihood.log_scale.exp().item()
    assert sigma**2 == pytest.approx((x - mean).square().mean().item(), rel=1e-5)
    score(model, x, data.train.labels, (1,))
    assert model.likelihood.log_scale.exp().item() == sigma


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_each_likelihood_trains(tiny: RunConfig, name: str) -> None:
    config = tiny.with_changes(likelihood=name, pixels="dequantised", latent_dim=10, epochs=3)
    history = train(config, prepare(config)).history
    assert all(math.isfinite(value) for metrics in history for value in metrics.values())
    assert history[-1]["train/elbo"] > history[0]["train/elbo"]


def test_recorded_at_each_epoch(tiny: RunConfig) -> None:
    first, second = train(tiny, prepare(tiny)).history
    for metrics in (first, second):
        ratio = abs(metrics["train/log_likelihood"]) / metrics["train/kl"]
        assert metrics["train/likelihood_over_kl"] == pytest.approx(ratio)
        assert metrics["train/gradient_norm"] > 0
    assert first["train/first_likelihood_over_kl"] > first["train/likelihood_over_kl"]
    assert "train/first_likelihood_over_kl" not in second


def test_weight_prior_shrinks_weights(tiny: RunConfig) -> None:
    """The prior adds theta / N to the mean gradient over images: after a single step the weights are smaller."""
    config = tiny.with_changes(minibatch=200, epochs=1, optimizer="adagrad", init="aevb-normal", learning_rate=0.05)
    plain, prior = weights(config), weights(config.with_changes(weight_prior=True))
    assert not same(plain, prior)
    assert sum(p.square().sum() for p in prior.values()) < sum(p.square().sum() for p in plain.values())


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_that_is_stopped_has_the_epochs_so_far(tiny: RunConfig, epoch: int) -> None:
    config = tiny.with_changes(epochs=3)
    images = datasets.load_splits(config, Path())
    seen: list[int] = []

    def stop(number: int, metrics: dict[str, float]) -> None:
        seen.append(number)
        if number == epoch:
            raise StopTraining

    stopped, complete = train(config, images, stop), train(config, images)
    assert seen == list(range(1, epoch + 1))
    assert stopped.stopped
    assert not complete.stopped
    assert stopped.history == complete.history[:epoch]


def test_a_stop_after_the_last_epoch_changes_nothing(tiny: RunConfig) -> None:
    def stop(number: int, metrics: dict[str, float]) -> None:
        if number == tiny.epochs:
            raise StopTraining

    assert not train(tiny, datasets.load_splits(tiny, Path()), stop).stopped
