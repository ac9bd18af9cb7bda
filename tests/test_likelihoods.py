"""The contract of every likelihood; a new member joins by being listed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaestudy.likelihoods import LIKELIHOODS
from vaestudy.noise import stream


@pytest.mark.parametrize("name", LIKELIHOODS)
class TestEveryLikelihood:
    L, M, P = 3, 5, 6

    def setup_method(self) -> None:
        g = stream("test-likelihoods")
        self.x = torch.rand(self.M, self.P, generator=g, dtype=torch.float64).round()
        self.raw = torch.randn(self.L, self.M, 4 * self.P, generator=g, dtype=torch.float64) * 3

    def head(self, name: str) -> torch.Tensor:
        return self.raw[..., : LIKELIHOODS[name].heads * self.P].clone().requires_grad_()

    def test_shapes(self, name: str) -> None:
        likelihood, head = LIKELIHOODS[name], self.head(name)
        assert likelihood.log_prob(self.x, head).shape == (self.L, self.M)
        assert likelihood.mean(head).shape == (self.L, self.M, self.P)
        assert likelihood.sample(head, stream("test")).shape == (self.L, self.M, self.P)

    @pytest.mark.parametrize("guard", [0.0, 1e-8, 1e-3])
    def test_gradient(self, name: str, guard: float) -> None:
        likelihood, head = LIKELIHOODS[name], self.head(name)
        assert torch.autograd.gradcheck(lambda h: likelihood.log_prob(self.x, h, guard), (head,))

    def test_gradient_on_grey_pixels(self, name: str) -> None:
        x = torch.rand(self.M, self.P, generator=stream("grey"), dtype=torch.float64)
        for guard in (0.0, 1e-3):
            assert torch.autograd.gradcheck(lambda h, g=guard: LIKELIHOODS[name].log_prob(x, h, g), (self.head(name),))

    def test_finite_over_the_whole_float32_range_of_heads(self, name: str) -> None:
        likelihood = LIKELIHOODS[name]
        for value in (-1e4, -200.0, -88.0, -1e-30, 0.0, 1e-30, 88.0, 200.0, 1e4):
            head = torch.full((1, 2, likelihood.heads), value, requires_grad=True)
            out = likelihood.log_prob(torch.tensor([[0.0], [1.0]]), head)
            out.sum().backward()
            assert out.isfinite().all()
            assert head.grad is not None
            assert head.grad.isfinite().all()

    def test_sample_has_the_mean(self, name: str) -> None:
        likelihood = LIKELIHOODS[name]
        head = self.head(name).detach()[:1, :1].expand(20_000, 1, -1)
        draws, mean = likelihood.sample(head, stream("test-sample")), likelihood.mean(head)[0]
        error = draws.std(0) / math.sqrt(len(draws)) + 1e-3
        assert ((draws.mean(0) - mean).abs() < 4.5 * error).all()


@settings(deadline=None, max_examples=300, derandomize=True)
@given(a=st.floats(-60, 60, width=32), x=st.floats(0, 1, width=32))
def test_bernoulli_in_float32_against_float64(a: float, x: float) -> None:
    head, pixel = torch.tensor([[[a]]], requires_grad=True), torch.tensor([[x]])
    value = LIKELIHOODS["bernoulli"].log_prob(pixel, head)
    value.backward()
    scored = LIKELIHOODS["bernoulli"].log_prob(pixel, head.detach())
    wide = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    exact = x * torch.nn.functional.logsigmoid(wide) + (1 - x) * torch.nn.functional.logsigmoid(-wide)
    exact.backward()
    # e^-a is good to 2 roundings, y = 1 / (1 + e^-a) then to 3, the larger of y and 1 - y to 4, its logarithm, below
    # ln 2, to 6; and, unless x is 0 or 1, x a and a nearly cancel.
    rounding = 2**-24
    cancelled = 0 if x in (0, 1) else 2 * abs(a)
    for found in (value, scored):
        assert abs(found.item() - exact.item()) <= rounding * (6 + cancelled + abs(exact.item()))
    assert head.grad is not None
    assert wide.grad is not None
    assert head.grad.item() == pytest.approx(wide.grad.item(), rel=1e-5, abs=3e-7)


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("pixels", [784, 97, 98, 1])
def test_bernoulli_by_products_of_many_pixels(scale: float, pixels: int) -> None:
    """A product of factors as small as they get, (1/2)^98 at a = 0, does not underflow, whatever their number."""
    g = stream("test-products")
    a, x = torch.randn(2, 5, pixels, generator=g) * scale, torch.rand(5, pixels, generator=g).round()
    exact = -torch.nn.functional.binary_cross_entropy_with_logits(
        a.double(), x.double().expand(a.shape), reduction="none"
    ).sum(-1)
    for head in (a, a.clone().requires_grad_()):  # as scoring and as training compute it
        found = LIKELIHOODS["bernoulli"].log_prob(x, head)
        assert ((found - exact).abs() <= 2**-24 * (6 * pixels + 10 * exact.abs())).all()


def test_guarded_bernoulli_is_the_articles_formula() -> None:
    g = stream("test-guard")
    a = torch.randn(2, 4, 9, generator=g, dtype=torch.float64) * 6
    x = torch.rand(4, 9, generator=g, dtype=torch.float64)
    y = a.sigmoid()
    literal = (x * torch.log(y + 1e-8) + (1 - x) * torch.log(1 - y + 1e-8)).sum(-1)
    torch.testing.assert_close(LIKELIHOODS["bernoulli"].log_prob(x, a, 1e-8), literal, rtol=1e-12, atol=1e-12)
