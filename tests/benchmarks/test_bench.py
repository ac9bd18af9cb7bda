"""Tests of the benchmark: floors multiply the same matrices as the model; the plain loop sees the same images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Subset
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks import bench, floors, layers_alone, plain_loop
from tests.benchmarks.timing import ratios
from vaestudy.config.registry import ARCHITECTURES, DATASETS, LIKELIHOODS, OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.vae import VAE
from vaestudy.runtime import addresses
from vaestudy.scoring import hmc
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.training import train


class OneModule:
    """The modules that a `FlopCounterMode` counts for, without their hooks: all operations are those of one module."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("changes", [{}, {"samples": 3}, {"hidden": (20, 30), "latent_dim": 2, "second_biases": True}])
def test_the_floor_multiplies_what_a_step_multiplies(tiny: RunConfig, changes: dict) -> None:
    config = tiny.with_changes(**changes)
    images = datasets.load_splits(config, Path()).train.images[: config.minibatch]
    model = VAE(config)
    optimizer, gradient = OPTIMIZERS.load("adam")(model, config, len(images)), train.make_gradient(model)
    train._train_epoch(model, gradient, images, optimizer, 1)
    with FlopCounterMode(display=False) as step:
        train._train_epoch(model, gradient, images, optimizer, 2)
    with FlopCounterMode(display=False) as floor:
        floors.step_products(config)()
    assert step.get_total_flops() == floor.get_total_flops() == sum(layer.flops for layer in floors.layers(config))


def test_the_floor_of_a_score_decodes_each_draw_once(tiny: RunConfig) -> None:
    with FlopCounterMode(display=False) as floor:
        floors.draws_products(tiny, 3_000)()
    assert floor.get_total_flops() == 2 * 3_000 * (4 * 32 + 32 * 784)


def test_the_floor_of_a_gradient_in_z_is_what_annealing_multiplies(tiny: RunConfig) -> None:
    x = datasets.load_splits(tiny, Path()).test.images[:2] / 255
    target = hmc.LogLikelihood(hmc.frozen(VAE(tiny)), x)
    slope, floor = FlopCounterMode(display=False), FlopCounterMode(display=False)
    slope.mod_tracker = OneModule()  # its own cannot follow a gradient in an input that is a leaf
    with slope:
        target.slope(torch.zeros(5, 2, 4))
    with floor:
        floors.slope_products(tiny, 10)()
    assert slope.get_total_flops() == floor.get_total_flops() == 2 * 2 * 10 * (4 * 32 + 32 * 784)


def test_floors_are_stated_for_likelihoods_that_are_there(tiny: RunConfig) -> None:
    assert set(floors.SPECIALS) <= set(LIKELIHOODS)
    for name in LIKELIHOODS:
        floors.step_specials(tiny.with_changes(likelihood=name, pixels=floors.pixels(name)))()


def test_the_plain_loop_sees_the_same_images_and_learns() -> None:
    digits = plain_loop.Digits(Path())
    images = DATASETS.load("mnist-5k").read(Path())[0].images
    torch.testing.assert_close(digits[7][0].view(-1), images[7].float() / 255)
    torch.manual_seed(0)
    model = plain_loop.Plain()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Subset(digits, range(500)), batch_size=100, shuffle=True)
    losses = [plain_loop.run_epoch(model, loader, optimizer) for _ in range(3)]
    assert losses[-1] < losses[0]


def test_bfloat16_rounds_products_and_is_undone(tiny: RunConfig) -> None:
    model, z = VAE(tiny), torch.randn(50, 4)
    exact = model.decode(z)
    with bench.bfloat16():
        rounded = model.decode(z)
        rounded.sum().backward()
    assert rounded.dtype == torch.float32
    assert 1e-4 < (rounded - exact).norm() / exact.norm() < 2e-2
    assert all(p.grad is not None for p in model.decoder.parameters())
    assert torch.equal(model.decode(z), exact)


def test_what_a_run_spends_beside_its_work(mlruns: Path) -> None:
    tracker = Tracker(addresses.database_uri(mlruns / "mlflow.db"))
    run_id = tracker.start(tracker.create_experiment("a study", "", {}), "a run", {"role": "trial"})
    tracker.metrics(run_id, {"seconds/train_and_validate": 2.0, "seconds/score": 1.0})
    begun = tracker.client.get_run(run_id).info.start_time
    tracker.client.set_terminated(run_id, "FINISHED", end_time=begun + 3_500)
    ((outside, in_all),) = bench.beside(mlruns)
    assert (outside, in_all) == pytest.approx((0.5, 3.5))


def test_quartiles() -> None:
    spread = ratios([2.0, 4.0, 6.0, 8.0, 10.0], [2.0] * 5)
    assert (spread.low, spread.median, spread.high) == (2, 3, 4)


@pytest.mark.slow
def test_a_small_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--quick", "--only", "step,annealing,linear,bfloat16"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(LIKELIHOODS) + 2 + 2 + 3 + 2
    assert all(len(row) == 4 for row in rows)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_layers_alone_are_a_part_of_the_step(tiny: RunConfig, name: str) -> None:
    """The layers alone compute the gradients of all weights, and leave the weights as they are; a step changes them."""
    step, alone, model = layers_alone.step_and_layers(tiny.with_changes(architecture=name))
    before = [parameter.clone() for parameter in model.parameters()]
    assert min(layers_alone.seconds([alone], rounds=1)) > 0
    assert all(map(torch.equal, before, model.parameters()))
    assert min(layers_alone.seconds([step], rounds=1)) > 0
    assert not any(map(torch.equal, before, model.parameters()))
