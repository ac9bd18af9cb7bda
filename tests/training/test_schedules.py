"""The schedules of the step size: exact values in each epoch, what is refused, and that training uses them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import optim

from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput
from vaestudy.training import train as training
from vaestudy.training.schedules import make_schedule
from vaestudy.training.train import run_notices


def factors(epochs: int, **changes: Any) -> list[float]:
    """Return the factor of each epoch."""
    return list(map(make_schedule(RunConfig(epochs=epochs, **changes)), range(1, epochs + 1)))


def test_constant() -> None:
    assert factors(5) == [1.0] * 5


def test_cosine() -> None:
    assert factors(4, schedule="cosine") == pytest.approx([1, (2 + math.sqrt(2)) / 4, 1 / 2, (2 - math.sqrt(2)) / 4])


@pytest.mark.parametrize("times", [1, 2, 5])
def test_iwae_has_its_published_stages(times: int) -> None:
    """3^i passes at 10^(-i/7), i = 0..7: 3,280 in all; in a longer run each stage is longer by the same factor."""
    assert sum(3**i for i in range(8)) == 3280
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(3**i * times)]
    assert factors(3280 * times, schedule="iwae") == expected


def test_drops_of_a_published_run() -> None:
    """10^(-1/5) after 200 and after 350 of 500 epochs."""
    found = factors(500, schedule="drops", lr_drops=(200, 350), lr_drop_factor=10**-0.2)
    lengths = [(value, len(list(group))) for value, group in itertools.groupby(found)]
    assert lengths == [(1.0, 200), (10**-0.2, 150), ((10**-0.2) ** 2, 150)]


def test_drops_are_those_of_torch() -> None:
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    twin = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3, 4, 9], gamma=0.3)
    expected = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        twin.step()
    found = factors(12, schedule="drops", lr_drops=(1, 3, 4, 9), lr_drop_factor=0.3)
    assert found == pytest.approx(expected, rel=1e-14)


def test_training_uses_the_schedule(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.with_changes(
        epochs=4, schedule="drops", lr_drops=(1, 3), lr_drop_factor=0.5, learning_rate=0.008, lr_scaling="linear"
    )
    rates: list[float] = []
    train_epoch = training._train_epoch

    def spied(model: Any, gradient: Any, images: Any, optimizer: optim.Optimizer, *others: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return train_epoch(model, gradient, images, optimizer, *others)

    monkeypatch.setattr(training, "_train_epoch", spied)
    training.train(config, datasets.load_splits(config, Path()))
    assert rates == pytest.approx([0.004, 0.002, 0.002, 0.001])  # M = 50 halves the step size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "drops"}, "schedule drops: takes one or more epochs after which it drops, in lr_drops"),
        ({"lr_drops": (3, 5)}, "lr_drops 3 5: drops the step size, so schedule must be drops, not constant"),
        ({"schedule": "iwae", "lr_drop_factor": 0.5}, "lr_drop_factor 0.5: .* schedule must be drops, not iwae"),
        ({"schedule": "drops", "lr_drops": (5, 3)}, "lr_drops 5 3: must increase from one to the next"),
        ({"schedule": "drops", "lr_drops": (3, 3)}, "lr_drops 3 3: must increase"),
        ({"schedule": "drops", "lr_drops": (0,)}, "lr_drops .*1 or more"),
        ({"schedule": "drops", "lr_drops": (3,), "lr_drop_factor": 1.0}, "lr_drop_factor 1.0: .*below 1"),
        ({"schedule": "drops", "lr_drops": (3,), "lr_drop_factor": 0.0}, "lr_drop_factor 0.0: .*above 0"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        RunConfig().with_changes(**changes)


def test_drops_after_the_end_are_remarked_on(tiny: RunConfig) -> None:
    data = datasets.load_splits(tiny, Path())
    late = tiny.with_changes(epochs=3, schedule="drops", lr_drops=(2, 3, 40))
    (line,) = run_notices(late, data)
    assert line == "--lr-drops 3 40: not reached, as the run ends after 3 epochs"
    assert run_notices(late.with_changes(epochs=41), data) == []


def test_keys_of_earlier_results_stay() -> None:
    assert RunConfig().key == RunConfig(lr_drops=(), lr_drop_factor=0.1).key == "826c69d816dfde64"
    runs = [RunConfig(schedule="drops", lr_drops=(drop,), lr_drop_factor=f) for drop in (1, 2) for f in (0.1, 0.2)]
    assert len({run.key for run in (RunConfig(), *runs)}) == 5
