"""Every objective against a slow, literal implementation of its formula: value and gradient, with small L and M."""

from __future__ import annotations

import pytest
import torch

from tests.reference import literal_estimate, small_vae
from vaestudy.config.registry import OBJECTIVES
from vaestudy.model.terms import terms
from vaestudy.runtime.random_streams import stream
from vaestudy.training.objectives import loss


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("sigma", ["raw", "log-variance"])
@pytest.mark.parametrize(("L", "M"), [(1, 1), (1, 6), (4, 1), (30, 2)])
def test_equals_its_literal_twin(name: str, sigma: str, L: int, M: int) -> None:
    if name == "score-function-loo" and L == 1:
        pytest.skip("has no baseline at L=1; the configuration refuses it")
    model = small_vae(sigma=sigma, second_biases=True)
    g = stream("test-estimators", L, M)
    x = torch.rand(M, 784, generator=g, dtype=torch.float64).round()
    eps = torch.randn(L, M, 3, generator=g, dtype=torch.float64)
    estimate = OBJECTIVES.load(name)(terms(model, x, eps))
    objective, elbo, gradient = literal_estimate(model, x, eps, name)
    assert estimate.objective.shape == estimate.kl.shape == estimate.log_likelihood.shape == (M,)
    torch.testing.assert_close(estimate.objective, objective, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(estimate.log_likelihood - estimate.kl, elbo, rtol=1e-10, atol=1e-10)
    ours = torch.autograd.grad(estimate.objective.sum(), list(model.parameters()))
    for mine, other in zip(ours, gradient, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("rows", [1, 5, 12])
def test_in_chunks_the_gradient_is_the_same(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """M=6, L=7 with 1, 5 and 12 decoder rows at once: chunks smaller than one draw of all images, and uneven chunks."""
    model = small_vae(second_biases=True)
    g = stream("test-chunks")
    x = torch.rand(6, 784, generator=g, dtype=torch.float64)
    eps = torch.randn(7, 6, 3, generator=g, dtype=torch.float64)

    def run() -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        objective = OBJECTIVES.load(name)(terms(model, x, eps)).objective
        return objective.detach(), torch.autograd.grad(objective.sum(), list(model.parameters()))

    value, gradient = run()
    monkeypatch.setattr("vaestudy.model.terms.max_rows", lambda heads, architecture: rows)
    passes = []
    monkeypatch.setattr(model.head, "forward", lambda h, forward=model.head.forward: passes.append(h) or forward(h))
    in_chunks, gradient_in_chunks = run()
    assert max(h[..., 0].numel() for h in passes) <= rows
    assert sum(h[..., 0].numel() for h in passes) == 2 * 42  # forward, and again in the backward pass
    torch.testing.assert_close(in_chunks, value, rtol=1e-12, atol=0)
    for mine, at_once in zip(gradient_in_chunks, gradient, strict=True):
        torch.testing.assert_close(mine, at_once, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_in_float32_is_that_in_float64(name: str) -> None:
    """iwae and dreg have a larger tolerance, because they exponentiate the log-weights.

    Log-weights are about -550 nats, where float32 rounds by 3e-5; the weights have the same relative error.
    """
    tolerance = 1e-4 if name in ("iwae", "dreg") else 1e-5
    wide = small_vae(hidden=(64,), latent_dim=8)
    narrow = small_vae(hidden=(64,), latent_dim=8).float()
    g = stream("test-float32")
    x = torch.rand(20, 784, generator=g, dtype=torch.float64)
    eps = torch.randn(3, 20, 8, generator=g, dtype=torch.float64)
    values = []
    for model, dtype in ((wide, torch.float64), (narrow, torch.float32)):
        value = loss(OBJECTIVES.load(name)(terms(model, x.to(dtype), eps.to(dtype))), "mean")
        value.backward()
        values.append(value.item())
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad - b.grad).norm() <= tolerance * a.grad.norm() + 1e-7


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"sgvb-a", "iwae", "dreg"}))
def test_gradients_of_the_elbo_agree_in_the_mean(name: str) -> None:
    """All estimates of the ELBO have the same expected gradient as sgvb-a: compare means over many draws."""
    model = small_vae()
    x = torch.rand(1, 784, generator=stream("test-mean"), dtype=torch.float64).round()
    parameters = [model.mu.bias, model.sigma.bias, model.decoder[0].bias]

    def draws(estimator: str, count: int) -> torch.Tensor:
        found = []
        for k in range(count):
            eps = torch.randn(10, 1, 3, generator=stream("test-mean", estimator, k), dtype=torch.float64)
            objective = OBJECTIVES.load(estimator)(terms(model, x, eps)).objective.sum()
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(objective, parameters)]))
        return torch.stack(found)

    ours, reference = draws(name, 300), draws("sgvb-a", 300)
    error = (ours.var(0) / 300 + reference.var(0) / 300).sqrt()
    assert ((ours.mean(0) - reference.mean(0)).abs() < 4.5 * error).all()


def test_dreg_and_iwae_agree_in_the_mean() -> None:
    model = small_vae(latent_dim=2)
    x = torch.rand(1, 784, generator=stream("test-dreg"), dtype=torch.float64).round()
    found = {}
    for name in ("iwae", "dreg"):
        gradients = []
        for k in range(400):
            eps = torch.randn(5, 1, 2, generator=stream("test-dreg", k), dtype=torch.float64)
            objective = OBJECTIVES.load(name)(terms(model, x, eps)).objective.sum()
            gradients.append(torch.cat(torch.autograd.grad(objective, [model.mu.bias, model.sigma.bias])))
        found[name] = torch.stack(gradients)
    difference = found["iwae"] - found["dreg"]
    assert (difference.mean(0).abs() < 4.5 * difference.std(0) / 20).all()
    assert difference.std(0).min() > 0


def test_one_importance_sample_is_sgvb_a() -> None:
    model = small_vae()
    x = torch.rand(4, 784, generator=stream("x"), dtype=torch.float64)
    t = terms(model, x, torch.randn(1, 4, 3, generator=stream("eps"), dtype=torch.float64))
    gradients = []
    for name in ("iwae", "sgvb-a"):
        objective = OBJECTIVES.load(name)(t).objective
        gradients.append(torch.autograd.grad(objective.sum(), list(model.parameters()), retain_graph=True))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_loss_is_the_mean_or_the_articles_sum() -> None:
    model = small_vae()
    x = torch.rand(5, 784, generator=stream("x"), dtype=torch.float64)
    estimate = OBJECTIVES.load("sgvb-b")(terms(model, x, torch.zeros(1, 5, 3, dtype=torch.float64)))
    assert loss(estimate, "mean").item() == pytest.approx(-estimate.objective.mean().item())
    assert loss(estimate, "sum").item() == pytest.approx(-estimate.objective.sum().item())


def test_draws_are_truly_l_per_image() -> None:
    """One pass with two draws gives the mean of two passes with one draw each."""
    model = small_vae()
    g = stream("test-draws")
    x, eps = (
        torch.rand(4, 784, generator=g, dtype=torch.float64),
        torch.randn(2, 4, 3, generator=g, dtype=torch.float64),
    )
    both = OBJECTIVES.load("sgvb-a")(terms(model, x, eps)).objective
    each = [OBJECTIVES.load("sgvb-a")(terms(model, x, e[None])).objective for e in eps]
    assert (each[0] - each[1]).abs().min() > 1e-6
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
