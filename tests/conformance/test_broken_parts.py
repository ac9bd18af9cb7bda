"""A part of a user of any kind that is wrong in one way fails the check of that, and no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn, optim

from tests.support.parts import failures, outcomes
from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Status
from vaestudy.data import pixels
from vaestudy.data.sources import Split
from vaestudy.errors import BadInput
from vaestudy.model.architectures.mlp import MLP, Dense
from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.sigma import Bounded, Sigma, Softplus
from vaestudy.model.terms import Terms
from vaestudy.reporting.tables.summary import Table
from vaestudy.run.figures import FigureInputs
from vaestudy.runtime.random_streams import stream
from vaestudy.training import objectives, optimizers
from vaestudy.training.objectives import Estimate

SIZES = "vaestudy.model.architectures.sizes:mlp_sizes"
LONG = ("an_epoch_raises_the_bound",)


class NaiveSoftplus(Softplus):
    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return 2 * nn.functional.softplus(output + self.SHIFT).log()


class Fixed(Sigma):
    """Its inverse is that of another formula."""

    def log_variance(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        return 2 * output

    def inverse(self, sigma: float) -> float:
        return 2 * math.log(sigma)


class IgnoresTheSeed(MLP):
    def encoder(self) -> Dense:
        made = super().encoder()
        with torch.no_grad():
            for i, layer in enumerate(made):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=stream("fixed", i)) * 0.05)
        return made


class WithBatchNorm(MLP):
    def encoder(self) -> Dense:
        made = super().encoder()
        norm = nn.BatchNorm1d(self.shape.pixels, affine=False, track_running_stats=False)
        made.register_forward_pre_hook(lambda module, given: (norm(given[0]) if len(given[0]) > 1 else given[0],))
        return made


class GreyOnly(MLP):
    def __init__(self, config: RunConfig, shape: ImageShape, likelihood: Likelihood) -> None:
        if shape.channels != 1:
            raise BadInput("only for grey images")
        super().__init__(config, shape, likelihood)


def negative(epoch: int, epochs: int) -> float:
    return math.cos(math.pi * (epoch - 1) / epochs)


class Counts:
    """A schedule that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, epoch: int, epochs: int) -> float:
        self.calls += 1
        return 1 / self.calls


class Restless(optim.SGD):
    """It counts its steps outside its state, and takes smaller ones."""

    count = 0

    def step(self, closure: Any = None) -> None:
        self.count += 1
        kept = self.param_groups[0]["lr"]
        self.param_groups[0]["lr"] = kept / self.count**0.5
        super().step()
        self.param_groups[0]["lr"] = kept


def _decay(config: RunConfig, images: int) -> float:
    return 1 / images if config.weight_prior else 0.0


