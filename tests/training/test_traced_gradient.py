"""A traced gradient equals autograd's, bit for bit, for every part; autograd computes what cannot be traced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks import floors
from vaestudy.config.registry import ACTIVATIONS, ARCHITECTURES, LIKELIHOODS, OBJECTIVES, PIXELS, SIGMAS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.training import traced_gradient
from vaestudy.training.objectives import loss
from vaestudy.training.traced_gradient import TracedGradient
from vaestudy.training.train import make_gradient, train

RECORDED = "autograd's operations, recorded"


pytestmark = pytest.mark.usefixtures("trace_at_once")


CONFIGS: dict[str, dict[str, Any]] = {
    **{name: {"likelihood": name, "pixels": floors.pixels(name)} for name in LIKELIHOODS if name != "categorical-256"},
    **{f"sigma {name}": {"sigma": name, "sigma_floor": 0.01} for name in SIGMAS},
    **{f"estimator {name}": {"estimator": name, "samples": 3} for name in OBJECTIVES},
    **{f"activation {name}": {"activation": name, "hidden": (30, 20)} for name in ACTIVATIONS},
    **{
        f"decoder's sigma {name}": {
            "likelihood": "gaussian",
            "pixels": "dequantised",
            "likelihood_scale": "per-pixel",
            "decoder_sigma": name,
        }
        for name in SIGMAS
    },
    **{f"architecture {name}": {"architecture": name, "second_biases": True} for name in ARCHITECTURES},
    "article": {"sigma": "raw", "log_guard": 1e-8, "reduction": "sum", "second_biases": True},
    **{
        f"{kind} scale": {"likelihood": "gaussian", "pixels": "dequantised", "likelihood_scale": kind}
        for kind in ("learned", "fixed", "optimal")
    },
}


def minibatch(config: RunConfig, number: int, images: int) -> tuple[Tensor, Tensor]:
    """Return x [M, P] and eps [L, M, D]."""
    generator = stream("minibatch", number)
    grey_values = torch.randint(0, 256, (images, 784), generator=generator, dtype=torch.uint8)
    x = PIXELS.load(config.pixels)(grey_values, generator)
    return x, torch.randn((config.samples, images, config.latent_dim), generator=generator)


def plainly(model: VAE, x: Tensor, eps: Tensor) -> list[Tensor]:
    """Return the loss and its gradients, computed by `backward`."""
    config = model.config
    estimate = OBJECTIVES.load(config.estimator)(terms(model, x, eps, config.log_guard))
    value = loss(estimate, config.reduction)
    model.zero_grad()
    value.backward()
    return [value.detach(), *gradients(model)]


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recorded_gradient_is_autograds_to_the_bit(tiny: RunConfig, name: str) -> None:
    model = VAE(tiny.with_changes(**CONFIGS[name]))
    gradient, move = make_gradient(model), stream("move")
    for step in range(4):  # the last minibatch of an epoch may be smaller
        x, eps = minibatch(model.config, step, 10 if step < 3 else 7)
        value, sums = gradient(x, eps)
        ours, buffers = [value, *gradients(model)], [buffer.clone() for buffer in model.buffers()]
        assert all(map(torch.equal, ours, plainly(model, x, eps)))
        assert all(map(torch.equal, buffers, model.buffers()))
        assert sums.shape == (3,)
        assert not any(t.requires_grad for t in ours)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=move), alpha=0.01)
    assert gradient.description == RECORDED
    assert len(ours) == 1 + len(list(model.parameters()))


def quadratic(module: nn.Linear, scale: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    return lambda x: ((module(x) * scale(x)).square().sum(), x.sum())


def by_the_numbers(x: Tensor) -> Tensor:
    return x.sum() if x[0].sum() > 0 else -x.sum()


class Counter:
    """A factor that is different at each call."""

    def __init__(self) -> None:
        self.calls = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1.0
        return torch.ones(()) * self.calls


class Latest:
    """A factor that is stored by assignment of a new buffer; a trace only repeats writes in place."""

    def __init__(self, module: nn.Module) -> None:
        module.register_buffer("latest", torch.zeros(()))
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        self.module.latest = x.sum()
        return x.sum()


@pytest.mark.parametrize(
    ("scale", "description"),
    [
        (by_the_numbers, "autograd, as the step cannot be traced"),
        (Counter(), "autograd, as the traced step does not agree to the bit"),
    ],
    ids=["a path that depends on numbers", "a factor that changes"],
)
def test_what_cannot_be_recorded_is_left_to_autograd(scale: Callable[[Tensor], Tensor], description: str) -> None:
    module, x = nn.Linear(3, 2), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    gradient = TracedGradient(module, quadratic(module, scale))
    value, extra = gradient(x)
    found = gradients(module)
    assert gradient.description.startswith(description)
    assert extra == x.sum()
    factor = scale.calls if isinstance(scale, Counter) else x.sum()
    plain = (module(x) * factor).square().sum()
    torch.testing.assert_close([value, *found], [plain, *torch.autograd.grad(plain, tuple(module.parameters()))])


def test_what_a_step_keeps_must_be_written_where_it_was() -> None:
    module, x = nn.Linear(3, 2), torch.rand(4, 3)
    gradient = TracedGradient(module, quadratic(module, Latest(module)))
    gradient(x)
    assert gradient.description == "autograd, as the traced step does not agree to the bit"
    gradient(2 * x)
    assert module.latest == 2 * x.sum()


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({}, RECORDED),
        ({"samples": 300}, "autograd"),  # in chunks
        ({"likelihood": "categorical-256", "subset": 20, "minibatch": 10}, "autograd"),
    ],
)
def test_a_run_says_how_its_gradient_was_had(tiny: RunConfig, changes: dict[str, Any], description: str) -> None:
    config = tiny.with_changes(epochs=1, **changes)
    assert train(config, datasets.load_splits(config, Path())).gradient_description == description


def test_a_step_is_traced_only_when_its_shapes_have_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_gradient, "CALLS_BEFORE_TRACE", 2)
    module, often, rare = nn.Linear(3, 2), torch.rand(4, 3), torch.rand(5, 3)
    gradient = TracedGradient(module, quadratic(module, lambda x: torch.ones(())))
    for x, description in ((often, "autograd"), (rare, "autograd"), (often, "autograd"), (often, RECORDED)):
        gradient(x)
        assert gradient.description == description
    assert list(gradient._traces) == [(often.shape,)]


def test_a_torch_that_records_nothing_gives_the_same_weights(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    images = datasets.load_splits(tiny, Path())
    recorded = train(tiny, images)
    monkeypatch.setattr(traced_gradient, "make_fx", None)
    plain = train(tiny, images)
    assert (recorded.gradient_description, plain.gradient_description) == (
        RECORDED,
        "autograd, as the step cannot be traced (NotImplementedError: this torch has no make_fx)",
    )
    weights = plain.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in recorded.model.state_dict().items())
    assert recorded.history == plain.history
