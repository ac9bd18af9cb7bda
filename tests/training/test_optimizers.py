"""`DirectAdam` gives the same bits as torch's own Adam, and RMSprop follows its formula and torch's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from vaestudy.config.registry import OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.random_streams import stream
from vaestudy.training import optimizers
from vaestudy.training.checkpoint import load_state_tensors, state_tensors
from vaestudy.training.optimizers import DirectAdam


def take_steps(optimizer: optim.Optimizer, model: nn.Module, first: int, last: int) -> None:
    for step in range(first, last + 1):
        optimizer.param_groups[0]["lr"] = 1e-2 / step  # as a schedule does
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=stream("gradient", step, p.numel()))
        optimizer.step()


def network() -> nn.Module:
    model = nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 40))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=stream("weights", p.numel())))
    return model


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_direct_adam_is_torchs_to_the_bit(decay: float) -> None:
    ours, theirs = network(), network()
    direct = DirectAdam(ours.parameters(), 1e-2, 1e-8, decay)
    plain = optim.Adam(theirs.parameters(), 1e-2, eps=1e-8, weight_decay=decay, fused=True)
    take_steps(direct, ours, 1, 6)
    take_steps(plain, theirs, 1, 6)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    a, b = state_tensors(ours, direct), state_tensors(theirs, plain)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)  # so each can load the other's checkpoints


def test_direct_adam_goes_on_from_a_checkpoint() -> None:
    unbroken, first, second = network(), network(), network()
    make = [DirectAdam(m.parameters(), 1e-2, 1e-8, 0.0) for m in (unbroken, first, second)]
    take_steps(make[0], unbroken, 1, 6)
    take_steps(make[1], first, 1, 3)
    load_state_tensors(copy.deepcopy(state_tensors(first, make[1])), second, make[2])
    take_steps(make[2], second, 4, 6)
    assert all(map(torch.equal, unbroken.parameters(), second.parameters()))


@pytest.mark.parametrize(
    "kernel", [None, lambda *tensors: None, lambda *tensors, **rates: None], ids=["gone", "renamed", "does nothing"]
)
def test_another_torch_falls_back_to_its_public_adam(
    kernel: Callable[..., Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert optimizers.agrees()  # with the installed torch
    monkeypatch.setattr(optimizers.DirectAdam, "kernel", staticmethod(lambda: kernel))
    optimizers.agrees.cache_clear()
    try:
        assert not optimizers.agrees()
        assert type(OPTIMIZERS.load("adam")(network(), RunConfig(), 100)) is optim.Adam
    finally:
        optimizers.agrees.cache_clear()


RMSPROPS = {"rmsprop": False, "rmsprop-centred": True}
"""Name -> whether it is centred."""


@pytest.mark.parametrize("name", RMSPROPS)
@pytest.mark.parametrize("prior", [False, True])
def test_rmsprop_is_torchs_with_the_fields_of_the_configuration(name: str, prior: bool) -> None:
    config = RunConfig(optimizer=name, learning_rate=0.02, optimizer_epsilon=1e-3, weight_prior=prior)
    ours, theirs = network(), network()
    settings = {"lr": 0.02, "eps": 1e-3, "weight_decay": 1 / 50 if prior else 0.0, "centered": RMSPROPS[name]}
    take_steps(OPTIMIZERS.load(name)(ours, config, 50), ours, 1, 6)
    take_steps(optim.RMSprop(theirs.parameters(), **settings), theirs, 1, 6)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("name", RMSPROPS)
def test_rmsprop_follows_its_formula(name: str) -> None:
    """A literal twin in float64, with all that is summed written out: v and m are weighted sums of past gradients."""
    config = RunConfig(optimizer=name, learning_rate=0.02, optimizer_epsilon=1e-2)
    parameter = nn.Parameter(torch.linspace(-1, 1, 9, dtype=torch.float64))
    optimizer = OPTIMIZERS.load(name)(nn.ParameterList([parameter]), config, 50)
    expected, past = parameter.detach().clone(), []
    for step in range(1, 8):
        past.append(torch.randn(9, generator=stream("gradient", step), dtype=torch.float64))
        weights = [0.01 * 0.99 ** (step - 1 - i) for i in range(step)]
        v = sum(w * g**2 for w, g in zip(weights, past, strict=True))
        m = sum(w * g for w, g in zip(weights, past, strict=True)) if RMSPROPS[name] else 0
        expected -= 0.02 * past[-1] / ((v - m**2).sqrt() + 1e-2)
        parameter.grad = past[-1].clone()
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-12)