def restless(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    return Restless(model.parameters(), config.learning_rate, weight_decay=_decay(config, images))


def uphill(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    return optim.SGD(model.parameters(), config.learning_rate, weight_decay=_decay(config, images), maximize=True)


def without_prior(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    return optimizers.rmsprop(model, config.with_changes(weight_prior=False), images)


def half_kl(t: Terms) -> Estimate:
    made = objectives.sgvb_b(t)
    return replace(made, objective=made.log_likelihood - 0.5 * made.kl)


def no_kl(t: Terms) -> Estimate:
    made = objectives.sgvb_b(t)
    return replace(made, kl=torch.zeros_like(made.kl))


def downwards(t: Terms) -> Estimate:
    made = objectives.sgvb_b(t)
    return replace(made, objective=objectives.with_gradient_of(made.objective, -made.objective))


def of_the_minibatch(t: Terms) -> Estimate:
    made = objectives.sgvb_b(t)
    return replace(made, objective=made.objective + 0.1 * (made.kl - made.kl.mean()) - 1)


def too_bright(images: Tensor, generator: torch.Generator) -> Tensor:
    return images.float() / 250


def in_place(images: Tensor, generator: torch.Generator) -> Tensor:
    images[:, 2] = 0
    return pixels.grey(images, generator)


def unnamed_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    return (images.float() + torch.rand(images.shape)) / 256


class Squares:
    """A data set of 8 x 8 images."""

    top, repeats = 255, False

    def present(self, root: Path) -> bool:
        return True

    def verify(self, root: Path) -> None:
        pass

    def read(self, root: Path) -> tuple[Split, Split]:
        g = stream("squares")
        images = torch.randint(0, self.top + 1, (50, 64), generator=g, dtype=torch.uint8)
        return Split(images[:40], None), Split(images[:10] if self.repeats else images[40:], None)


class Binary(Squares):
    top = 1


class Repeated(Squares):
    repeats = True


class Changing(Squares):
    def read(self, root: Path) -> tuple[Split, Split]:
        train, test = super().read(root)
        return Split(train.images[torch.randperm(40)], None), test


DATA = {"train_size": 40, "valid_size": 4, "epochs": 1, "shape": ImageShape(8, 8)}


def needs_labels(p: FigureInputs) -> Figure:
    figure = Figure()
    assert p.labels is not None
    figure.add_subplot().plot(p.labels)
    return figure


def random_picture(p: FigureInputs) -> Figure:
    figure = Figure()
    figure.add_subplot().plot(np.random.default_rng().random(5))
    return figure


def numbers_as_text(runs: pd.DataFrame, study: Any) -> Table:
    """The runs"""
    return Table(runs[["test/elbo"]], runs[["test/elbo"]], [])


def adds_a_column(runs: pd.DataFrame, study: Any) -> Table:
    """The runs"""
    runs["mine"] = 1
    return Table(runs[["mine"]], runs[["mine"]].astype(str), [])


def no_figure(runs: pd.DataFrame, study: Any) -> str:
    return "a picture"


def of_no_study(runs: pd.DataFrame, study: Any) -> None:
    return None


def shifted(h: Tensor) -> Tensor:
    return h + h.mean()


def exploding(h: Tensor) -> Tensor:
    return h.exp()


def zeros(layer: Any) -> None:
    nn.init.zeros_(layer.weight)


def plus_one(M: int) -> float:
    return 1 + M / 100


BROKEN: list[tuple[str, Any, dict[str, Any], dict[str, str]]] = [
    ("sigma", NaiveSoftplus, {}, {"finite": "for output -300"}),
    ("sigma", Fixed, {}, {"inverse": "the sigma of inverse(", "floor_and_ceiling": "", "in_an_encoder": ""}),
    (
        "architecture",
        IgnoresTheSeed,
        {"sizes": SIZES},
        {"seed_determines_the_weights": "equal weights for seeds 5 and 6"},
    ),
    ("architecture", WithBatchNorm, {"sizes": SIZES}, {"images_are_independent": "mu of an image alone differs by"}),
    ("architecture", GreyOnly, {"sizes": SIZES}, {}),
    ("architecture", MLP, {}, {"declared_sizes": "no `sizes`"}),
    ("schedule", negative, {}, {"finite_and_not_negative": "the factor of epoch 3 of 3 is -0.5"}),
    ("schedule", Counts(), {}, {"epoch_alone_decides": "in a run from the start, "}),
    ("optimizer", restless, {}, {"goes_on_from_a_checkpoint": "after six steps a weight differs by"}),
    ("optimizer", uphill, {}, {"reduces_a_quadratic": "at the start and"}),
    ("optimizer", without_prior, {}, {"follows_the_configuration": "weights without a gradient have 1 times"}),
    ("estimator", half_kl, {}, {"is_a_bound": "nats where log p(x) is"}),
    ("estimator", no_kl, {}, {"records_the_parts": "the mean of kl is 0.0000"}),
    ("estimator", downwards, {}, {"gradient_points_upwards": "nats per unit"}),
    ("estimator", of_the_minibatch, {}, {"images_are_independent": "of an image alone differs by"}),
    ("estimator", objectives.iwae, {"takes_free_bits": True}, {"takes_free_bits": "unexpected keyword argument"}),
    ("estimator", objectives.sgvb_a, {"importance_weighted": True}, {"tighter_if_declared": "and the ELBO"}),
    ("pixel-protocol", too_bright, {}, {"in_the_unit_interval": "x is 0 to 1.02"}),
    ("pixel-protocol", in_place, {}, {"leaves_the_images": "changes the stored images"}),
    ("pixel-protocol", unnamed_noise, {}, {"own_generator": "torch's global generator"}),
    ("dataset", Squares, DATA, {}),
    ("dataset", Squares, DATA | {"train_size": 41}, {"declares_its_sizes": "train_size is 41, and there are 40"}),
    ("dataset", Squares, DATA | {"shape": ImageShape(9, 8)}, {"images_have_the_declared_shape": "has 72 values"}),
    ("dataset", Binary, DATA, {"images_use_the_bytes": "white is 255, not 1"}),
    ("dataset", Repeated, DATA, {"splits_are_disjoint": "10 of the 10 test images are train images, too"}),
    ("dataset", Changing, DATA, {"same_content_twice": "train images differ"}),
    ("figure", needs_labels, {}, {"draws": "its code raised AssertionError"}),
    ("figure", random_picture, {}, {"same_picture_twice": "differs when it is drawn again"}),
    ("study-figure", no_figure, {}, {"draws": "it returns a str"}),
    ("study-table", of_no_study, {}, {"makes_a_table": "it returns None for all studies"}),
    ("study-table", numbers_as_text, {}, {"rows_fit": "the column 'test/elbo' of the text has"}),
    ("study-table", adds_a_column, {}, {"leaves_its_inputs": "changes the runs"}),
    ("activation", shifted, {}, {"acts_on_each_value": "a value among others differs by"}),
    ("activation", exploding, {}, {"finite": "the value at 10000 is not finite"}),
    (
        "init",
        zeros,
        {},
        {"breaks_the_symmetry": "have the same weights", "seed_determines_the_weights": "for two seeds"},
    ),
    ("learning-rate-scaling", plus_one, {}, {"one_at_the_reference": "the factor of M=100 is 2"}),
]
"""Kind, part, fields of its declaration -> the checks that fail, with words of what was found."""


def _name(of: Any) -> str:
    return getattr(of, "__name__", type(of).__name__) if isinstance(of, Callable) else ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "part", "fields", "expected"), BROKEN, ids=[f"{c[0]}-{_name(c[1])}-{i}" for i, c in enumerate(BROKEN)]
)
def test_it_fails_the_check_of_what_is_wrong(
    kind: str, part: Any, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    found = failures(kind, part, LONG, **fields)
    assert set(found) == set(expected), found
    for name, words in expected.items():
        assert words in found[name]


def test_a_sigma_that_is_never_one() -> None:
    """The check of the gradient where sigma is 1 says that it was not made."""
    found = {outcome.check.name: outcome for outcome in outcomes("sigma", Bounded, bounds=(0.001, 0.9))}
    outcome = found["gradient_at_the_start"]
    assert (outcome.status, outcome.found) == (Status.LEFT_OUT, "sigma is never 1: its bounds are 0.001 and 0.9")
