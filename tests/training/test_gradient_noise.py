"""Gradient noise against closed forms in one dimension, gradients of single images, and real minibatches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.reference import LinearGaussianVAE, small_vae
from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import ARCHITECTURES, OBJECTIVES
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.training import gradient_noise
from vaestudy.training.gradient_noise import BLOCKS, REPEATS, best_samples, block_sums, measure_gradient_noise
from vaestudy.training.train import train


def close(metrics: dict[str, float], name: str, exact: float, factor: float = 1.0) -> bool:
    """Return whether factor times the metric is within 4.5 of its own reported standard errors of `exact`."""
    return abs(factor * metrics[name] - exact) < 4.5 * factor * metrics[f"{name}_se"]


class TestLinearGaussian:
    """A linear Gaussian model in one dimension, where q is the exact posterior and the variances have closed forms.

    d log w / d mu has variance 1 + a under sgvb-a, a^2 / (1 + a) under sgvb-b, and 0 under stl. The gradient of the
    head is d log w / d mu times (x, 1). So the trace of its covariance is that variance times x^2 + 1, and the mean of
    x^2 + 1 is w^2 + s^2 + 1.
    """

    w, s, N = 1.7, 0.6, 4_000

    def setup_method(self) -> None:
        self.a = self.w**2 / self.s**2
        self.var_px = self.w**2 + self.s**2
        g = stream("test-gradients", "x")
        self.x = math.sqrt(self.var_px) * torch.randn(self.N, 1, generator=g, dtype=torch.float64)

    def measured(
        self, estimator: str, L: int = 1, shift: float = 0.0, beta: torch.Tensor | None = None
    ) -> dict[str, dict[str, float]]:
        model = LinearGaussianVAE(self.w, self.s, shift)
        found = block_sums(model, self.x, estimator, L, stream("test-gradients", estimator, L), beta=beta)
        return {name: s.metrics(M=100) for name, s in found.items()}

    @pytest.mark.parametrize(("name", "exact"), [("sgvb-a", lambda a: 1 + a), ("sgvb-b", lambda a: a**2 / (1 + a))])
    @pytest.mark.parametrize("L", [1, 5])
    def test_noise_of_the_draws(self, name: str, exact, L: int) -> None:
        found = self.measured(name, L)["mu_head"]
        assert close(found, "var_eps", exact(self.a) * (self.var_px + 1) / L)
        assert found["var_eps_se"] < 0.05 * found["var_eps"]

    @pytest.mark.parametrize(("estimator", "L"), [("stl", 1), ("stl", 4), ("dreg", 4)])
    def test_sticking_the_landing_has_none(self, estimator: str, L: int) -> None:
        found = self.measured(estimator, L)
        for group in ("mu_head", "sigma_head"):
            assert max(abs(found[group][name]) for name in ("var_x", "var_eps", "signal")) < 1e-25

    @pytest.mark.parametrize("name", ["sgvb-a", "sgvb-b", "stl", "score-function", "score-function-loo"])
    def test_noise_of_the_images(self, name: str) -> None:
        """With mu wrong by `shift`, E_eps g = -(1 + a) shift (x, 1), so Var_x = ((1 + a) shift)^2 E[x^2]."""
        shift = 0.3
        found = self.measured(name, 5, shift)["mu_head"]
        mean = (1 + self.a) * shift
        assert close(found, "var_x", mean**2 * self.var_px)
        assert close(found, "signal", mean**2)
        assert found["snr"] == pytest.approx(math.sqrt(found["signal"] / found["variance"]))

    @pytest.mark.parametrize(("name", "added"), [("sgvb-a", True), ("sgvb-b", False), ("stl", True)])
    def test_noise_of_the_draws_with_a_weight_on_the_kl(self, name: str, added: bool) -> None:
        """The path through z has the slope -(w^2 / s^2) z of log p(x|z), and -beta z of log p(z) where it is drawn.

        stl has also beta (z - mu) / v of -log q(z|x), whose parameters are held fixed.
        """
        beta, v = 3.0, 1 / (1 + self.a)
        found = self.measured(name, beta=torch.tensor(beta, dtype=torch.float64))["mu_head"]
        slope = self.a + beta * added - (beta / v if name == "stl" else 0.0)
        assert close(found, "var_eps", slope**2 * v * (self.var_px + 1))

    def test_value_of_a_has_no_noise_but_that_of_the_images(self) -> None:
        """At the exact posterior sgvb-a is log p(x) for every draw; its variance over x is 1/2."""
        found = self.measured("sgvb-a")["value"]
        assert found["var_eps"] < 1e-12
        assert close(found, "var_x", 0.5)

    def test_standard_errors_are_honest(self) -> None:
        """The scatter of 40 independent estimates agrees with the standard error that each of them reports."""
        model = LinearGaussianVAE(self.w, self.s, 0.3)
        found = []
        for k in range(40):
            g = stream("test-gradients", "honest", k)
            x = math.sqrt(self.var_px) * torch.randn(200, 1, generator=g, dtype=torch.float64)
            found.append(block_sums(model, x, "sgvb-b", 1, g)["mu_head"].metrics(1))
        for name in ("var_x", "var_eps"):
            scatter = torch.tensor([f[name] for f in found]).std().item()
            claimed = math.sqrt(sum(f[f"{name}_se"] ** 2 for f in found) / len(found))
            assert 0.6 < scatter / claimed < 1.6


@pytest.mark.parametrize("name", OBJECTIVES)
def test_equals_a_literal_count(name: str) -> None:
    assert_equals_a_literal_count(small_vae(second_biases=True, hidden=(6, 5)), name)


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical-256"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_equals_a_literal_count(architecture: str, likelihood: str) -> None:
    """On colour images with odd sides; the order of the head's outputs differs between the likelihoods."""
    fields = {"architecture": architecture, "likelihood": likelihood, "pixels": "dequantised", "latent_dim": 3}
    model = VAE(RunConfig(hidden=(6,), second_biases=True, **fields), ImageShape(5, 6, 3)).double()
    assert_equals_a_literal_count(model, "sgvb-a")


