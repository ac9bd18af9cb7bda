"""Likelihoods and outputs of their heads for tests, in float64."""

from __future__ import annotations

import torch

from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import Likelihood, make_likelihood


def make(name: str, **changes: object) -> Likelihood:
    """Return the likelihood `name` in float64, with some configuration fields changed."""
    return make_likelihood(RunConfig(likelihood=name, pixels="dequantised", **changes)).double()


def constant_head(likelihood: Likelihood, values: list[float], pixels: int) -> torch.Tensor:
    """Return a head's output [1, 1, heads * pixels] that gives every pixel the same parameters."""
    v = torch.tensor(values, dtype=torch.float64)
    if likelihood.heads == 16:
        return v.repeat(pixels).view(1, 1, -1)
    return v.repeat_interleave(pixels).view(1, 1, -1)
