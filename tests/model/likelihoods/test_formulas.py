"""Tests of each likelihood against its own exact values: scipy, closed forms and literal formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.support.likelihoods import constant_head, make
from vaestudy.config import compatibility
from vaestudy.config.registry import LIKELIHOODS, SIGMAS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import CELL_WIDTH, CLIP, make_likelihood
from vaestudy.model.likelihoods.bernoulli import head_of_mean
from vaestudy.model.likelihoods.discretised import grey_value
from vaestudy.model.sigma import make_sigma
from vaestudy.runtime.random_streams import stream


class TestAgainstScipy:
    """Compare log p in float64, far in the tails and near the limits of the scale."""

    x = np.array([CLIP, 1e-4, 0.3, 0.5, 0.999, 1 - 2.0**-24])

    def values(self, name: str, location: float, sigma: float, **changes: object) -> np.ndarray:
        likelihood = make(name, **changes)
        output = make_sigma("log-variance").inverse(sigma)
        head = constant_head(likelihood, [location, output], 1).expand(len(self.x), 1, -1)
        pixels = torch.from_numpy(self.x)[:, None]
        return likelihood.log_prob(pixels, head.transpose(0, 1))[0].numpy()

    @pytest.mark.parametrize("sigma", [0.0011, 0.1, 9.0])
    @pytest.mark.parametrize("location", [-40.0, -5.0, 0.0, 3.0, 40.0])
    def test_gaussians(self, location: float, sigma: float) -> None:
        m = 1 / (1 + math.exp(-location))
        np.testing.assert_allclose(self.values("gaussian", location, sigma), stats.norm.logpdf(self.x, m, sigma), 1e-10)
        free = self.values("gaussian", location, sigma, likelihood_mean="free")
        np.testing.assert_allclose(free, stats.norm.logpdf(self.x, location, sigma), 1e-10)
        clamped = min(max(location, -8 * sigma), 1 + 8 * sigma)
        exact = stats.truncnorm.logpdf(self.x, -clamped / sigma, (1 - clamped) / sigma, clamped, sigma)
        np.testing.assert_allclose(self.values("truncated-gaussian", location, sigma), exact, 1e-9, 1e-9)
        m = location
        exact = np.where(
            self.x < CELL_WIDTH,
            stats.norm.logcdf(CELL_WIDTH, m, sigma) - math.log(CELL_WIDTH),
            np.where(
                self.x >= 1 - CELL_WIDTH,
                stats.norm.logsf(1 - CELL_WIDTH, m, sigma) - math.log(CELL_WIDTH),
                stats.norm.logpdf(self.x, m, sigma),
            ),
        )
        np.testing.assert_allclose(self.values("clipped-gaussian", location, sigma), exact, rtol=1e-7, atol=1e-7)

    @pytest.mark.parametrize("sigma", [0.011, 1.0, 9.0])
    @pytest.mark.parametrize("location", [-7.0, 0.0, 3.0, 7.0])
    def test_beta(self, location: float, sigma: float) -> None:
        m, k = 1 / (1 + math.exp(-location)), sigma**-2
        exact = stats.beta.logpdf(self.x, m * k, (1 - m) * k)
        np.testing.assert_allclose(self.values("beta", location, sigma), exact, rtol=1e-8, atol=1e-8)
        likelihood = make("beta", likelihood_parameters="alpha-beta")
        outputs = [make_sigma("log-variance").inverse(s) for s in (sigma, 0.3)]
        head = constant_head(likelihood, outputs, 1).expand(1, len(self.x), -1)
        exact = stats.beta.logpdf(self.x, k, 0.3**-2)
        found = likelihood.log_prob(torch.from_numpy(self.x)[:, None], head)[0].numpy()
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("sigma", [0.011, 1.0, 90.0])
    @pytest.mark.parametrize("location", [-40.0, 0.0, 3.0])
    def test_logit_normal(self, location: float, sigma: float) -> None:
        logit = np.log(self.x) - np.log1p(-self.x)
        exact = stats.norm.logpdf(logit, location, sigma) - np.log(self.x) - np.log1p(-self.x)
        np.testing.assert_allclose(self.values("logit-normal", location, sigma), exact, rtol=1e-10)

    @pytest.mark.parametrize("sigma", [0.0004, 0.05, 9.0])
    @pytest.mark.parametrize("m", [-5.0, 0.0, 0.3, 3.0])
    def test_discretised_logistic(self, m: float, sigma: float) -> None:
        v = np.floor(self.x * 256)
        low, high = stats.logistic.cdf(v / 256, m, sigma), stats.logistic.cdf((v + 1) / 256, m, sigma)
        tail = stats.logistic.sf(v / 256, m, sigma) - stats.logistic.sf((v + 1) / 256, m, sigma)
        mass = np.where(v == 0, high, np.where(v == 255, stats.logistic.sf(255 / 256, m, sigma), 0))
        inner = np.where(v / 256 > m, tail, high - low)
        with np.errstate(divide="ignore"):
            exact = np.log(np.where((v == 0) | (v == 255), mass, inner))
        found = self.values("discretised-logistic", m, sigma)
        seen = exact > -200  # the difference of two distribution functions underflows; the product does not
        np.testing.assert_allclose(found[seen], exact[seen], rtol=1e-6)
        assert np.isfinite(found).all()


class TestContinuousBernoulli:
    """Compare with the closed forms of Loaiza-Ganem & Cunningham 2019."""

    def log_c(self, y: float) -> float:
        """Return ln C(y), from log p at one x."""
        a = math.log(y / (1 - y))
        x = 0.25
        head = torch.tensor([[[a]]], dtype=torch.float64)
        value = make("continuous-bernoulli").log_prob(torch.tensor([[x]], dtype=torch.float64), head).item()
        return value - x * math.log(y) - (1 - x) * math.log(1 - y)

    @pytest.mark.parametrize("y", [1e-9, 0.01, 0.1, 0.3, 0.48, 0.52, 0.7, 0.9, 0.999])
    def test_normaliser(self, y: float) -> None:
        assert self.log_c(y) == pytest.approx(math.log(2 * math.atanh(1 - 2 * y) / (1 - 2 * y)), rel=1e-9)

    @pytest.mark.parametrize("d", [0.0, 1e-12, 1e-6, -1e-3, 0.01])
    def test_normaliser_near_one_half(self, d: float) -> None:
        assert self.log_c(0.5 + d) == pytest.approx(math.log(2) + 4 / 3 * d**2 + 104 / 45 * d**4, abs=1e-10)

    def test_published_values(self) -> None:
        assert self.log_c(0.1) == pytest.approx(1.010339, abs=1e-6)
        assert math.exp(self.log_c(0.5)) == pytest.approx(2, rel=1e-12)

    @pytest.mark.parametrize("d", [1e-3, -5e-3])
    def test_mean_near_one_half(self, d: float) -> None:
        head = torch.logit(torch.tensor([0.5 + d], dtype=torch.float64))
        exact = 0.5 + d / 3 + 16 / 45 * d**3
        assert make("continuous-bernoulli").mean(head).item() == pytest.approx(exact, abs=1e-10)

    @pytest.mark.parametrize("y", [1e-6, 0.1, 0.8])
    def test_mean(self, y: float) -> None:
        head = torch.logit(torch.tensor([y], dtype=torch.float64))
        exact = y / (2 * y - 1) + 1 / (2 * math.atanh(1 - 2 * y))
        assert make("continuous-bernoulli").mean(head).item() == pytest.approx(exact, rel=1e-8)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_head_of_a_mean(self, dtype: torch.dtype) -> None:
        """The continuous Bernoulli with the found head has the mean sigmoid(a), from 1/2 to the last digits."""
        a = torch.linspace(-15, 15, 2_001, dtype=torch.float64)
        found = make("continuous-bernoulli").mean(head_of_mean(a.to(dtype)).double())
        nearest = torch.minimum(a.sigmoid(), (-a).sigmoid())
        assert float(((found - a.sigmoid()).abs() / nearest).max()) < 1e-5
        assert head_of_mean(torch.tensor([0.0, 1e-3], dtype=dtype)).tolist() == pytest.approx([0, 3e-3], rel=1e-4)

    @pytest.mark.parametrize("y", [0.002, 0.3, 0.5, 0.96])
    def test_a_density_with_the_bernoullis_mean(self, y: float) -> None:
        """By numerical integration: it is 1, and the mean is y."""
        x = (torch.arange(200_000, dtype=torch.float64)[:, None] + 0.5) / 200_000
        head = torch.logit(torch.tensor([[[y]]], dtype=torch.float64))
        density = make("bernoulli").with_same_mean.log_prob(x, head.expand(1, len(x), 1))[0].exp()
        assert float(density.mean()) == pytest.approx(1, rel=1e-6)
        assert float((density * x[:, 0]).mean()) == pytest.approx(y, rel=1e-4)

    def test_is_what_a_bernoulli_implies(self) -> None:
        g = stream("test-implied")
        x = torch.rand(4, 9, generator=g, dtype=torch.float64)
        a = torch.randn(2, 4, 9, generator=g, dtype=torch.float64) * 5
        y = a.sigmoid()
        log_c = (2 * torch.atanh(1 - 2 * y) / (1 - 2 * y)).log().sum(-1)
        bernoulli = make("bernoulli")
        torch.testing.assert_close(bernoulli.normalised.log_prob(x, a), bernoulli.log_prob(x, a) + log_c)
        assert make("beta").normalised.log_prob is not None


class TestOptimalScale:
    def test_maximises_the_likelihood(self) -> None:
        """sigma^2 is the mean squared error of the minibatch, and other scales give a lower likelihood."""
        g = stream("test-optimal")
        x = torch.rand(30, 8, generator=g, dtype=torch.float64)
        head = torch.randn(1, 30, 8, generator=g, dtype=torch.float64)
        likelihood = make("gaussian", likelihood_scale="optimal").train()
        best = likelihood.log_prob(x, head.clone().requires_grad_()).sum()
        mse = (x - head.sigmoid()).square().mean()
        assert likelihood.log_scale.exp().square().item() == pytest.approx(mse.item(), rel=1e-6)
        exact = -0.5 * x.numel() * (mse.log() + 1 + math.log(2 * math.pi))
        assert best.item() == pytest.approx(exact.item(), rel=1e-9)
        for factor in (0.97, 1.03):
            likelihood.set_scale(mse * factor)
            assert likelihood.eval().log_prob(x, head).sum() < best

    def test_stays_as_it_is_while_scoring(self) -> None:
        likelihood = make("gaussian", likelihood_scale="optimal")
        x, head = torch.rand(5, 8, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)
        before = likelihood.log_scale.clone()
        likelihood.eval().log_prob(x, head.requires_grad_())
        with torch.no_grad():
            likelihood.train().log_prob(x, head)
        assert torch.equal(likelihood.log_scale, before)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("name", [n for n in LIKELIHOODS if compatibility.has_option(n, "likelihood_sigma")])
def test_every_scale_starts_where_it_is_told(name: str, sigma: str) -> None:
    likelihood = make(name, decoder_sigma=sigma, likelihood_sigma=0.25)
    last = torch.nn.Linear(7, 2 * 3, dtype=torch.float64)
    likelihood.initialise_head(last)
    head = last(torch.randn(1, 4, 7, dtype=torch.float64))
    torch.testing.assert_close(likelihood.parts(head)[1].exp(), torch.full((1, 4, 3), 0.25, dtype=torch.float64))
    if name == "gaussian":
        learned = make(name, decoder_sigma=sigma, likelihood_sigma=0.25, likelihood_scale="learned")
        assert learned.parts(head[..., :3])[1].exp().item() == pytest.approx(0.25, rel=1e-6)


def test_at_the_floor() -> None:
    likelihood = make("gaussian", likelihood_floor=0.01)
    head = constant_head(likelihood, [0.0, 2 * math.log(0.009)], 3)
    assert likelihood.at_floor(head).all()
    torch.testing.assert_close(likelihood.parts(head)[1].exp(), torch.full((1, 1, 3), 0.01, dtype=torch.float64))
    assert not likelihood.at_floor(constant_head(likelihood, [0.0, 2 * math.log(0.011)], 3)).any()
    assert make("gaussian", likelihood_scale="fixed").at_floor(head) is None


@settings(deadline=None, max_examples=300, derandomize=True)
@given(a=st.floats(-60, 60, width=32), x=st.floats(0, 1, width=32))
def test_bernoulli_in_float32_against_float64(a: float, x: float) -> None:
    head, pixel = torch.tensor([[[a]]], requires_grad=True), torch.tensor([[x]])
    value = make("bernoulli").log_prob(pixel, head)
    value.backward()
    scored = make_likelihood(RunConfig()).log_prob(pixel, head.detach())
    wide = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    exact = x * torch.nn.functional.logsigmoid(wide) + (1 - x) * torch.nn.functional.logsigmoid(-wide)
    exact.backward()
    # The error of e^-a is at most 2 roundings, that of y = 1 / (1 + e^-a) at most 3, that of the larger of y and 1 - y
    # at most 4, and that of its logarithm, which is below ln 2, at most 6. Unless x is 0 or 1, x a and a nearly cancel.
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
    """The product of the factors does not underflow, for any number of pixels.

    The smallest possible product is (1/2)^98, at a = 0.
    """
    g = stream("test-products")
    a, x = torch.randn(2, 5, pixels, generator=g) * scale, torch.rand(5, pixels, generator=g).round()
    exact = -torch.nn.functional.binary_cross_entropy_with_logits(
        a.double(), x.double().expand(a.shape), reduction="none"
    ).sum(-1)
    for head in (a, a.clone().requires_grad_()):  # without and with a gradient, as in scoring and in training
        found = make_likelihood(RunConfig()).log_prob(x, head)
        assert ((found - exact).abs() <= 2**-24 * (6 * pixels + 10 * exact.abs())).all()


def test_guarded_bernoulli_is_the_articles_formula() -> None:
    g = stream("test-guard")
    a = torch.randn(2, 4, 9, generator=g, dtype=torch.float64) * 6
    x = torch.rand(4, 9, generator=g, dtype=torch.float64)
    y = a.sigmoid()
    literal = (x * torch.log(y + 1e-8) + (1 - x) * torch.log(1 - y + 1e-8)).sum(-1)
    torch.testing.assert_close(make("bernoulli").log_prob(x, a, 1e-8), literal, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])  # at 300 most probabilities underflow
def test_categorical_is_a_softmax(scale: float, dtype: torch.dtype, close: float) -> None:
    likelihood = make_likelihood(RunConfig(likelihood="categorical-256", pixels="dequantised")).to(dtype)
    generator, (L, M, P) = stream("test-softmax"), (2, 3, 20)
    x, weight = torch.rand(M, P, generator=generator, dtype=dtype), torch.randn(L, M, generator=generator, dtype=dtype)
    head = (scale * torch.randn(L, M, P * 16, generator=generator, dtype=dtype)).requires_grad_()
    with torch.no_grad():
        likelihood.offset.normal_(generator=generator)  # type: ignore[operator]
        scored = likelihood.log_prob(x, head)

    def literal(head: torch.Tensor, statistics: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        logits = head.view(L, M, P, 16) @ statistics + offset
        grey_values = grey_value(x).long().expand(L, M, P).unsqueeze(-1)
        return logits.log_softmax(-1).gather(-1, grey_values).squeeze(-1).sum(-1)

    parts = (head, likelihood.statistics, likelihood.offset)
    twins = [part.detach().double().requires_grad_() for part in parts]  # type: ignore[operator]
    ours, theirs = likelihood.log_prob(x, head), literal(*twins)
    for value in (scored, ours):
        torch.testing.assert_close(value.double(), theirs, rtol=close, atol=close)
    slopes = torch.autograd.grad((ours * weight).sum(), parts)
    expected = torch.autograd.grad((theirs * weight.double()).sum(), twins)
    for slope, twin in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope.double(), twin, rtol=close, atol=close * (1 + twin.abs().max().item()))
