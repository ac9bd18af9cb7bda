"""What the checks of a likelihood share: its variants, a minibatch for it, and the pixels that it must know.

Shapes: L samples, M minibatch, P pixels, as in `vaestudy/model/likelihoods/base.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.config.compatibility import OPTION_DEFAULTS
from vaestudy.config.registry import LIKELIHOODS, PIXELS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import CELL_WIDTH, Likelihood, make_likelihood
from vaestudy.runtime.random_streams import stream

BINARY = ("binarised", "stochastic", "binarised-once")
"""The package's pixel protocols whose pixels are 0 or 1."""
L, M, P = 3, 5, 6


@dataclass(frozen=True)
class Variant:
    """A likelihood with one choice of its options."""

    name: str
    changes: dict[str, str]
    pixels: str
    """A pixel protocol that the likelihood accepts."""

    def make(self, **further: object) -> Likelihood:
        """Return the likelihood in float64, with further fields of the configuration."""
        fields = {"likelihood": self.name, "pixels": self.pixels} | self.changes | further
        return make_likelihood(RunConfig(**fields)).double()  # type: ignore[arg-type]

    def __str__(self) -> str:
        chosen = ", ".join(f"{field}={value}" for field, value in self.changes.items())
        return f"with {chosen}" if chosen else "with the default options"


def variants(name: str) -> list[Variant]:
    """Return a likelihood with its default options, and with each other value of each of its options."""
    spec = LIKELIHOODS[name]
    accepted = [protocol for protocol in PIXELS if protocol not in spec.refusals]
    pixels = "dequantised" if "dequantised" in accepted else accepted[0]
    changes: list[dict[str, str]] = [{}]
    changes += [{f: v} for f, values in spec.options.items() for v in values if v != OPTION_DEFAULTS[f]]
    return [Variant(name, change, pixels) for change in changes]


def a_minibatch(likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Return x [M, P], with the darkest and the brightest grey value among them, and a head [L, M, heads * P]."""
    g = stream("check", "likelihood")
    x = torch.rand(M, P, generator=g, dtype=torch.float64)
    x[0], x[1] = CELL_WIDTH / 3, 1 - CELL_WIDTH / 3
    head = torch.randn((L, M, likelihood.heads * P), generator=g, dtype=torch.float64) * 2
    return x, head


def constant_head(likelihood: Likelihood, values: Tensor, pixels: int) -> Tensor:
    """Return a head [1, 1, heads * pixels] that gives every pixel the same outputs, `values` [heads]."""
    return (values.repeat(pixels) if likelihood.outputs_adjacent else values.repeat_interleave(pixels)).view(1, 1, -1)


def pixel_values(spec: LikelihoodSpec) -> list[float]:
    """Return the pixel values at which a likelihood must be finite: those of the protocols that it accepts."""
    accepted = set(PIXELS) - set(spec.refusals)
    found = {0.3, 0.5} if accepted - set(BINARY) else set[float]()
    if accepted & {*BINARY, "grey"}:
        found |= {0.0, 1.0}
    if "grey" in accepted:
        found |= {1 / 255, 254 / 255}
    if "dequantised" in accepted:
        found |= {0.0, 2**-32, CELL_WIDTH, 1 - CELL_WIDTH, 1 - 2**-24}
    return sorted(found)


def random_outputs(likelihood: Likelihood, scale: float, seed: int) -> Tensor:
    """Return outputs of a decoder for one pixel, [heads], from N(0, scale^2)."""
    return torch.randn(likelihood.heads, generator=stream("check", "outputs", seed), dtype=torch.float64) * scale
