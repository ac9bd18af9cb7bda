"""The weight of the KL in training, its warm-up and free bits: literal twins, equal bits at weight 1, the record."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.reference import literal_estimate, literal_posterior, small_vae
from vaestudy.config.registry import OBJECTIVES
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.run.execute import EVALUATION, execute
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.score import score
from vaestudy.training import train as training
from vaestudy.training.kl_weight import kl_weight
from vaestudy.training.objectives import sgvb_b, with_free_bits
from vaestudy.training.traced_gradient import TracedGradient
from vaestudy.training.train import make_gradient, run_notices, train

WEIGHTED = [name for name in OBJECTIVES if OBJECTIVES[name].takes_beta]

pytestmark = pytest.mark.usefixtures("trace_at_once")


def scalar(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(value, dtype=dtype)


def drawn(L: int, M: int, D: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return x [M, P] of zeros and ones, and eps [L, M, D]."""
    g = stream("test-kl-weight", L, M)
    x = torch.rand(M, 784, generator=g, dtype=dtype).round()
    return x, torch.randn(L, M, D, generator=g, dtype=dtype)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("beta", [0.0, 0.3, 4.0])
@pytest.mark.parametrize(("L", "M"), [(1, 4), (4, 2)])
def test_an_objective_with_a_weight_equals_its_literal_twin(name: str, beta: float, L: int, M: int) -> None:
    if OBJECTIVES[name].min_samples > L:
        pytest.skip("has no baseline at L=1; the configuration refuses it")
    model = small_vae(second_biases=True)
    x, eps = drawn(L, M)
    estimate = OBJECTIVES.load(name)(terms(model, x, eps, beta=scalar(beta)))
    objective, elbo, gradient = literal_estimate(model, x, eps, name, beta)
    torch.testing.assert_close(estimate.objective, objective, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(estimate.log_likelihood - estimate.kl, elbo, rtol=1e-10, atol=1e-10)
    ours = torch.autograd.grad(
        estimate.objective.sum(), list(model.parameters()), materialize_grads=True, allow_unused=True
    )
    for mine, other in zip(ours, gradient, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)


def literal_free_bits(kl: Tensor, free_bits: float) -> float:
    """Return sum_d max(free_bits, mean_m kl_md) by loops."""
    total = 0.0
    for d in range(kl.shape[1]):
        mean = sum(kl[m, d].item() for m in range(len(kl))) / len(kl)
        total += max(free_bits, mean)
    return total


@pytest.mark.parametrize("free_bits", [0.01, 0.2, 100.0])
def test_free_bits_are_a_minimum_of_the_minibatchs_mean(free_bits: float) -> None:
    """None, some or all dimensions are below; those have no gradient, the others have the gradient of their mean."""
    kl = torch.tensor([[0.0, 0.1, 3.0], [0.3, 0.02, 0.1]], dtype=torch.float64, requires_grad=True)
    each = with_free_bits(kl, free_bits)
    assert each.shape == (2,)
    assert each.mean().item() == pytest.approx(literal_free_bits(kl, free_bits), rel=1e-12)
    (gradient,) = torch.autograd.grad(each.mean(), kl)
    counts = [float(mean > free_bits) / 2 for mean in (0.15, 0.06, 1.55)]
    assert gradient.tolist() == [counts, counts]


def test_an_objective_with_free_bits_and_a_weight_equals_its_formula() -> None:
    """The mean over images is that of log p(x|z) less beta times a loop's KL; the gradient is that of differences."""
    model = small_vae()
    x, eps = drawn(2, 5)
    mu, _, log_variance = literal_posterior(model, x)
    per_dimension = (mu**2 + log_variance.exp() - 1 - log_variance) / 2
    free_bits = per_dimension.mean(0).median().item() * 1.01  # between the means of two dimensions

    def objective() -> Tensor:
        return sgvb_b(terms(model, x, eps, beta=scalar(2.5)), free_bits).objective.mean()

    plain = sgvb_b(terms(model, x, eps))
    expected = plain.log_likelihood.mean().item() - 2.5 * literal_free_bits(per_dimension, free_bits)
    assert objective().item() == pytest.approx(expected, rel=1e-12)
    for parameter in (model.mu.bias, model.sigma.bias):
        (gradient,) = torch.autograd.grad(objective(), parameter)
        for d in range(3):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[d] += step
                    values.append(objective().item())
                    parameter[d] -= step
            assert gradient[d].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", WEIGHTED)
def test_weight_1_gives_the_bits_of_no_weight(name: str, tiny: RunConfig) -> None:
    model = VAE(tiny.with_changes(estimator=name, samples=3))
    x, eps = drawn(3, 20, 4, torch.float32)
    found = []
    for beta in (None, scalar(1.0, torch.float32)):
        estimate = OBJECTIVES.load(name)(terms(model, x, eps, beta=beta))
        gradients = torch.autograd.grad(estimate.objective.sum(), list(model.parameters()))
        found.append([estimate.objective, estimate.kl, *gradients])
    assert all(map(torch.equal, *found))


def spied(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Return a list to which each training step adds the numbers of its inputs after x and eps."""
    seen: list[list[float]] = []

    class Spy(TracedGradient):
        def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
            seen.append([beta.item() for beta in inputs[2:]])
            return super().__call__(*inputs)

    monkeypatch.setattr(training, "TracedGradient", Spy)
    return seen


def trained(config: RunConfig) -> training.TrainResult:
    return train(config, datasets.load_splits(config, Path()))


def test_without_a_weight_a_step_is_the_one_it_was(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no further input; a run whose steps all have the weight 1 as an input ends with the same bits."""
    seen = spied(monkeypatch)
    plain = trained(tiny)
    assert seen == [[]] * 8
    monkeypatch.setattr(RunConfig, "changes_kl", property(lambda self: True))
    weighted = trained(tiny)
    assert seen[8:] == [[1.0]] * 8
    weights = weighted.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in plain.model.state_dict().items())


def test_the_warm_up_is_a_line_over_steps(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 images in minibatches of 50, so 4 steps an epoch: 2 epochs of warm-up reach beta at the eighth step."""
    seen = spied(monkeypatch)
    result = trained(tiny.with_changes(epochs=3, beta=4.0, kl_warmup=2))
    assert [beta for (beta,) in seen] == [0.5 * t for t in range(1, 9)] + [4.0] * 4
    assert result.gradient_description == "autograd's operations, recorded"
    config = RunConfig(beta=2.0, kl_warmup=10)
    assert kl_weight(config, 1, 1, 100) == pytest.approx(2.0 / 1000)
    assert kl_weight(config, 10, 100, 100) == 2.0
    assert kl_weight(config, 10, 99, 100) < 2.0
    assert kl_weight(RunConfig(beta=2.0), 1, 1, 100) == 2.0


@pytest.mark.parametrize("changes", [{"estimator": name, "samples": 3} for name in WEIGHTED] + [{"free_bits": 0.05}])
def test_one_trace_holds_for_every_weight(tiny: RunConfig, changes: dict[str, object]) -> None:
    model = VAE(tiny.with_changes(beta=3.0, **changes))
    gradient = make_gradient(model)
    plain = TracedGradient(model, gradient._bound.function, traced=False)
    found: list[list[Tensor]] = []
    for inputs in steps(model.config):
        for each in (gradient, plain):
            value, sums = each(*inputs)
            found.append([value, sums, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    assert gradient.description == "autograd's operations, recorded"
    assert len(gradient._traces) == 1
    for ours, autograds in zip(found[::2], found[1::2], strict=True):
        assert all(map(torch.equal, ours, autograds))
    assert found[0][0] != found[2][0]  # the loss depends on the weight


def steps(config: RunConfig) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the inputs of three steps with different weights."""
    x, eps = drawn(config.samples, 20, config.latent_dim, torch.float32)
    return [(x, eps, scalar(beta, torch.float32)) for beta in (0.1, 1.0, 3.0)]


@pytest.mark.parametrize("changes", [{"beta": 3.0}, {"beta": 3.0, "estimator": "sgvb-a"}, {"kl_warmup": 2}])
def test_metrics_keep_their_meaning(tiny: RunConfig, changes: dict[str, object]) -> None:
    """In one epoch of one step the weights are the initial ones: all but the objective equals that of the plain run."""
    config = tiny.with_changes(epochs=1, minibatch=200, **changes)
    plain = trained(config.with_changes(beta=1.0, kl_warmup=0)).history[0]
    mine = trained(config).history[0]
    assert "train/objective" not in plain
    for name in ("train/elbo", "train/kl", "train/log_likelihood"):
        assert mine[name] == plain[name]
    weight = kl_weight(config, 1, 1, 1)
    assert weight in (3.0, 0.5)
    assert mine["train/objective"] == pytest.approx(mine["train/log_likelihood"] - weight * mine["train/kl"], rel=1e-6)


def test_free_bits_are_recorded_in_the_objective_alone(tiny: RunConfig) -> None:
    config = tiny.with_changes(epochs=1, minibatch=200, free_bits=7.0)
    mine = trained(config).history[0]
    assert mine["train/elbo"] == trained(config.with_changes(free_bits=0.0)).history[0]["train/elbo"]
    assert mine["train/objective"] == pytest.approx(mine["train/log_likelihood"] - 4 * 7.0, rel=1e-6)


def test_scores_have_no_weight_and_the_record_says_so(tiny: RunConfig) -> None:
    config = tiny.with_changes(epochs=1, beta=9.0, free_bits=2.0)
    record = execute(config, Path())
    assert record.metrics["test/elbo"] == pytest.approx(
        record.metrics["test/log_likelihood"] - record.metrics["test/kl"]
    )
    assert record.facts["evaluation"] == EVALUATION == "beta = 1, no free bits"
    assert execute(tiny, Path()).facts["evaluation"] == EVALUATION
    model, plain = VAE(config), VAE(tiny)  # the same initial weights
    x = drawn(1, 30, dtype=torch.float32)[0]
    labels = torch.zeros(30, dtype=torch.uint8)
    assert score(model, x, labels, (1, 5)).metrics == score(plain, x, labels, (1, 5)).metrics


def test_keys_of_earlier_results_stay() -> None:
    assert RunConfig().key == RunConfig(beta=1, kl_warmup=0, free_bits=0).key == "826c69d816dfde64"
    changed = [{"beta": 2.0}, {"kl_warmup": 1}, {"free_bits": 0.1}]
    assert len({RunConfig(**changes).key for changes in ({}, *changed)}) == 4


def test_a_warm_up_that_does_not_end_is_remarked_on(tiny: RunConfig) -> None:
    data = datasets.load_splits(tiny, Path())
    (line,) = run_notices(tiny.with_changes(beta=4.0, kl_warmup=8), data)
    assert "--kl-warmup 8" in line
    assert "ends at 1, not at 4" in line
    assert run_notices(tiny.with_changes(kl_warmup=2), data) == []