def assert_equals_a_literal_count(model: VAE, name: str) -> None:
    """Each group agrees with the gradients of single images, formed one by one from the same images and noise."""
    L, n = 3, 2
    x = torch.rand(BLOCKS * n, model.shape.pixels, generator=stream("test-count"), dtype=torch.float64)
    found = block_sums(model, x, name, L, stream("test-count", "eps"))
    g = stream("test-count", "eps")
    layers = gradient_noise.parameter_groups(model)
    single: dict[str, list[torch.Tensor]] = {group: [] for group in layers}
    for block in x.split(n):
        eps = torch.randn(L, REPEATS * n, 3, generator=g, dtype=torch.float64)
        for i, image in enumerate(block):
            for group in layers:
                single[group].append(torch.empty(0))
            for r in range(REPEATS):
                e = eps[:, r * n + i].unsqueeze(1)
                objective = OBJECTIVES.load(name)(terms(model, image[None], e)).objective.sum()
                objective.backward()
                for group, members in layers.items():
                    flat = torch.cat([p.grad.flatten() for layer in members for p in layer.parameters()])
                    single[group][-1] = torch.cat((single[group][-1], flat[None]))
                model.zero_grad()
    single["all"] = [torch.cat(parts, 1) for parts in zip(*(single[group] for group in layers), strict=True)]
    for group, per_image in single.items():
        G = torch.stack(per_image)  # [N, R, parameters]
        ours = found[group].components(torch.arange(BLOCKS))
        var_eps = G.var(1).sum(-1).mean().item()
        between = G.mean(1).var(0).sum().item()
        assert ours.var_eps == pytest.approx(var_eps, rel=1e-8)
        assert ours.var_x == pytest.approx(between - var_eps / REPEATS, rel=1e-7)
        assert ours.signal == pytest.approx(G.mean((0, 1)).square().sum().item() - between / len(G), rel=1e-6)


def test_a_runs_own_weight_on_the_kl_is_used() -> None:
    model = small_vae(beta=5.0, estimator="sgvb-a", gradient_images=20)
    images = torch.randint(0, 256, (20, 784), dtype=torch.uint8, generator=stream("test-beta"))
    model.float()
    found = measure_gradient_noise(model, images, "end")
    plain = small_vae(estimator="sgvb-a", gradient_images=20).float()
    assert (
        found["gradient/end/sigma_head/var_x"]
        > 2 * measure_gradient_noise(plain, images, "end")["gradient/end/sigma_head/var_x"]
    )


