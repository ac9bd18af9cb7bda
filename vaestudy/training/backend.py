"""How torch computes: threads, and which library multiplies float32 matrices. Decided by rule, checked, recorded.

Time in a step is mostly matrix products. torch gives float32 ones to MKL, which on AMD processors runs at half of what
oneDNN reaches on the same core. A public switch sends them to oneDNN, but it also *allows* bfloat16 inside, which some
processors would use. So: on AMD, switch, multiply matrices of the run's own shapes, compare with float64, and switch
back unless the error is float32's. The rule depends on the processor and on the configuration alone, never on a timing,
so the same configuration on the same processor gives the same bits.

Memory that is freed stays with the process: glibc gives large blocks back to the system at once, and a step that asks
for them again spends its time on page faults (measured: 25 % of a step at L=50).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import make_likelihood
from vaestudy.model.vae import PIXEL_COUNT

FLOAT32_ERROR = 2e-6  # measured: 3e-7 to 6e-7; with bfloat16 inside it is above 1e-3
DEFAULT, ONEDNN = "none", "bf16"
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT_BYTES = 256 * 2**20


def configure(config: RunConfig) -> str:
    """Set torch up for a run; the words that its record keeps."""
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    if torch.device(config.device).type != "cpu" or not _is_amd() or not _switch(ONEDNN):
        return "torch's default in float32"
    H = config.hidden
    heads = make_likelihood(config).heads
    widths = (PIXEL_COUNT, *H, config.latent_dim, *H[::-1], PIXEL_COUNT * heads)
    rows = min(config.minibatch * config.samples, 1000)
    error = max(_error(r, a, b, config.threads) for r in {100, rows} for a, b in pairwise(widths))
    if error > FLOAT32_ERROR:
        _switch(DEFAULT)
        return f"torch's default in float32 (oneDNN's relative error would be {error:.1e})"
    return f"oneDNN in float32 (relative error at most {error:.1e})"


@functools.cache
def keep_freed_memory() -> bool:
    """Have glibc's malloc reuse what is freed, up to KEPT_BYTES a block; False where the C library is another."""
    if not sys.platform.startswith("linux") or not hasattr(library := ctypes.CDLL(None), "gnu_get_libc_version"):
        return False
    taken = [library.mallopt(name, KEPT_BYTES) for name in (TRIM_THRESHOLD, MMAP_THRESHOLD)]
    return all(taken)  # of a list: where one is refused the other still helps


@functools.cache
def _is_amd() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "AuthenticAMD" in cpuinfo.read_text()


def _switch(precision: str) -> bool:
    """Set the public switch; False where this torch has none, or no oneDNN."""
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or not hasattr(getattr(mkldnn, "matmul", None), "fp32_precision"):
        return False
    mkldnn.matmul.fp32_precision = precision
    return True


@functools.cache
def _error(rows: int, width_in: int, width_out: int, threads: int) -> float:
    """The largest relative error, in Frobenius norm, of a layer's forward product and its two backward ones."""
    generator = torch.Generator().manual_seed(0)
    x, w, g = (
        torch.randn(shape, generator=generator)
        for shape in ((rows, width_in), (width_out, width_in), (rows, width_out))
    )
    return max(_relative(x, w.T), _relative(g.T, x), _relative(g, w))


def _relative(a: Tensor, b: Tensor) -> float:
    exact = a.double() @ b.double()
    return float((a @ b - exact).norm() / exact.norm())
