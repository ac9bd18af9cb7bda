"""Annealed importance sampling and bidirectional Monte Carlo against models whose log p(x) is known."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.reference import LinearVAE
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import ais, hmc
from vaestudy.scoring.ais import ChainNoise, Steps, annealed, temperatures
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.bdmc import sandwich, simulated

N, D, P, S = 40, 2, 6, 0.5
FEW = AisOptions(ais_temperatures=12, ais_chains=8, ais_leapfrog=5)


def normal(*shape: int, name: str) -> Tensor:
    return torch.randn(shape, generator=stream("test-ais", name), dtype=torch.float64)


@pytest.fixture(scope="module")
def model() -> LinearVAE:
    """x|z ~ N(W z, s^2), whose q(z|x) has no covariance where the posterior has some."""
    return LinearVAE(normal(P, D, name="W"), S)


@pytest.fixture(scope="module")
def x(model: LinearVAE) -> Tensor:
    return normal(N, D, name="z") @ model.W.T + S * normal(N, P, name="noise")


class TestLinearGaussian:
    @pytest.mark.parametrize(
        ("schedule", "count", "chains", "reverse"),
        [
            ("sigmoid", 8, 4_000, False),
            ("linear", 8, 4_000, False),
            ("sigmoid", 30, 2_000, True),
            ("linear", 120, 500, True),
        ],
    )
    def test_the_weights_are_unbiased(
        self, model: LinearVAE, x: Tensor, schedule: str, count: int, chains: int, reverse: bool
    ) -> None:
        """E[w] = p(x) with few temperatures, and E[1 / w] = 1 / p(x) from exact draws of the posterior.

        Every chain has its own start. 1 / w has a finite variance only if beta_1 |W|^2 / s^2 is below 1, so the reverse
        passes have more temperatures.
        """
        options = AisOptions(ais_temperatures=count, ais_chains=chains, ais_schedule=schedule, ais_leapfrog=3)
        target = hmc.LogLikelihood(hmc.frozen(model), x[:3])
        noise = ChainNoise("test", range(3), target, options)
        start = noise.start()
        if reverse:
            covariance = S**2 * torch.linalg.inv(model.M)
            start = model.encode(x[:3]).mu + start @ torch.linalg.cholesky(covariance).T
        steps = Steps(torch.full((8, 3), 0.25, dtype=torch.float64))
        log_w, acceptance = ais.anneal(target, start, steps, options, noise, threading.Event(), reverse)
        assert 0.4 < acceptance.min() < acceptance.max() < 0.97
        ratio = ((log_w - model.log_px(x[:3])) * (-1 if reverse else 1)).exp()
        error = ratio.std(0) / math.sqrt(len(ratio))
        assert error.max() < 0.15
        assert ((ratio.mean(0) - 1).abs() < 4 * error).all()

    def test_many_temperatures_come_close(self, model: LinearVAE, x: Tensor) -> None:
        options = AisOptions(ais_temperatures=100, ais_chains=10, ais_leapfrog=5)
        found = annealed(model, x, options)
        difference = found.log_px - model.log_px(x)
        assert abs(difference.mean()) < 0.05 + 4 * difference.std() / math.sqrt(N)
        assert difference.std() < 0.5
        assert (found.ess > 1).all()
        assert (found.ess <= 10 + 1e-9).all()
        assert found.ess.mean() > 5
        assert (found.acceptance > 0.4).all()
        assert (found.acceptance < 0.95).all()

    def test_the_pass_that_is_weighted_has_fresh_random_numbers(self, model: LinearVAE, x: Tensor) -> None:
        """The step sizes must not depend on the chains that are weighted: else the weights would be biased."""
        block, frozen = range(3), hmc.frozen(model)
        target = hmc.LogLikelihood(frozen, x[:3])
        steps = ais.tuned_steps(target, FEW, ChainNoise("tune", block, target, FEW), threading.Event())
        noise = ChainNoise("forward", block, target, FEW)
        by_hand = ais.summary(*ais.anneal(target, noise.start(), steps, FEW, noise, threading.Event()))
        found = annealed(model, x[:3], FEW)
        for name in ("log_px", "ess", "acceptance"):
            assert torch.equal(getattr(found, name), getattr(by_hand, name)), name

    def test_the_two_bounds_lie_on_either_side(self, model: LinearVAE, x: Tensor) -> None:
        """With few temperatures both are loose, by more than their Monte Carlo error; with more, the gap closes."""
        gaps = []
        for count in (4, 40):
            options = FEW.model_copy(update={"ais_temperatures": count, "ais_chains": 2})
            found = sandwich(model, N, options, x)
            exact = model.log_px(found.x)
            below, above = exact - found.lower.log_px, found.upper.log_px - exact
            if count == 4:
                for loose in (below, above):
                    assert loose.mean() > 3 * loose.std() / math.sqrt(N)
            torch.testing.assert_close(found.gap, below + above)
            gaps.append(found.gap.mean())
        assert gaps[0] > 3 * gaps[1] > 0

    def test_two_temperatures_are_importance_sampling_from_the_prior(self, model: LinearVAE, x: Tensor) -> None:
        options = AisOptions(ais_temperatures=2, ais_chains=5)
        found = annealed(model, x, options)
        z = torch.stack([
            torch.randn((5, D), generator=stream("score", "ais", "forward", image), dtype=x.dtype) for image in range(N)
        ], 1)  # fmt: skip
        log_w = model.likelihood.log_prob(x, model.decode(z))
        torch.testing.assert_close(found.log_px, log_w.logsumexp(0) - math.log(5))
        w = (log_w - log_w.amax(0)).exp()
        torch.testing.assert_close(found.ess, w.sum(0).square() / w.square().sum(0))
        assert found.acceptance.isnan().all()

    def test_step_sizes_that_were_tuned_depend_on_their_own_noise_only(self, model: LinearVAE, x: Tensor) -> None:
        """The numbers of the weighted pass are not those of the preliminary pass."""
        target = hmc.LogLikelihood(hmc.frozen(model), x[:2])
        tune, forward = (ChainNoise(name, range(2), target, FEW).start() for name in ("tune", "forward"))
        assert not torch.isclose(tune, forward).any()

    def test_the_steps_shrink_as_the_posterior_narrows(self, model: LinearVAE, x: Tensor) -> None:
        options = AisOptions(ais_temperatures=60, ais_chains=10, ais_leapfrog=5)
        target = hmc.LogLikelihood(hmc.frozen(model), x[:4])
        steps = ais.tuned_steps(target, options, ChainNoise("tune", range(4), target, options), threading.Event())
        assert (steps.at(2, 500) > 1.2 * steps.at(495, 500)).all()
        assert torch.equal(steps.at(0, 500), steps.table[1])
        assert torch.equal(steps.at(499, 500), steps.table[-2])


class TestDeterminism:
    def test_the_same_bits_whatever_the_number_of_threads(self, model: LinearVAE, x: Tensor) -> None:
        options = FEW.model_copy(update={"ais_chains": 50})  # blocks of 8 images
        first, again = (annealed(model, x, options, workers=workers) for workers in (1, 3))
        for name in ("log_px", "ess", "acceptance"):
            assert torch.equal(getattr(first, name), getattr(again, name))

    def test_an_image_does_not_depend_on_the_others(self, model: LinearVAE, x: Tensor) -> None:
        few, all_of_them = annealed(model, x[:7], FEW), annealed(model, x, FEW)
        torch.testing.assert_close(few.log_px, all_of_them.log_px[:7], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("rows", [3, 30, 10_000])
    def test_the_size_of_a_pass_does_not_matter(
        self, model: LinearVAE, x: Tensor, rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """3 rows: the 8 chains of an image are decoded in three passes. 10,000 rows: all images in one block."""
        usual = annealed(model, x[:12], FEW), sandwich(model, 12, FEW, x)
        for module in (hmc, ais):
            monkeypatch.setattr(module, "ROWS_PER_PASS", rows)
        other = annealed(model, x[:12], FEW), sandwich(model, 12, FEW, x)
        torch.testing.assert_close(usual[0].log_px, other[0].log_px, rtol=0, atol=1e-9)
        torch.testing.assert_close(usual[1].gap, other[1].gap, rtol=0, atol=1e-9)

    def test_simulated_images_are_those_of_their_numbers(self, model: LinearVAE, x: Tensor) -> None:
        three, five = (simulated(model, count, x, model.likelihood) for count in (3, 5))
        for few, many in zip(three, five, strict=True):
            torch.testing.assert_close(few, many[:3])

    def test_a_failure_in_one_thread_ends_the_others(self) -> None:
        both, ended = threading.Barrier(2, timeout=60), threading.Event()

        def work(block: range, stop: threading.Event) -> None:
            both.wait()
            if block.start == 0:
                raise ValueError("no")
            assert stop.wait(60)
            ended.set()

        with pytest.raises(ValueError, match="no"):
            ais.in_threads(work, [range(0, 1), range(1, 2)], 2)
        assert ended.is_set()


class TestTransition:
    def test_it_leaves_the_annealed_posterior_unchanged(self, model: LinearVAE, x: Tensor) -> None:
        """From exact draws at beta = 0.3, the draws after three transitions have the exact mean and covariance."""
        beta, K = 0.3, 5_000
        target = hmc.LogLikelihood(hmc.frozen(model), x[:1])
        precision = torch.eye(D, dtype=x.dtype) + beta / S**2 * model.W.T @ model.W
        covariance = torch.linalg.inv(precision)
        mean = covariance @ model.W.T @ x[0] * beta / S**2
        root = torch.linalg.cholesky(covariance)
        state = target(mean + normal(K, 1, D, name="exact") @ root.T)
        step = torch.full((1,), 0.4, dtype=x.dtype)
        for index in range(3):
            uniform = torch.rand((2, K, 1), generator=stream("test-ais", index), dtype=x.dtype)
            noise = hmc.Noise(normal(K, 1, D, name=f"momentum {index}"), uniform)
            before = state.z
            state, probability = hmc.transition(target, state, beta, step, noise, 3)
        assert 0.3 < probability.mean() < 0.95
        moved = (state.z != before).any(-1).double().mean()
        assert moved == pytest.approx(probability.mean().item(), abs=4 * math.sqrt(0.25 / K))
        scaled = torch.linalg.solve_triangular(root, (state.z[:, 0] - mean).T, upper=False).T
        assert (scaled.mean(0).abs() < 4 / math.sqrt(K)).all()
        second = scaled.T @ scaled / K
        assert ((second - torch.eye(D)).abs() < 4 * math.sqrt(2 / K)).all()
        again = target(state.z)
        torch.testing.assert_close(state.log_px_z, again.log_px_z)
        torch.testing.assert_close(state.slope, again.slope)

    def test_a_trajectory_that_runs_away_is_rejected(self, model: LinearVAE, x: Tensor) -> None:
        target = hmc.LogLikelihood(hmc.frozen(model), x[:1])
        state = target(normal(4, 1, D, name="start"))
        noise = hmc.Noise(normal(4, 1, D, name="v"), torch.zeros(2, 4, 1, dtype=x.dtype))
        after, probability = hmc.transition(target, state, 1.0, torch.full((1,), 1e200, dtype=x.dtype), noise, 5)
        assert torch.equal(after.z, state.z)
        assert torch.equal(after.log_px_z, state.log_px_z)
        assert (probability == 0).all()


@pytest.mark.parametrize("schedule", ["sigmoid", "linear"])
def test_schedules(schedule: str) -> None:
    betas = temperatures(AisOptions(ais_temperatures=9, ais_schedule=schedule))
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()
    torch.testing.assert_close(betas, 1 - betas.flip(0))  # symmetric
    place = 2 / 8
    ends = [1 / (1 + math.exp(4)), 1 / (1 + math.exp(-4))]
    curve = (1 / (1 + math.exp(-4 * (2 * place - 1))) - ends[0]) / (ends[1] - ends[0])
    assert betas[2].item() == pytest.approx(place if schedule == "linear" else curve)


CONFIGS = [
    *(RunConfig(likelihood=name, pixels="dequantised", hidden=(7,), latent_dim=3, seed=2) for name in LIKELIHOODS),
    RunConfig(likelihood="gaussian", likelihood_scale="optimal", hidden=(7,), latent_dim=3),
    RunConfig(architecture="conv", hidden=(7,), latent_dim=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.architecture} {config.likelihood}")
def test_every_likelihood(config: RunConfig) -> None:
    """The values and slopes are those of the model, and no weight gets a gradient or a new value."""
    model = VAE(config).double()
    assert model.training
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand((2, 784), generator=stream("test-ais", "pixels"), dtype=torch.float64)
    found = annealed(model, x, AisOptions(ais_temperatures=4, ais_chains=2, ais_leapfrog=2))
    assert found.log_px.isfinite().all()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    target = hmc.LogLikelihood(hmc.frozen(model), x)
    z = normal(2, 2, 3, name="points")
    state = target(z)
    with torch.no_grad():
        torch.testing.assert_close(state.log_px_z, model.likelihood.log_prob(x, model.decode(z)))
        shift = 1e-5 * normal(2, 2, 3, name="shift")
        rise = [model.likelihood.log_prob(x, model.decode(z + sign * shift)) for sign in (1, -1)]
    torch.testing.assert_close((state.slope * shift).sum(-1), (rise[0] - rise[1]) / 2, rtol=2e-3, atol=2e-6)
    torch.testing.assert_close(target.slope(z), state.slope)


def test_a_likelihood_without_gradient_is_refused(model: LinearVAE, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = VAE(RunConfig(hidden=(7,), latent_dim=3))
    log_prob = type(vae.likelihood).log_prob
    monkeypatch.setattr(
        type(vae.likelihood), "log_prob", lambda self, x, head, guard=0.0: log_prob(self, x, head).detach()
    )
    run: list[Callable[[], object]] = [
        lambda: annealed(vae, torch.rand(2, 784), FEW),
        lambda: sandwich(vae, 2, FEW, torch.rand(1)),
    ]
    for work in run:
        with pytest.raises(BadInput, match=r"--ais: .*'bernoulli' has no gradient in z"):
            work()