@pytest.fixture(scope="module")
def trained() -> tuple[torch.nn.Module, torch.Tensor]:
    """Return a model trained for two epochs, and its train images in [0, 1]."""
    torch.set_num_threads(1)
    config = RunConfig(dataset="mnist-5k", epochs=2, hidden=(32,), latent_dim=4, figures=(), valid_size=500)
    data = datasets.load_splits(config, Path())
    return train(config, data).model, data.train.images.float() / 255


@pytest.mark.parametrize(("M", "L", "shared"), [(5, 1, False), (20, 4, False), (20, 1, True)])
def test_law_of_the_minibatch(trained: tuple[torch.nn.Module, torch.Tensor], M: int, L: int, shared: bool) -> None:
    """The variance of real minibatch gradients is (Var_x + Var_eps(1) / L) / M; with shared noise it is larger."""
    model, x = trained
    parts = block_sums(model, x[:1000], "sgvb-b", 1, stream("test-law"))["all"].metrics(1)
    total, squares, steps = 0.0, 0.0, 300
    g = stream("test-law", M, L)
    for _ in range(steps):
        rows = torch.randint(len(x), (M,), generator=g)
        eps = torch.randn(L, 1 if shared else M, 4, generator=g).expand(L, M, 4)
        objective = OBJECTIVES.load("sgvb-b")(terms(model, x[rows], eps)).objective.mean()
        gradient = torch.cat([p.flatten() for p in torch.autograd.grad(objective, list(model.parameters()))])
        total, squares = total + gradient.double(), squares + gradient.double().square().sum()
    variance = ((squares - total.square().sum() / steps) / (steps - 1)).item()
    predicted = (parts["var_x"] + parts["var_eps"] / L) / M
    # Relative error of the trace of a sample covariance of `steps` gradients, combined with the components' own error.
    error = math.hypot(0.04, (parts["var_x_se"] + parts["var_eps_se"] / L) / M / predicted)
    if shared:
        assert variance > 1.5 * predicted
    else:
        assert variance == pytest.approx(predicted, rel=4 * error)


def test_measuring_disturbs_nothing_and_repeats_itself(tiny: RunConfig) -> None:
    config = tiny.with_changes(gradient_images=20, samples=2, estimator="dreg")
    data = datasets.load_splits(config, Path())
    result = train(config, data)
    plain = train(config.with_changes(gradient_images=0), data)
    assert all(torch.equal(a, b) for a, b in zip(result.model.parameters(), plain.model.parameters(), strict=True))
    assert not plain.gradients
    heads = {"/".join(name.split("/")[:3]) for name in result.gradients}
    assert heads == {f"gradient/{stage}/{group}" for stage in gradient_noise.STAGES for group in gradient_noise.GROUPS}
    again = measure_gradient_noise(result.model, data.train.images, "end")
    assert {k: v for k, v in result.gradients.items() if "/end/" in k} == again


def test_estimators_beside_the_runs_own_see_the_same_weights_and_draws(tiny: RunConfig) -> None:
    config = tiny.with_changes(
        gradient_images=20, estimator="stl", gradient_estimators=("stl", "sgvb-a", "score-function-loo")
    )
    data = datasets.load_splits(config, Path())
    found = measure_gradient_noise(VAE(config), data.train.images, "end")
    own = {k.removeprefix("gradient/end/"): v for k, v in found.items() if k.count("/") == 3}
    assert own == {k.removeprefix("gradient/end/stl/"): v for k, v in found.items() if "/stl/" in k}
    assert found["gradient/end/encoder/var_eps"] != found["gradient/end/sgvb-a/encoder/var_eps"]
    assert found["gradient/end/decoder/var_eps"] == pytest.approx(found["gradient/end/sgvb-a/decoder/var_eps"])
    assert not any("score-function-loo" in name for name in found)  # not defined at L=1


def test_best_number_of_draws() -> None:
    """The result equals the formula, and the variance for a given time is larger for a smaller and for a larger L."""
    fixed, each, var_x, var_eps = 3.0, 0.5, 2.0, 40.0
    best = best_samples(fixed, each, var_x, var_eps)
    assert best == pytest.approx(math.sqrt(fixed * var_eps / (each * var_x)))

    def cost(L: float) -> float:
        return (var_x + var_eps / L) * (fixed + each * L)

    assert cost(best) < min(cost(0.9 * best), cost(1.1 * best))
    assert math.isnan(best_samples(fixed, each, -1.0, var_eps))
