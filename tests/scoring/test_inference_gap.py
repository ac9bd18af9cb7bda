"""The split of log p(x) - ELBO against linear Gaussian models, in which both parts are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.reference import LinearVAE
from vaestudy.model.vae import Posterior
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.inference_gap import optimised_elbos

N, D, P, S = 60, 3, 6, 0.5


class Misled(LinearVAE):
    """A linear VAE whose encoder is off: its means are shifted by 1.5 sigma, its sigmas are too large by a factor."""

    SHIFT, FACTOR = 1.5, 2.0

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        q = super().encode(x)
        sigma = -self.FACTOR * q.sigma  # negative, as some parameterisations have it
        return Posterior(q.mu + self.SHIFT * q.sigma, sigma, sigma.square().log())


def weights(rotated: bool) -> Tensor:
    basis, rotation = (
        torch.linalg.qr(torch.randn(size, size, generator=stream("test-gap", size), dtype=torch.float64))[0]
        for size in (P, D)
    )
    W = basis[:, :D] * torch.tensor([2.0, 1.0, 0.4], dtype=torch.float64)
    return W @ rotation if rotated else W


def images(model: LinearVAE) -> Tensor:
    z, noise = (torch.randn(N, n, generator=stream("test-gap", "x", n), dtype=torch.float64) for n in (D, P))
    return z @ model.W.T + S * noise


@pytest.mark.parametrize(("shift", "factor"), [(1.5, 2.0), (10.0, 1.0), (1.5, 0.001)])
def test_with_the_posterior_in_the_family_the_best_q_gives_log_px(shift: float, factor: float) -> None:
    """M is diagonal, so q* is the posterior and its log-weights are log p(x) for every draw."""
    model = Misled(weights(rotated=False), S)
    model.SHIFT, model.FACTOR = shift, factor
    x = images(model)
    found = optimised_elbos(model, x)
    exact = model.log_px(x)
    assert (exact - found.optimised).mean().abs() < 1e-3
    # KL of the misled q from q*, for each of D dimensions.
    kl = D * 0.5 * (factor**2 + shift**2 - 1 - math.log(factor**2))
    gap = found.optimised - found.encoder
    assert abs(gap.mean() - kl) < 4 * gap.std() / math.sqrt(N)
    assert gap.std() / math.sqrt(N) < 0.05 * kl


def test_outside_the_family_the_rest_is_the_known_kl() -> None:
    """The best diagonal Gaussian has the posterior's mean and the variances s^2 / M_jj."""
    model = Misled(weights(rotated=True), S)
    x = images(model)
    found = optimised_elbos(model, x)
    known = 0.5 * (model.M.diagonal().log().sum() - torch.logdet(model.M))
    assert known > 0.2
    gap = model.log_px(x) - found.optimised
    assert abs(gap.mean() - known) < 0.01 + 4 * gap.std() / math.sqrt(N)
    assert gap.std() / math.sqrt(N) < 0.05 * known


def test_an_encoder_that_is_best_already_has_no_amortisation_gap() -> None:
    model = LinearVAE(weights(rotated=True), S)
    found = optimised_elbos(model, images(model))
    difference = found.optimised - found.encoder
    assert abs(difference.mean()) < 0.01


def test_it_repeats_to_the_bit_and_leaves_the_model_alone() -> None:
    model = LinearVAE(weights(rotated=True), S)
    x = images(model)[:5]
    first, again = optimised_elbos(model, x), optimised_elbos(model, x)
    assert torch.equal(first.optimised, again.optimised)
    assert torch.equal(first.encoder, again.encoder)
