"""Tests of the bounds against exact answers: closed forms that a wrong implementation does not reproduce."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from tests.reference import Gaussian, LinearVAE, ppca_maximum
from vaestudy.config.registry import OBJECTIVES
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import make_likelihood
from vaestudy.model.terms import Terms, terms
from vaestudy.model.vae import Posterior
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import bounds, score
from vaestudy.training.objectives import sgvb_a, sgvb_b


def posterior(mu: torch.Tensor, sigma: torch.Tensor) -> Posterior:
    return Posterior(mu, sigma, sigma.square().log())


class TestKL:
    def test_is_zero_at_the_prior(self) -> None:
        q = posterior(torch.zeros(4, 3, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64))
        assert q.kl().abs().max() == 0

    def test_equals_torch_distributions(self) -> None:
        g = stream("test-kl")
        mu = torch.randn(50, 6, generator=g, dtype=torch.float64)
        sigma = torch.rand(50, 6, generator=g, dtype=torch.float64) * 3 + 1e-3
        exact = kl_divergence(Independent(Normal(mu, sigma), 1), Independent(Normal(0 * mu, torch.ones_like(mu)), 1))
        torch.testing.assert_close(posterior(mu, sigma).kl(), exact, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_equals_monte_carlo_whatever_the_sign_of_sigma(self, sign: int) -> None:
        mu = torch.tensor([[0.7, -1.2]], dtype=torch.float64)
        q = posterior(mu, sign * torch.tensor([[0.3, 1.8]], dtype=torch.float64))
        z = q.draw(torch.randn(200_000, 1, 2, generator=stream("test-kl-mc"), dtype=torch.float64))
        draws = (q.log_prob(z) + 0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)).flatten()
        error = draws.std() / math.sqrt(len(draws))
        assert abs(draws.mean() - q.kl()[0]) < 4 * error


class TestLinearGaussianInOneDimension:
    """x|z ~ N(w z, s^2); q is the exact posterior N(m, v)."""

    w, s, x = 1.7, 0.6, 0.9
    draws = 400_000

    def setup_method(self) -> None:
        self.a = self.w**2 / self.s**2
        self.v = 1 / (1 + self.a)
        self.m = self.v * self.w * self.x / self.s**2
        self.mu = torch.full((1, 1), self.m, dtype=torch.float64, requires_grad=True)
        sigma = torch.full((1, 1), math.sqrt(self.v), dtype=torch.float64)
        self.q = posterior(self.mu, sigma)
        eps = torch.randn(self.draws, 1, 1, generator=stream("test-1d"), dtype=torch.float64)
        z = self.q.draw(eps)
        x = torch.full((1, 1), self.x, dtype=torch.float64)
        self.terms = Terms(Gaussian(self.s).log_prob(x, self.w * z), z, self.q)
        scale = torch.tensor(math.sqrt(self.w**2 + self.s**2), dtype=torch.float64)
        self.exact = Normal(0 * scale, scale).log_prob(torch.tensor(self.x, dtype=torch.float64))

    def single(self, estimator: str) -> torch.Tensor:
        """Return the objective's value for each draw alone."""
        t = self.terms
        if estimator == "sgvb-a":
            return t.log_px_z + t.log_pz - t.log_qz_x
        return t.log_px_z - t.q.kl()

    def test_a_equals_log_px_for_every_eps(self) -> None:
        assert (self.single("sgvb-a") - self.exact).abs().max() < 1e-10

    @pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"sgvb-b"}))
    def test_every_sampled_objective_equals_log_px(self, name: str) -> None:
        """With the exact posterior all weights are equal, so the objective is log p(x) for any L draws of an image."""
        t = self.terms
        five = Terms(t.log_px_z.view(5, -1), t.z.view(5, -1, 1), t.q)
        assert (OBJECTIVES.load(name)(five).objective - self.exact).abs().max() < 1e-10

    def test_b_has_its_known_variance_and_the_same_mean(self) -> None:
        w, s, v, r = self.w, self.s, self.v, self.x - self.w * self.m
        exact = (2 * w**4 * v**2 + 4 * r**2 * w**2 * v) / (4 * s**4)
        values = self.single("sgvb-b").detach().flatten()
        assert abs(values.mean() - self.exact) < 4 * values.std() / math.sqrt(self.draws)
        fourth = (values - values.mean()).pow(4).mean()
        error = math.sqrt((fourth - exact**2) / self.draws)
        assert abs(values.var() - exact) < 4 * error

    @pytest.mark.parametrize(("name", "exact"), [("sgvb-a", lambda a: 1 + a), ("sgvb-b", lambda a: a**2 / (1 + a))])
    def test_gradient_variance_in_mu(self, name: str, exact) -> None:
        """Compute the gradient of each draw alone: each draw has its own copy of mu."""
        mu = self.mu.detach().expand(self.draws, 1).clone().requires_grad_()
        q = posterior(mu, self.q.sigma.expand(self.draws, 1))
        eps = torch.randn(1, self.draws, 1, generator=stream("test-1d-grad"), dtype=torch.float64)
        z = q.draw(eps)
        x = torch.full((self.draws, 1), self.x, dtype=torch.float64)
        estimate = {"sgvb-a": sgvb_a, "sgvb-b": sgvb_b}[name](Terms(Gaussian(self.s).log_prob(x, self.w * z), z, q))
        (gradient,) = torch.autograd.grad(estimate.objective.sum(), mu)
        value = exact(self.a)
        assert abs(gradient.var() - value) < 4 * value * math.sqrt(2 / self.draws)

    def test_estimators_average_their_draws(self) -> None:
        for name, estimator in (("sgvb-a", sgvb_a), ("sgvb-b", sgvb_b)):
            e = estimator(self.terms)
            torch.testing.assert_close(e.objective, self.single(name).mean(0))
            torch.testing.assert_close(e.log_likelihood - e.kl, e.objective)


