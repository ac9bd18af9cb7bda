"""How much memory a run takes and how much there is: known before torch is imported, so that nothing is killed midway.

Shapes: L samples, M minibatch, D latent dimensions, P = 784 pixels. The decoder's activations would be by far the most,
so a step keeps those of `rows` of its L M draws at once (`estimators.terms`); what is left grows slowly with L and M.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from vaestudy.config.registry import DATASETS, LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.model.chunking import max_rows

REPEATS = 4
"""Gradients of one image with fresh draws, where variances are measured."""

FLOAT = 4
PIXELS = 784
PROCESS = 800 * 2**20  # torch, and a data set while its bytes are fingerprinted
CGROUP = Path("/sys/fs/cgroup")


def most_heads(config: RunConfig) -> int:
    """The most outputs per pixel that the likelihood may have: as declared, else HEADS."""
    return LIKELIHOODS[config.likelihood].most_heads


def estimate_bytes(config: RunConfig) -> dict[str, int]:
    """Bytes that a run takes, by the flags that decide each part; "" is what every run takes."""
    H, D, L, heads = config.hidden, config.latent_dim, config.samples, most_heads(config)
    M = min(config.minibatch, DATASETS[config.dataset].train_size if config.dataset != "auto" else 60_000)
    encoder, decoder = (PIXELS, *H, 2 * D), (D, *H[::-1], heads * PIXELS)
    weights = sum(a * b for a, b in [*pairwise(encoder), *pairwise(decoder)])
    kept = min(L * M, max_rows(heads))
    row = FLOAT * (4 * heads * PIXELS + 3 * sum(H))
    batch, draws = f"--minibatch {config.minibatch}", f"--samples {L}"
    parts = {
        # A second time where chunks are computed again.
        "": PROCESS + kept * row * (2 if max_rows(heads) < L * M else 1),
        f"--latent-dim {D} with --hidden {' '.join(map(str, H))}": 6
        * FLOAT
        * weights,  # with gradients, two moments and copies
        batch: M * FLOAT * (3 * PIXELS + 3 * sum(H)),
        f"{draws} with {batch}": L * M * FLOAT * (36 * D + 20),
    }
    if config.gradient_images:
        draws_at_once = max(max_rows(heads), REPEATS * L)
        each = FLOAT * ((sum(encoder) + sum(decoder)) * 2 + 3 * REPEATS * L)
        parts[f"{draws} with --gradient-images"] = draws_at_once * each
    return parts


def available() -> int:
    """Bytes that this process and its children may still take."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")))
    with contextlib.suppress(OSError, ValueError):  # no such group, or it has no limit ("max")
        limit = int((CGROUP / "memory.max").read_text())
        found.append(limit - int((CGROUP / "memory.current").read_text()))
    return min(found) if found else 2**63


def require_memory(configs: Iterable[RunConfig], at_once: int = 1) -> None:
    """Refuse runs that this machine's memory does not hold, `at_once` of them beside each other.

    Raises:
        BadInput: the largest would not fit.
    """
    parts = max((estimate_bytes(config) for config in configs), key=lambda parts: sum(parts.values()))
    need, there = sum(parts.values()) * at_once, available()
    if need <= there:
        return
    flags = max((name for name in parts if name), key=lambda name: parts[name])
    several = f" ({at_once} at once)" if at_once > 1 else ""
    raise BadInput(
        f"{flags}: a run{several} would take about {_gib(need)}, {_gib(parts[flags] * at_once)} of it by these, "
        f"and {_gib(there)} are available"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
