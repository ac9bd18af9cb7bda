"""How torch computes: the number of threads, the library that multiplies float32 matrices, and the reuse of memory.

Most of the time of a step is spent on matrix products. By default torch uses MKL for float32 products. On AMD
processors MKL reaches half the speed of oneDNN on the same core. A public switch of torch selects oneDNN, but it also
*allows* bfloat16 inside, and some processors would use it. So `configure` follows a rule. On an AMD processor:

    1. switch to oneDNN,
    2. multiply matrices of the run's own shapes and compare with float64,
    3. switch back unless the error is that of float32.

Convolutions are computed by oneDNN in float32 on all processors; the switch is not about them.

The rule depends only on the processor and on the configuration, never on a timing. So the same configuration on the
same processor gives the same bits. The choice is part of the run's record.

Freed memory stays with the process. By default glibc returns large blocks to the system at once, and a step that
allocates them again spends time on page faults (measured: 25 % of a step at L=50).

Subnormal numbers (below 1.2e-38 in float32) are taken as 0 in training steps. A unit that a large learning rate has
switched off has a gradient of exactly 0, so Adam's moments of its weights decay through these numbers, and a processor
needs a hundred cycles for each. Scores are computed without this rule.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.registry import ARCHITECTURES
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import make_likelihood

FLOAT32_ERROR = 2e-6  # measured: 3e-7 to 6e-7 in float32, above 1e-3 with bfloat16 inside
DEFAULT, ONEDNN = "none", "bf16"  # values of torch's switch
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)
KEPT_BYTES = 256 * 2**20


def configure(config: RunConfig, shape: ImageShape) -> str:
    """Set up torch for a run on images of a shape; return a description of the choice for the run's record."""
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    if torch.device(config.device).type != "cpu" or not _is_amd() or not _switch(ONEDNN):
        return "torch's default in float32"
    sizes = ARCHITECTURES[config.architecture].load_sizes()(config, shape, make_likelihood(config).heads)
    rows = min(config.minibatch * config.samples, 1000)
    error = max(_error(r, a, b, config.threads) for r in {100, rows} for a, b in sizes.affine)
    if error > FLOAT32_ERROR:
        _switch(DEFAULT)
        return f"torch's default in float32 (oneDNN's relative error would be {error:.1e})"
    return f"oneDNN in float32 (relative error at most {error:.1e})"


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc's malloc reuse freed blocks of up to KEPT_BYTES each.

    Returns:
        True if glibc accepted both settings; False if it did not, or if the C library is not glibc.
    """
    if not sys.platform.startswith("linux") or not hasattr(library := ctypes.CDLL(None), "gnu_get_libc_version"):
        return False
    accepted = [library.mallopt(name, KEPT_BYTES) for name in (TRIM_THRESHOLD, MMAP_THRESHOLD)]
    return all(accepted)  # a list, so that both calls are made: one setting helps even if the other is refused


@contextmanager
def subnormals_as_zero(config: RunConfig) -> Iterator[None]:
    """Let the processor take subnormal numbers as 0 within the block, if the run has one thread.

    Further threads keep the rule that was in force when they were made. So with several threads the bits of a run would
    depend on what was run before, and the rule is left as it is.
    """
    if config.threads != 1:
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@functools.cache
def _is_amd() -> bool:
    """Return whether the processor is made by AMD; False where /proc/cpuinfo does not exist."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "AuthenticAMD" in cpuinfo.read_text(encoding="utf-8", errors="replace")


def _switch(precision: str) -> bool:
    """Set torch's public switch; return False if this torch has no such switch or no oneDNN."""
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or not hasattr(getattr(mkldnn, "matmul", None), "fp32_precision"):
        return False
    mkldnn.matmul.fp32_precision = precision
    return True


@functools.cache
def _error(rows: int, width_in: int, width_out: int, threads: int) -> float:
    """Return the largest relative error (Frobenius norm) of a layer's forward product and its two backward products."""
    generator = torch.Generator().manual_seed(0)
    x, w, g = (
        torch.randn(shape, generator=generator)
        for shape in ((rows, width_in), (width_out, width_in), (rows, width_out))
    )
    return max(_relative(x, w.T), _relative(g.T, x), _relative(g, w))


def _relative(a: Tensor, b: Tensor) -> float:
    """Return the error of the product a b relative to float64, in Frobenius norm."""
    exact = a.double() @ b.double()
    return float((a @ b - exact).norm() / exact.norm())