class TestPPCA:
    """Probabilistic PCA is a linear VAE for which log p(x), the bound and the gap are known."""

    n, k, N, s2_floor = 8, 3, 2_000, 0.3

    def setup_method(self) -> None:
        g = stream("test-ppca")
        scale = torch.tensor([3.0, 2.0, 1.5, 0.6, 0.5, 0.5, 0.4, 0.4], dtype=torch.float64)
        basis = torch.linalg.qr(torch.randn(self.n, self.n, generator=g, dtype=torch.float64))[0]
        x = torch.randn(self.N, self.n, generator=g, dtype=torch.float64) * scale @ basis.T
        self.x = x - x.mean(0)
        self.eigenvalues, U = (t.flip(-1) for t in torch.linalg.eigh(self.x.T @ self.x / self.N))
        self.s2 = self.eigenvalues[self.k :].mean().item()
        self.root = U[:, : self.k] * (self.eigenvalues[: self.k] - self.s2).sqrt()
        self.rotation = torch.linalg.qr(torch.randn(self.k, self.k, generator=g, dtype=torch.float64))[0]

    def model(self, rotated: bool) -> LinearVAE:
        return LinearVAE(self.root @ self.rotation if rotated else self.root, math.sqrt(self.s2))

    def test_maximal_log_likelihood(self) -> None:
        exact, eigenvalues, s2 = ppca_maximum(self.x, self.k)
        torch.testing.assert_close(eigenvalues, self.eigenvalues)
        assert s2 == pytest.approx(self.s2)
        for rotated in (False, True):
            assert self.model(rotated).log_px(self.x).mean() == pytest.approx(exact, rel=1e-12)

    def test_with_the_exact_posterior_every_bound_is_log_px(self) -> None:
        model = self.model(rotated=False)
        log_px = model.log_px(self.x)
        for K in (1, 7):
            bound, size = bounds.importance_weighted(model, self.x, K)
            torch.testing.assert_close(bound, log_px, rtol=0, atol=1e-9)
            torch.testing.assert_close(size, torch.full_like(size, K))

    def test_elbo_with_the_exact_posterior(self) -> None:
        model = self.model(rotated=False)
        gap = bounds.elbo_terms(model, self.x, 10, "test").elbo - model.log_px(self.x)
        assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(self.N)

    def test_rotated_the_gap_is_the_known_kl(self) -> None:
        model = self.model(rotated=True)
        exact = 0.5 * (model.M.diagonal().log().sum() - torch.logdet(model.M))
        assert exact > 0.05
        gap = model.log_px(self.x) - bounds.elbo_terms(model, self.x, 50, "test").elbo
        assert abs(gap.mean() - exact) < 4 * gap.std() / math.sqrt(self.N)
        at_one = model.log_px(self.x) - bounds.importance_weighted(model, self.x, 1)[0]
        assert abs(at_one.mean() - exact) < 4 * at_one.std() / math.sqrt(self.N)

    def test_iwae_as_an_objective(self) -> None:
        """The objective `iwae` is the same bound: at L=1 its gap is the known KL, and it shrinks with more draws."""
        model = self.model(rotated=True)
        log_px = model.log_px(self.x)
        kl = 0.5 * (model.M.diagonal().log().sum() - torch.logdet(model.M))
        gaps = []
        for L in (1, 5, 50):
            eps = torch.randn(L, self.N, self.k, generator=stream("test-objective", L), dtype=torch.float64)
            with torch.no_grad():
                gap = log_px - OBJECTIVES.load("iwae")(terms(model, self.x, eps)).objective
            gaps.append(gap.mean())
            if L == 1:
                assert abs(gap.mean() - kl) < 4 * gap.std() / math.sqrt(self.N)
        assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0

    def test_iwae_does_not_decrease_in_k_and_stays_below_log_px(self) -> None:
        model = self.model(rotated=True)
        log_px = model.log_px(self.x)
        before = None
        for K in (1, 4, 16, 64, 256):
            bound = bounds.importance_weighted(model, self.x, K)[0]
            below = bound - log_px
            assert below.mean() < 4 * below.std() / math.sqrt(self.N)
            if before is not None:
                step = bound - before
                assert step.mean() > -4 * step.std() / math.sqrt(self.N)
            before = bound
        assert before is not None
        assert abs((before - log_px).mean()) < 0.01

    def test_a_direction_is_active_iff_its_eigenvalue_exceeds_the_noise(self) -> None:
        """If s^2 is between the second and the third eigenvalue, two of three directions are active."""
        s2 = (self.eigenvalues[1] + self.eigenvalues[2]).item() / 2
        U = self.root / self.root.norm(dim=0)
        W = U * (self.eigenvalues[: self.k] - s2).clamp_min(0).sqrt()
        model = LinearVAE(W, math.sqrt(s2))
        scores = score.score(model, self.x, torch.zeros(self.N, dtype=torch.int64), (1,))
        assert scores.metrics["active_units"] == 2
        assert scores.kl_per_dimension[2] == pytest.approx(0, abs=1e-12)
        assert min(scores.kl_per_dimension[:2]) > 0.01


