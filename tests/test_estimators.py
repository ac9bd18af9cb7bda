"""Every estimator against its slow literal twin: value and gradient, L and M at the edges."""

from __future__ import annotations

import pytest
import torch
from reference import literal_objective, small_vae

from vaestudy.estimators import ESTIMATORS, loss, terms
from vaestudy.noise import stream


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("sigma", ["raw", "log-variance"])
@pytest.mark.parametrize(("L", "M"), [(1, 1), (1, 6), (4, 1), (50, 3)])
def test_equals_its_literal_twin(name: str, sigma: str, L: int, M: int) -> None:
    model = small_vae(sigma=sigma, second_biases=True)
    g = stream("test-estimators", L, M)
    x = torch.rand(M, 784, generator=g, dtype=torch.float64).round()
    eps = torch.randn(L, M, 3, generator=g, dtype=torch.float64)
    estimate = ESTIMATORS[name](terms(model, x, eps))
    twin = literal_objective(model, x, eps, name)
    assert estimate.objective.shape == estimate.kl.shape == estimate.log_likelihood.shape == (M,)
    torch.testing.assert_close(estimate.objective, twin, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(estimate.log_likelihood - estimate.kl, twin, rtol=1e-10, atol=1e-10)
    ours = torch.autograd.grad(estimate.objective.sum(), list(model.parameters()))
    theirs = torch.autograd.grad(twin.sum(), list(model.parameters()))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradient_in_float32_is_that_in_float64(name: str) -> None:
    wide = small_vae(hidden=(64,), latent_dim=8)
    narrow = small_vae(hidden=(64,), latent_dim=8).float()
    g = stream("test-float32")
    x = torch.rand(20, 784, generator=g, dtype=torch.float64)
    eps = torch.randn(3, 20, 8, generator=g, dtype=torch.float64)
    values = []
    for model, dtype in ((wide, torch.float64), (narrow, torch.float32)):
        value = loss(ESTIMATORS[name](terms(model, x.to(dtype), eps.to(dtype))), "mean")
        value.backward()
        values.append(value.item())
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad - b.grad).norm() <= 1e-5 * a.grad.norm() + 1e-7


def test_loss_is_the_mean_or_the_articles_sum() -> None:
    model = small_vae()
    x = torch.rand(5, 784, generator=stream("x"), dtype=torch.float64)
    estimate = ESTIMATORS["sgvb-b"](terms(model, x, torch.zeros(1, 5, 3, dtype=torch.float64)))
    assert loss(estimate, "mean").item() == pytest.approx(-estimate.objective.mean().item())
    assert loss(estimate, "sum").item() == pytest.approx(-estimate.objective.sum().item())


def test_draws_are_truly_l_per_image() -> None:
    """Two draws in one pass give the mean of the two passes with one."""
    model = small_vae()
    g = stream("test-draws")
    x, eps = (
        torch.rand(4, 784, generator=g, dtype=torch.float64),
        torch.randn(2, 4, 3, generator=g, dtype=torch.float64),
    )
    both = ESTIMATORS["sgvb-a"](terms(model, x, eps)).objective
    each = [ESTIMATORS["sgvb-a"](terms(model, x, e[None])).objective for e in eps]
    assert (each[0] - each[1]).abs().min() > 1e-6
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
