"""The checks of an optimiser. It is a function of the model, the configuration and the number of train images."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn, optim

from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, Part, require
from vaestudy.runtime.random_streams import stream
from vaestudy.training.checkpoint import load_state_tensors, state_tensors

CHECKS = Checks()

IMAGES = 50
STEPS = 300


def network() -> nn.Module:
    """Return a small network with fixed weights."""
    model = nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 40))
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=stream("check", "optimizer", i)))
    return model


def made(part: Part, model: nn.Module, **changes: Any) -> optim.Optimizer:
    """Return the optimiser of a model."""
    config = RunConfig(optimizer=part.name, **{"learning_rate": 0.01} | changes)
    optimizer: optim.Optimizer = part.load()(model, config, IMAGES)
    return optimizer


def take_steps(optimizer: optim.Optimizer, model: nn.Module, first: int, last: int) -> None:
    """Take steps with fixed gradients, and with a step size that falls, as by a schedule."""
    for step in range(first, last + 1):
        optimizer.param_groups[0]["lr"] = 1e-2 / step
        for i, parameter in enumerate(model.parameters()):
            parameter.grad = torch.randn(parameter.shape, generator=stream("check", "gradient", step, i))
        optimizer.step()


def weights(model: nn.Module) -> list[Tensor]:
    """Return a copy of the weights."""
    return [parameter.detach().clone() for parameter in model.parameters()]


@CHECKS.first
def builds(part: Part) -> None:
    """It returns a torch optimiser of all weights, in one group."""
    model = network()
    optimizer = made(part, model)
    require(
        isinstance(optimizer, optim.Optimizer), f"it returns a {type(optimizer).__name__}, no torch.optim.Optimizer"
    )
    groups = optimizer.param_groups
    require(
        len(groups) == 1, f"it has {len(groups)} groups of parameters; the schedule sets the step size of the first"
    )
    held = {id(p) for p in groups[0]["params"]}
    missing = [name for name, parameter in model.named_parameters() if id(parameter) not in held]
    require(not missing, f"it leaves out {', '.join(missing)}")


@CHECKS
def reduces_a_quadratic(part: Part) -> None:
    """It reduces a quadratic to a tenth within 300 steps."""
    point = nn.Parameter(torch.linspace(-1, 3, 9))
    model, curvature = nn.ParameterList([point]), torch.linspace(0.5, 2, 9)
    optimizer = made(part, model, learning_rate=0.1)
    values = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = (curvature * (point - 1).square()).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    require(
        values[-1] <= values[0] / 10,
        f"it is {values[0]:.4g} at the start and {values[-1]:.4g} after {STEPS} steps, with a learning rate of 0.1",
    )


@CHECKS
def follows_the_step_size(part: Part) -> None:
    """Every weight moves, and no weight moves where the step size is 0."""
    model = network()
    optimizer = made(part, model)
    before = weights(model)
    take_steps(optimizer, model, 1, 2)
    still = [i for i, (a, b) in enumerate(zip(before, weights(model), strict=True)) if torch.equal(a, b)]
    require(not still, f"parameter {still[0] if still else 0} does not move in two steps")
    optimizer.param_groups[0]["lr"] = 0.0
    before = weights(model)
    optimizer.step()
    off = max((a - b).abs().max().item() for a, b in zip(before, weights(model), strict=True))
    require(off == 0, f"a weight moves by {off:.3g} with a step size of 0: the schedule has no effect")


@CHECKS
def follows_the_configuration(part: Part) -> None:
    """It follows the configuration: learning_rate, and weight_prior, which draws weights without a gradient to 0."""
    moves = []
    for rate in (0.01, 0.02):
        model = network()
        optimizer, before = made(part, model, learning_rate=rate), weights(model)
        for i, parameter in enumerate(model.parameters()):
            parameter.grad = torch.randn(parameter.shape, generator=stream("check", "gradient", 1, i))
        optimizer.step()
        moves.append(sum((a - b).abs().sum().item() for a, b in zip(before, weights(model), strict=True)))
    require(
        moves[1] > 1.2 * moves[0],
        f"twice the learning_rate moves the weights by {moves[1]:.4g} instead of {moves[0]:.4g}",
    )
    sizes = {}
    for prior in (False, True):
        model = network()
        optimizer, before = made(part, model, weight_prior=prior), weights(model)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        sizes[prior] = sum(w.abs().sum().item() for w in weights(model)) / sum(w.abs().sum().item() for w in before)
    require(
        abs(sizes[False] - 1) <= 1e-6,
        f"without a gradient and a prior, weights have {sizes[False]:.6g} times their size after a step",
    )
    require(
        sizes[True] < 1,
        f"with weight_prior, weights without a gradient have {sizes[True]:.6g} times their size after a step",
    )


@CHECKS
def goes_on_from_a_checkpoint(part: Part) -> None:
    """It goes on from a checkpoint with the same bits."""
    unbroken, first, second = network(), network(), network()
    optimizers = [made(part, model) for model in (unbroken, first, second)]
    take_steps(optimizers[0], unbroken, 1, 6)
    take_steps(optimizers[1], first, 1, 3)
    load_state_tensors(copy.deepcopy(state_tensors(first, optimizers[1])), second, optimizers[2])
    take_steps(optimizers[2], second, 4, 6)
    off = max((a - b).abs().max().item() for a, b in zip(weights(unbroken), weights(second), strict=True))
    require(off == 0, f"after six steps a weight differs by {off:.3g} from that of an unbroken run")


@CHECKS
def deterministic(part: Part) -> None:
    """The same steps give the same bits, and it draws no random numbers."""
    found = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before, model = torch.random.get_rng_state(), network()
            torch.random.set_rng_state(before)
            take_steps(made(part, model), model, 1, 4)
            require(torch.equal(before, torch.random.get_rng_state()), "it draws from torch's global generator")
            found.append(weights(model))
    require(all(map(torch.equal, *found)), "two runs with the same gradients end at other weights")
