"""Compare a gradient with finite differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaestudy.conformance.check import Violation

STEP = 1e-6


def require_gradient(function: Callable[[Tensor], Tensor], at: Tensor, which: str) -> None:
    """Raise unless autograd's gradient of a function is that of finite differences.

    Args:
        function: takes a tensor like `at` and returns a tensor, both float64.
        at: where the gradient is compared; its gradients are not used.
        which: which gradient it is, for the message.

    Raises:
        Violation: they differ; the message has the entry that differs the most.
    """
    point = at.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(point).sum(), point)
    if torch.autograd.gradcheck(function, (point,), fast_mode=True, check_undefined_grad=False, raise_exception=False):
        return
    with torch.no_grad():
        numeric = torch.stack([_difference(function, at, i) for i in range(at.numel())])
    off = (slope.flatten() - numeric).abs().nan_to_num(torch.inf)
    i = int(off.argmax())
    entry = [int(k) for k in torch.unravel_index(torch.tensor(i), at.shape)]
    raise Violation(
        f"the gradient in entry {entry} is {slope.flatten()[i].item():.6g}, and {numeric[i].item():.6g} by finite "
        f"differences, {which}"
    )


def _difference(function: Callable[[Tensor], Tensor], at: Tensor, entry: int) -> Tensor:
    """Return the central difference of the function's sum in one entry."""
    ends = []
    for step in (STEP, -STEP):
        moved = at.detach().clone()
        moved.view(-1)[entry] += step
        ends.append(function(moved).sum())
    return (ends[0] - ends[1]) / (2 * STEP)
