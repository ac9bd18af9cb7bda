"""The table of the architectures.

`vaestudy/config/registry.py` explains the fields. This file imports nothing slow, because the flags, their help and
their error messages are made from it.
"""

from __future__ import annotations

from vaestudy.config.registry import ArchitectureSpec

ROOM = "vaestudy.model.architectures"

ARCHITECTURES = (
    ArchitectureSpec("mlp", f"{ROOM}.mlp:MLP", sizes=f"{ROOM}.sizes:mlp_sizes"),
    # A draw has five times the activations of the MLP's; with a fifth of the rows they need the same memory.
    ArchitectureSpec("conv", f"{ROOM}.conv:Conv", sizes=f"{ROOM}.sizes:conv_sizes", rows=2_000),
)
