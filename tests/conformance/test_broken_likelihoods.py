"""A likelihood of a user that is right passes every check; one that is wrong in one way fails the check of that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.parts import failures, outcomes
from vaestudy import Likelihood, Scaled
from vaestudy.conformance.check import Status
from vaestudy.conformance.kinds import KINDS

DECLARED = {
    "family": "density",
    "support": "the real line",
    "limits": (0.001, 10.0),
    "refusals": dict.fromkeys(("binarised", "stochastic", "binarised-once"), "a density is no probability"),
}


class Laplace(Scaled):
    """exp(-|x - m| / s) / (2 s), as a user would write it."""

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        m, t = self.parts(head, log_guard)
        return (-(x - m).abs() * (-t).exp() - t - math.log(2)).sum(-1)

    def mean(self, head: Tensor) -> Tensor:
        return self.parts(head)[0]

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        m, t = self.parts(head)
        u = torch.rand(m.shape, generator=generator, dtype=m.dtype) - 0.5
        return m - t.exp() * u.sign() * torch.log1p(-2 * u.abs())

    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        m, t = self.parts(head)
        z = (x - m) * (-t).exp()
        return 0.5 + 0.5 * z.sign() * -torch.expm1(-z.abs())


class Doubled(Laplace):
    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return super().log_prob(x, head, log_guard) + math.log(2) * x.shape[-1]


class Halved(Laplace):
    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return super().log_prob(x, head, log_guard) - math.log(2) * x.shape[-1]


class NanSlopeAtZero(Laplace):
    def parts(self, head: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        m, t = super().parts(head, log_guard)
        m = m * 1
        return m, t

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        m, t = self.parts(head, log_guard)
        if m.requires_grad:
            m.register_hook(lambda slope: torch.where(x == 0, math.nan, slope))
        return (-(x - m).abs() * (-t).exp() - t - math.log(2)).sum(-1)


class WrongShape(Laplace):
    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return super().sample(head, generator)[..., None]


class TooWide(Laplace):
    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        m = self.mean(head)
        return m + 2 * (super().sample(head, generator) - m)


class WrongMean(Laplace):
    def mean(self, head: Tensor) -> Tensor:
        return super().mean(head) + 1


class WrongSlope(Laplace):
    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        value = super().log_prob(x, head, log_guard)
        return value.detach() + 2 * (value - value.detach())


class GlobalNoise(Laplace):
    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return super().sample(head, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))


class Forgetful(Laplace):
    scale = 1.0

    def fit_scale(self, mean_square: Any) -> None:
        self.scale = 2.0

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        m, t = self.parts(head, log_guard)
        t = t + math.log(self.scale)
        return (-(x - m).abs() * (-t).exp() - t - math.log(2)).sum(-1)


class Coupled(Laplace):
    """An image takes a little from the mean of its minibatch."""

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        value = super().log_prob(x, head, log_guard)
        return value + 1e-3 * (x.mean() - x.mean(-1))


class Coarse(Laplace):
    """It computes in half precision."""

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        value = super().log_prob(x, head, log_guard)
        return value if value.dtype == torch.float64 else value.bfloat16().float()


class Raising(Laplace):
    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        raise NotImplementedError("no closed form")


def all_but(*kept: str) -> tuple[str, ...]:
    """Return the names of a likelihood's checks, without some."""
    return tuple(check.name for check in KINDS["likelihood"].load_checks() if check.name not in kept)


EDGE = ("finite", "finite_with_every_sigma")


def test_one_that_is_right_passes() -> None:
    found = outcomes("likelihood", Laplace, **DECLARED)
    assert [(o.check.name, o.found) for o in found if o.status is Status.FAILED] == []
    assert sum(outcome.status is Status.PASSED for outcome in found) >= 14


@pytest.mark.parametrize(
    ("broken", "checks", "words"),
    [
        (Doubled, ("integrates_to_one", "no_more_than_the_cell"), "the integral over [0, 1] is "),
        (Halved, ("integrates_to_one",), "by its cdf, with the default options"),
        (NanSlopeAtZero, EDGE, "the gradient is nan at the pixel 0 with the decoder's outputs"),
        (WrongShape, ("shapes",), "sample of a head [3, 5, 12] has the shape [3, 5, 6, 1], not [3, 5, 6]"),
        (TooWide, ("samples_follow_cdf",), "of a pixel's samples are below"),
        (WrongMean, ("sample_has_the_mean",), "standard errors apart"),
        (WrongSlope, ("gradient",), "by finite differences"),
        (GlobalNoise, ("deterministic",), "sample draws from torch's global generator"),
        (Forgetful, ("comes_back",), "log_prob of the loaded one differs by "),
        (Coarse, ("float32_is_float64",), "in float32 and"),
        (Raising, ("shapes",), "its code raised NotImplementedError: no closed form"),
    ],
)
def test_one_that_is_wrong_fails_the_check_of_it(broken: type[Likelihood], checks: tuple[str, ...], words: str) -> None:
    found = failures("likelihood", broken, **DECLARED)
    assert set(found) == set(checks)
    assert words in found[checks[0]]


def test_images_that_are_coupled() -> None:
    """What couples images has no integral of its own, either."""
    found = failures("likelihood", Coupled, leave=("integrates_to_one", "no_more_than_the_cell"), **DECLARED)
    assert set(found) == {"independent"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refusals": {}}, "refusals lacks binarised, stochastic, binarised-once"),
        ({"family": "densty"}, "family is 'densty'; choose from: bernoulli, density, mass"),
        ({"most_heads": 1}, "heads is 2 with the default options, but most_heads is 1"),
        ({"limits": (10.0, 0.001)}, "they must be above 0 and increase"),
    ],
)
def test_a_declaration_that_is_wrong(changes: dict[str, Any], words: str) -> None:
    """Only this check is made, as others depend on what is declared."""
    found = failures("likelihood", Laplace, all_but("builds", "declares_itself"), **DECLARED | changes)
    assert words in found["declares_itself"]


def test_scores_of_its_own_are_those_that_it_declares() -> None:
    declared = DECLARED | {"metrics": ("width",)}
    found = failures("likelihood", Laplace, all_but("builds", "declares_its_scores"), **declared)
    assert found == {"declares_its_scores": "scores returns [] and metrics declares ['width']"}


def test_where_it_failed() -> None:
    outcome = next(o for o in outcomes("likelihood", Raising, **DECLARED) if o.status is Status.FAILED)
    file, line = outcome.where.split(":")
    assert file == "tests/conformance/test_broken_likelihoods.py"
    assert "raise NotImplementedError" in Path(__file__).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert outcome.trace.splitlines()[-1] == "NotImplementedError: no closed form"
