"""The choice of the matrix library: it never changes results by more than float32 rounding, else it is undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vaestudy.config.image_shape import DIGIT
from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import load_splits
from vaestudy.scoring import bounds
from vaestudy.training import backend, train


@pytest.fixture(autouse=True)
def restore() -> None:
    yield
    backend._switch(backend.DEFAULT)


def test_products_are_float32_exact_after_it(tiny: RunConfig) -> None:
    description = backend.configure(tiny.with_changes(hidden=(256,)), DIGIT)
    assert "default" in description or "oneDNN" in description
    for rows, a, b in ((1, 784, 256), (37, 784, 256), (1000, 256, 784), (50, 4, 256)):
        assert backend._error.__wrapped__(rows, a, b, 1) < backend.FLOAT32_ERROR


def test_a_processor_that_rounds_is_left_alone(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_is_amd", lambda: True)
    monkeypatch.setattr(backend, "_error", lambda *shape: 3e-3)
    if not backend._switch(backend.DEFAULT):
        pytest.skip("this torch has no such switch")
    assert "relative error would be 3.0e-03" in backend.configure(tiny, DIGIT)
    assert torch.backends.mkldnn.matmul.fp32_precision == backend.DEFAULT


def test_other_processors_keep_the_default(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_is_amd", lambda: False)
    assert backend.configure(tiny, DIGIT) == "torch's default in float32"


def test_bfloat16_would_be_noticed() -> None:
    """bfloat16 exceeds the threshold by a factor above 100, so the threshold separates it from float32."""
    a, b = torch.randn(100, 784), torch.randn(784, 256)
    rounded = (a.bfloat16() @ b.bfloat16()).float()
    exact = a.double() @ b.double()
    assert (rounded - exact).norm() / exact.norm() > 100 * backend.FLOAT32_ERROR


PAGES = """
import resource, torch
from vaestudy.training import backend

kept = backend.keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(64 * 2**20 // 4).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(kept, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_is_used_again() -> None:
    """A large tensor reuses the pages of a freed tensor of the same size.

    The test runs in a separate process, because the earlier use of malloc decides where the next block comes from.
    """
    done = subprocess.run([sys.executable, "-c", PAGES], check=True, capture_output=True, text=True)
    kept, faults = done.stdout.split()
    if kept == "False":
        pytest.skip("another C library")
    assert int(faults) < 64 * 2**20 / 4096  # the pages of one tensor; 20 are allocated


SUBNORMAL = 1e-40
"""Between 0 and the smallest normal number of float32, 1.2e-38."""


def doubled() -> float:
    return (torch.tensor(SUBNORMAL) * 2).item()


def test_subnormals_are_zero_in_the_block_alone(tiny: RunConfig) -> None:
    assert doubled() > 0
    with backend.subnormals_as_zero(tiny):
        assert doubled() == 0
    assert doubled() > 0
    with pytest.raises(KeyError), backend.subnormals_as_zero(tiny):
        raise KeyError
    assert doubled() > 0


def test_several_threads_keep_subnormals(tiny: RunConfig) -> None:
    with backend.subnormals_as_zero(tiny.with_changes(threads=2)):
        assert doubled() > 0


def test_steps_take_subnormals_as_zero_and_scores_do_not(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = load_splits(tiny, Path()), {"step": set[bool](), "score": set[bool]()}
    objective, scored = train.loss, bounds.elbo_terms

    def loss(*arguments: object) -> torch.Tensor:
        seen["step"].add(doubled() > 0)
        return objective(*arguments)

    def elbo_terms(*arguments: object) -> object:
        seen["score"].add(doubled() > 0)
        return scored(*arguments)

    monkeypatch.setattr(train, "loss", loss)
    monkeypatch.setattr(bounds, "elbo_terms", elbo_terms)
    train.train(tiny, data)
    assert seen == {"step": {False}, "score": {True}}
