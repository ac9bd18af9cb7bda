"""The choice of library never changes results beyond float32's rounding, and is undone where it would."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vaestudy.config.run_config import RunConfig
from vaestudy.training import backend


@pytest.fixture(autouse=True)
def restore() -> None:
    yield
    backend._switch(backend.DEFAULT)


def test_products_are_float32_exact_after_it(tiny: RunConfig) -> None:
    words = backend.configure(tiny.with_changes(hidden=(256,)))
    assert "default" in words or "oneDNN" in words
    for rows, a, b in ((1, 784, 256), (37, 784, 256), (1000, 256, 784), (50, 4, 256)):
        assert backend._error.__wrapped__(rows, a, b, 1) < backend.FLOAT32_ERROR


def test_a_processor_that_rounds_is_left_alone(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_is_amd", lambda: True)
    monkeypatch.setattr(backend, "_error", lambda *shape: 3e-3)
    if not backend._switch(backend.DEFAULT):
        pytest.skip("this torch has no such switch")
    assert "relative error would be 3.0e-03" in backend.configure(tiny)
    assert torch.backends.mkldnn.matmul.fp32_precision == backend.DEFAULT


def test_other_processors_keep_the_default(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_is_amd", lambda: False)
    assert backend.configure(tiny) == "torch's default in float32"


def test_bfloat16_would_be_noticed() -> None:
    """The threshold tells float32 from bfloat16 by three orders of magnitude."""
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
    """No page of a large tensor is fetched anew for the next of its size; in a process of its own, as a heap's past
    decides where the next block comes from."""
    done = subprocess.run([sys.executable, "-c", PAGES], check=True, capture_output=True, text=True)
    kept, faults = done.stdout.split()
    if kept == "False":
        pytest.skip("another C library")
    assert int(faults) < 64 * 2**20 / 4096  # of 20 such tensors
