"""Checks that all random numbers come from the generator that is given."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.conformance.check import require


def require_own_generator(call: Callable[[], Tensor], what: str, which: str = "") -> None:
    """Raise unless a call gives the same bits each time and leaves torch's global generator alone.

    Args:
        call: the call; it makes the generator that it needs itself.
        what: the name of what is called, for the message.
        which: which variant of the part it is, for the message.
    """
    after = f", {which}" if which else ""
    with torch.random.fork_rng(devices=[]):
        results, states = [], []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            results.append(call())
            states.append(torch.equal(before, torch.random.get_rng_state()))
    one, other = results
    require(all(states), f"{what} draws from torch's global generator{after}")
    same = torch.equal(one.nan_to_num(), other.nan_to_num())
    require(same, f"{what} gives other numbers when it is called again with the same inputs{after}")
