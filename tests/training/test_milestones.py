"""Milestones: when they are recorded, that the clock excludes scoring, and that a resumed run has the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from vaestudy.config.registry import LR_SCALINGS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.bounds import elbo_terms
from vaestudy.training import milestones as module
from vaestudy.training.checkpoint import CheckpointStore
from vaestudy.training.milestones import MilestoneRecorder
from vaestudy.training.train import train


def images_of(metrics: dict[str, float]) -> dict[int, float]:
    return {int(k.split("/")[1]): v for k, v in metrics.items() if k.endswith("/images")}


def test_taken_at_the_end_of_the_step_that_saw_them(tiny: RunConfig) -> None:
    """Two epochs of 200 images in steps of 50: the run ends at 400 images, so milestones above 400 are not reached."""
    config = tiny.with_changes(milestones=(1, 50, 60, 201, 9_999), samples=3)
    result = train(config, datasets.load_splits(config, Path()))
    assert images_of(result.milestones) == {1: 50, 50: 50, 60: 100, 201: 250, 400: 400}
    assert result.milestones["along/1/elbo"] == result.milestones["along/50/elbo"] != result.milestones["along/60/elbo"]
    assert result.milestones["along/400/seconds"] == pytest.approx(result.train_seconds, abs=0.1)
    plain = train(config.with_changes(milestones=()), datasets.load_splits(config, Path()))
    assert not plain.milestones
    assert all(torch.equal(a, b) for a, b in zip(result.model.parameters(), plain.model.parameters(), strict=True))


def test_the_bound_is_that_of_the_weights_then(tiny: RunConfig) -> None:
    config = tiny.with_changes(milestones=(400,))
    data = datasets.load_splits(config, Path())
    result = train(config, data)
    x = data.valid.images.float() / 255
    assert result.milestones["along/400/elbo"] == elbo_terms(result.model, x, 1, "valid", "along").elbo.mean().item()


def test_the_clock_stands_still_while_scoring(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    config = tiny.with_changes(milestones=(10,))
    model = VAE(config)
    recorder = MilestoneRecorder(model, torch.rand(5, 784, generator=stream("x")), 20)
    recorder.start()  # 0
    recorder.step(10)  # stops at 1, starts at 2
    recorder.step(10)  # stops at 3, starts at 4
    recorder.stop()  # 5
    assert recorder.seconds == 3
    assert recorder.metrics["along/10/seconds"] == 1
    assert recorder.metrics["along/20/seconds"] == 2
    assert time.perf_counter is module.time.perf_counter


def test_a_resumed_run_has_the_same(tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.with_changes(milestones=(60, 250, 500), gradient_images=20, epochs=3)
    data = datasets.load_splits(config, Path())
    unbroken = train(config, data)
    checkpoint_store = CheckpointStore(tmp_path, config.key)
    checkpoint_store.interval = 0.0

    class Killed(Exception):
        pass

    def kill(epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        train(config, data, kill, checkpoint_store)
    resumed = train(config, data, checkpoint_store=checkpoint_store)
    assert resumed.gradients == unbroken.gradients
    assert set(resumed.milestones) == set(unbroken.milestones)
    same = [name for name in unbroken.milestones if not name.endswith("seconds")]
    assert {k: resumed.milestones[k] for k in same} == {k: unbroken.milestones[k] for k in same}


@pytest.mark.parametrize(("rule", "factor"), [("none", 1.0), ("sqrt", 0.5), ("linear", 0.25)])
def test_step_size_grows_with_m(tiny: RunConfig, rule: str, factor: float) -> None:
    """At M=25 the step size is multiplied by the rule's factor; configuring the product gives the same bits."""
    assert LR_SCALINGS.load(rule)(25) == factor
    assert LR_SCALINGS.load(rule)(100) == 1
    config = tiny.with_changes(minibatch=25, epochs=1)
    data = datasets.load_splits(config, Path())
    scaled = train(config.with_changes(lr_scaling=rule), data).model
    outright = train(config.with_changes(learning_rate=1e-3 * factor), data).model
    assert all(torch.equal(a, b) for a, b in zip(scaled.parameters(), outright.parameters(), strict=True))
