"""Random streams named by what they are for, so that nothing depends on the order in which things happen.

A stream is a `torch.Generator` seeded by a hash of its name. The noise of epoch 7 can be had without running epochs
1 to 6, two arms of a study that share a seed share their noise, and adding a stream never shifts another.
"""

from __future__ import annotations

import hashlib

import torch


def stream(*name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for the stream called `name`, e.g. `stream(seed, "epsilon", epoch)`."""
    digest = hashlib.sha256("/".join(f"{type(part).__name__}:{part}" for part in name).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
