"""The table of the architectures.

`vaestudy/config/registry.py` explains the fields. This file imports nothing slow, because the flags, their help and
their error messages are made from it.
"""

from __future__ import annotations

from vaestudy.config.registry import ArchitectureSpec

ROOM = "vaestudy.model.architectures"

ARCHITECTURES = (
    ArchitectureSpec("mlp", f"{ROOM}.mlp:MLP", sizes=f"{ROOM}.sizes:mlp_sizes"),
    # A draw has 3.3 times the activations of the MLP's, so 3,000 rows need the memory of its 10,000.
    ArchitectureSpec("conv", f"{ROOM}.conv:Conv", sizes=f"{ROOM}.sizes:conv_sizes", rows=3_000),
)
