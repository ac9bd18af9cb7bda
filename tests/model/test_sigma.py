"""Tests that every sigma parameterisation must pass. A new parameterisation in the table is tested, too."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaestudy.config.registry import SIGMAS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.sigma import make_sigma
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream


@pytest.mark.parametrize("name", SIGMAS)
class TestEverySigma:
    def setup_method(self) -> None:
        self.output = torch.randn(40, 5, generator=stream("test-sigma"), dtype=torch.float64)

    def test_log_variance_is_that_of_sigma(self, name: str) -> None:
        sigma, log_variance = make_sigma(name)(self.output, 0.0)
        assert sigma.shape == log_variance.shape == self.output.shape
        torch.testing.assert_close(log_variance, sigma.square().log())

    def test_declares_its_bounds(self, name: str) -> None:
        assert SIGMAS[name].bounds == make_sigma(name).bounds
        low, high = make_sigma(name).bounds
        sigma = make_sigma(name)(self.output * 50, 0.0)[0].abs()
        assert (sigma >= low).all()
        assert (sigma <= high).all()

    @pytest.mark.parametrize("value", [0.0011, 0.3, 1.0, 1.9])
    def test_inverse(self, name: str, value: float) -> None:
        output = torch.tensor([make_sigma(name).inverse(value)], dtype=torch.float64)
        assert make_sigma(name)(output)[0].item() == pytest.approx(value, rel=1e-12)

    def test_floor_and_ceiling(self, name: str) -> None:
        """`limit` clamps sigma to the floor and the ceiling, and a clamped output gets no gradient.

        If sigma is negative (`raw`), its magnitude is clamped.
        """
        output = (self.output * 8).requires_grad_()
        before = make_sigma(name)(output.detach())[0].abs()
        limited = make_sigma(name).limit(output, 0.3, 1.5)
        sigma, log_variance = make_sigma(name)(limited)
        torch.testing.assert_close(sigma.detach().abs(), before.clamp(0.3, 1.5))
        torch.testing.assert_close(make_sigma(name).at_floor(output.detach(), 0.3), before <= 0.3)
        (slope,) = torch.autograd.grad(log_variance.sum(), output)
        beyond = (before < 0.3) | (before > 1.5)
        assert beyond.any()
        assert (slope[beyond] == 0).all()
        assert (slope[~beyond] != 0).all()
        assert not make_sigma(name).at_floor(output.detach(), 0.0).any()

    def test_gradient_at_the_start_is_that_around_it(self, name: str) -> None:
        """The gradient at sigma = 1 equals the gradients on both sides.

        At this point the two pieces of a formula meet (at an output of 0), and training starts there with an
        `init_sigma` of 1. The gradient must not contain the slopes of both pieces.
        """
        slopes = []
        for value in (-1e-7, 0.0, 1e-7):
            output = torch.tensor([value + make_sigma(name).inverse(1.0)], dtype=torch.float64, requires_grad=True)
            slopes += torch.autograd.grad(make_sigma(name)(output)[1].sum(), output)
        torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-5, atol=0)
        torch.testing.assert_close(slopes[2], slopes[1], rtol=1e-5, atol=0)

    @pytest.mark.parametrize("value", [0.05, 1.0])
    def test_every_encoder_starts_at_the_same_sigma(self, name: str, value: float) -> None:
        model = VAE(RunConfig(sigma=name, init_sigma=value, latent_dim=3, hidden=(8,)))
        sigma = model.encode(torch.rand(5, 784, generator=stream("test"))).sigma
        torch.testing.assert_close(sigma, torch.full((5, 3), value), rtol=1e-5, atol=0)

    def test_an_encoders_floor(self, name: str) -> None:
        model = VAE(RunConfig(sigma=name, sigma_floor=0.7, latent_dim=30, hidden=(8,)))
        with torch.no_grad():
            model.sigma.weight.mul_(20)
        q = model.encode(torch.rand(50, 784, generator=stream("test")))
        assert q.sigma.abs().min().item() == pytest.approx(0.7, rel=1e-6)
        torch.testing.assert_close(q.log_variance, q.sigma.square().log())

    def test_gradient(self, name: str) -> None:
        output = self.output.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda o: make_sigma(name)(o, 0.0), (output,))
        assert torch.autograd.gradcheck(lambda o: make_sigma(name)(o, 1e-3), (output,))


def test_raw_keeps_the_sign_and_guards_as_the_article_does() -> None:
    sigma, log_variance = make_sigma("raw")(torch.tensor([-2.0, 0.0]), 1e-8)
    assert sigma.tolist() == [-2.0, 0.0]
    torch.testing.assert_close(log_variance, torch.tensor([4.0 + 1e-8, 1e-8]).log())


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    name=st.sampled_from([name for name in SIGMAS if name not in ("raw", "abs")]),
    output=st.one_of(st.floats(-1e4, 1e4, width=32), st.floats(-20, 20, width=32)),
)
def test_log_variance_in_float32_over_the_whole_range(name: str, output: float) -> None:
    """Value and gradient are finite and agree with float64.

    `raw` and `abs` are left out: their ln sigma^2 is infinite at an output of 0, as it must be.
    """
    wide, narrow = (torch.tensor([output], dtype=t, requires_grad=True) for t in (torch.float64, torch.float32))
    exact, found = make_sigma(name).log_variance(wide), make_sigma(name).log_variance(narrow)
    assert found.item() == pytest.approx(exact.item(), rel=2e-6, abs=1e-6)
    (exact_slope,), (slope,) = torch.autograd.grad(exact, wide), torch.autograd.grad(found, narrow)
    assert slope.item() == pytest.approx(exact_slope.item(), rel=2e-5, abs=1e-6)


def test_formulas() -> None:
    output = torch.linspace(-12, 12, 97, dtype=torch.float64)
    exact = {
        "raw": output,
        "abs": output.abs(),
        "log-variance": (output / 2).exp(),
        "log-scale": output.exp(),
        "softplus": torch.nn.functional.softplus(output + math.log(math.e - 1)),
        "softplus-unshifted": torch.nn.functional.softplus(output),
        "squareplus": (output + (output**2 + 4).sqrt()) / 2,
        "exp-linear": torch.where(output < 0, output.exp(), 1 + output),
        "bounded": 0.001 + 1.999 * output.sigmoid(),
    }
    assert set(exact) == set(SIGMAS)
    for name, sigma in exact.items():
        torch.testing.assert_close(make_sigma(name)(output)[0], sigma, rtol=1e-10, atol=0)


def test_a_negative_sigma_is_the_positive_one_with_its_noise_reversed() -> None:
    """Claim C9, exactly: if the sign of the raw head and the sign of the noise are both reversed, nothing changes.

    The reversed noise has the same probability.
    """
    config = RunConfig(sigma="raw", latent_dim=5, hidden=(16,))
    plain, turned = VAE(config), VAE(config)
    with torch.no_grad():
        for parameter in turned.sigma.parameters():
            parameter.neg_()
    x = torch.rand(20, 784, generator=stream("test"))
    eps = torch.randn(3, 20, 5, generator=stream("test", "epsilon"))
    one, other = plain.encode(x), turned.encode(x)
    assert torch.equal(one.sigma, -other.sigma)
    assert (one.sigma < 0).any()
    assert torch.equal(one.kl(), other.kl())
    z = one.draw(eps)
    assert torch.equal(z, other.draw(-eps))
    assert torch.equal(one.log_prob(z), other.log_prob(z))