class TestBernoulliOnGrey:
    """The mean of log p(b|z) over b ~ Bernoulli(x) is minus the cross-entropy of grey pixels x.

    So the bound on grey pixels is below that on binary ones.
    """

    def test_by_enumeration(self) -> None:
        bernoulli = make_likelihood(RunConfig())
        a = torch.tensor([[[0.3, -2.0, 1.1, 4.0]]], dtype=torch.float64)
        x = torch.tensor([[0.2, 0.5, 0.9, 1.0]], dtype=torch.float64)
        expected = torch.zeros((), dtype=torch.float64)
        for code in range(16):
            b = torch.tensor([[float(code >> i & 1) for i in range(4)]], dtype=torch.float64)
            weight = torch.where(b == 1, x, 1 - x).prod()
            expected += weight * bernoulli.log_prob(b, a)[0, 0]
        assert bernoulli.log_prob(x, a)[0, 0].item() == pytest.approx(expected.item(), rel=1e-12)

    def test_masses_sum_to_one(self) -> None:
        a = torch.tensor([[[0.3, -2.0, 1.1, 40.0]]], dtype=torch.float64)
        total = sum(
            make_likelihood(RunConfig())
            .log_prob(torch.tensor([[float(code >> i & 1) for i in range(4)]], dtype=torch.float64), a)
            .exp()
            .item()
            for code in range(16)
        )
        assert total == pytest.approx(1, rel=1e-12)
