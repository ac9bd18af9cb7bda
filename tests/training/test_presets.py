"""The presets train as the published programs do: the same weights as literal transcriptions of their losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, optim
from torch.distributions import Bernoulli, Normal
from torch.nn import functional as F

from tests.reference import article_steps, literal_decode
from vaestudy.config.presets import PRESETS
from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.datasets import Data
from vaestudy.data.sources import Split
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.training.schedules import make_schedule
from vaestudy.training.train import train


def prepare(config: RunConfig) -> Data:
    return datasets.load_splits(config, Path())


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute in float64: where a raw sigma is near 0, the gradient of ln sigma^2 magnifies every rounding error."""
    monkeypatch.setattr("vaestudy.data.pixels.grey", lambda images, generator: images.double() / 255)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("samples", [1, 2])
def test_article_preset_follows_the_articles_script(double: None, samples: int) -> None:
    """The weights equal those of a literal transcription of its loss and optimiser, on the same images and noise."""
    config = RunConfig.preset("article", dataset="mnist-5k", samples=samples, epochs=1, valid_size=2500, figures=())
    data = prepare(config)
    images = data.train.images[:450]
    cut = Data(data.name, Split(images, data.train.labels[:450]), data.valid[:0], data.test, data.fingerprint)
    ours = train(config, cut).model
    batches = []
    noise = stream(0, "epsilon", 1)
    for rows in torch.randperm(len(images), generator=stream(0, "order", 1)).split(100):
        x = images[rows].double() / 255
        batches.append((x, torch.randn(samples, len(x), 2, generator=noise)))
    assert [len(x) for x, _ in batches] == [100, 100, 100, 100, 50]  # the partial minibatch is used
    theirs = VAE(config)
    article_steps(theirs, batches, rate=1e-3)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


def encoded(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return both outputs of the encoder with ReLU, before the second becomes a scale."""
    for layer in model.encoder:
        x = F.relu(F.linear(x, layer.weight, layer.bias))
    return F.linear(x, model.mu.weight, model.mu.bias), F.linear(x, model.sigma.weight, model.sigma.bias)


def bce_and_kld(model: VAE, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy and the KL of each image, [M]. The encoder's second output is the log-variance."""
    mu, logvar = encoded(model, x)
    y = torch.sigmoid(literal_decode(model, mu + eps * torch.exp(0.5 * logvar)))
    bce = F.binary_cross_entropy(y, x, reduction="none").sum(-1)
    return bce, -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)


def pytorch_examples_loss(model: VAE, x: Tensor, eps: Tensor) -> Tensor:
    bce, kld = bce_and_kld(model, x, eps)
    return bce.sum() + kld.sum()


def pythae_loss(model: VAE, x: Tensor, eps: Tensor) -> Tensor:
    bce, kld = bce_and_kld(model, x, eps)
    return (bce + kld).mean()


def altosaar_loss(model: VAE, x: Tensor, eps: Tensor) -> Tensor:
    """The scale is a softplus, and all three densities are taken at the draw."""
    mu, output = encoded(model, x)
    q = Normal(mu, F.softplus(output))
    z = q.loc + q.scale * eps
    log_p = Normal(0.0, 1.0).log_prob(z).sum(-1) + Bernoulli(logits=literal_decode(model, z)).log_prob(x).sum(-1)
    return -(log_p - q.log_prob(z).sum(-1)).sum()


PROGRAMS = {
    "pytorch-examples": (pytorch_examples_loss, lambda weights: optim.Adam(weights, lr=1e-3)),
    "altosaar": (altosaar_loss, lambda weights: optim.RMSprop(weights, lr=1e-3, centered=True)),
    "pythae": (pythae_loss, lambda weights: optim.Adam(weights, lr=1e-4)),
}
"""Preset -> (the loss of a minibatch, the optimiser), as its program has them."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_preset_follows_its_program(double: None, name: str) -> None:
    """Three epochs; pythae's first drop is moved into them. The last minibatch of an epoch is smaller."""
    sooner = {"lr_drops": (2,)} if name == "pythae" else {}
    config = RunConfig.preset(name, dataset="mnist-5k", epochs=3, valid_size=3730, figures=(), **sooner)
    data = prepare(config)
    ours, theirs = train(config, dataclasses.replace(data, valid=data.valid[:0])).model, VAE(config)
    loss, make = PROGRAMS[name]
    optimizer = make(theirs.parameters())
    scheduler = optim.lr_scheduler.MultiStepLR(optimizer, [2] if sooner else [], gamma=10 ** (-1 / 5))
    for epoch in (1, 2, 3):
        noise = stream(0, "epsilon", epoch)
        for rows in torch.randperm(270, generator=stream(0, "order", epoch)).split(config.minibatch):
            x = data.train.images[rows].double() / 255
            optimizer.zero_grad()
            loss(theirs, x, torch.randn(len(x), config.latent_dim, generator=noise)).backward()
            optimizer.step()
        scheduler.step()
    for (parameter, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8, msg=lambda m, n=parameter: f"{n}: {m}")


def steps(config: RunConfig) -> int:
    """Return the number of training steps of a run on MNIST."""
    images = DATASETS["mnist"].train_size - (config.valid_size or 0)
    return (config.epochs or 0) * -(-images // config.minibatch)


def test_the_lengths_are_those_of_the_publications() -> None:
    presets = {name: RunConfig.preset(name) for name in PRESETS}
    assert steps(presets["pytorch-examples"]) == 10 * 469
    assert abs(steps(presets["altosaar"]) - 65_000) < 391 / 2  # the nearest whole number of epochs
    assert steps(presets["pythae"]) == 500 * 500
    assert steps(presets["iwae"]) == 3280 * 3000
    aevb = presets["aevb"]
    assert aevb.minibatch * steps(aevb) == pytest.approx(1e7, rel=0.01)


def test_the_step_sizes_of_the_stepped_presets() -> None:
    def rates(name: str, epochs: tuple[int, ...]) -> list[float]:
        config = RunConfig.preset(name)
        return [config.learning_rate * make_schedule(config)(epoch) for epoch in epochs]

    assert rates("pythae", (1, 200, 201, 350, 351, 500)) == pytest.approx(
        [1e-4, 1e-4, 10**-4.2, 10**-4.2, 10**-4.4, 10**-4.4]
    )
    stages = [1e-3, 10 ** (-22 / 7), 10 ** (-22 / 7), 10 ** (-23 / 7), 1e-4]
    assert rates("iwae", (1, 2, 4, 5, 3280)) == pytest.approx(stages)


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_trains(name: str) -> None:
    config = RunConfig.preset(name, dataset="mnist-5k", subset=1000, epochs=4, valid_size=500, figures=())
    result = train(config, prepare(config))
    assert result.history[-1]["train/elbo"] > result.history[0]["train/elbo"]
