"""Masses on the 256 grey levels against formulas written out."""

from __future__ import annotations

import pytest
import torch

from vaestudy.config import RunConfig
from vaestudy.levels import level
from vaestudy.likelihoods import LIKELIHOODS

L, M, P = 2, 3, 20


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])  # at 300 most probabilities underflow
def test_categorical_is_a_softmax(scale: float, dtype: torch.dtype, close: float) -> None:
    likelihood = LIKELIHOODS["categorical-256"](RunConfig(likelihood="categorical-256", pixels="dequantised")).to(dtype)
    generator = torch.Generator().manual_seed(1)
    x, weight = torch.rand(M, P, generator=generator, dtype=dtype), torch.randn(L, M, generator=generator, dtype=dtype)
    head = (scale * torch.randn(L, M, P * 16, generator=generator, dtype=dtype)).requires_grad_()
    with torch.no_grad():
        likelihood.offset.normal_(generator=generator)  # type: ignore[operator]
        scored = likelihood.log_prob(x, head)

    def literal(head: torch.Tensor, statistics: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        logits = head.view(L, M, P, 16) @ statistics + offset
        levels = level(x).long().expand(L, M, P).unsqueeze(-1)
        return logits.log_softmax(-1).gather(-1, levels).squeeze(-1).sum(-1)

    parts = (head, likelihood.statistics, likelihood.offset)
    twins = [part.detach().double().requires_grad_() for part in parts]  # type: ignore[operator]
    ours, theirs = likelihood.log_prob(x, head), literal(*twins)
    for value in (scored, ours):
        torch.testing.assert_close(value.double(), theirs, rtol=close, atol=close)
    slopes = torch.autograd.grad((ours * weight).sum(), parts)
    expected = torch.autograd.grad((theirs * weight.double()).sum(), twins)
    for slope, twin in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope.double(), twin, rtol=close, atol=close * (1 + twin.abs().max().item()))
