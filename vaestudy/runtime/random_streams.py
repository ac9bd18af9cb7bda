"""Random streams with names, so that random numbers do not depend on the order of the computations.

A stream is a `torch.Generator` whose seed is a hash of the stream's name. The noise of epoch 7 can be drawn without
running epochs 1 to 6. Two arms of a study with the same seed use the same noise. A new stream changes no other stream.
"""

from __future__ import annotations

import hashlib

import torch


def stream(*name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator for one stream, in its initial state.

    Args:
        name: the parts of the stream's name, e.g. `stream(seed, "epsilon", epoch)`.
        device: the device of the generator.
    """
    digest = hashlib.sha256("/".join(f"{type(part).__name__}:{part}" for part in name).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
