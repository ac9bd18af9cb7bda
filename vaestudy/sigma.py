"""SIGMAS: name -> how a head's raw output becomes a scale.

A member takes the raw output [..., D] and returns (sigma, log_variance), both [..., D]: the factor of the noise and
ln sigma^2, each computed in the way that is exact for the parameterisation. sigma may be negative where the
parameterisation allows it, since only sigma * eps and sigma^2 are ever used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Sigma = Callable[[Tensor, float], tuple[Tensor, Tensor]]


def raw(output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
    """sigma = the output itself, of either sign (the article's); ln(sigma^2 + log_guard)."""
    return output, torch.log(output.square() + log_guard)


def log_variance(output: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
    """ln sigma^2 = the output (Kingma & Welling 2013, appendix C.2). No logarithm is taken, so none is guarded."""
    return torch.exp(0.5 * output), output


SIGMAS: dict[str, Sigma] = {
    "raw": raw,
    "log-variance": log_variance,
}
