"""OPTIMIZERS: the optimisers of a model's weights.

A member is a function that takes the model, the configuration and the number of train images. It returns a
`torch.optim.Optimizer`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn, optim

from vaestudy.config.run_config import RunConfig

# Parameters, means and squares of their gradients, step counters: one tensor of each per parameter.
State = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


class DirectAdam(optim.Adam):
    """`optim.Adam(fused=True)` on a CPU with less overhead: the results are the same bits.

    The arithmetic of a step of a small model takes 0.2 ms. In `optim.Adam`, hooks, grouping by device and a counter for
    each tensor take 0.15 ms more. This class directly calls `torch._fused_adam_`, the function that `optim.Adam` calls
    in the end. It is not a public name, so `agrees` compares the two optimisers before this class is used.
    Hooks registered on `step` are not called.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, eps: float, weight_decay: float) -> None:
        super().__init__(params, lr, eps=eps, weight_decay=weight_decay, fused=True)
        self._kernel = self.kernel()
        self._lists: State | None = None
        self.step = self._direct_step  # type: ignore[method-assign]  # torch wraps the class's `step` in its hooks

    @staticmethod
    def kernel() -> Any:
        """Return the function that `optim.Adam` calls, or None if this torch has no such name."""
        return getattr(torch, "_fused_adam_", None)

    def _direct_step(self, closure: Any = None) -> None:
        """Update the parameters once. All must have a gradient, and there must be one parameter group.

        The first step is torch's own, which creates the state.
        """
        if self._lists is None:
            super().step()
            self._lists = self._gather()
            return
        params, means, squares, counts = self._lists
        (group,) = self.param_groups
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            counts[0].add_(1)  # all entries are the same tensor
            self._kernel(
                params, [p.grad for p in params], means, squares, [], counts, amsgrad=False, maximize=False,
                lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"],
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return the state in the format of `optim.Adam`: copy the shared counter to each parameter's own one."""
        if self._lists is not None:
            for state in self.state.values():
                state["step"].copy_(self._lists[-1][0])
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of this class or of `optim.Adam`."""
        super().load_state_dict(state_dict)
        self._lists = self._gather() if self.state else None

    def _gather(self) -> State:
        """Return the tensors of a step. All parameters share one counter, as each step updates all of them."""
        params = self.param_groups[0]["params"]
        means, squares = ([self.state[p][name] for p in params] for name in ("exp_avg", "exp_avg_sq"))
        return params, means, squares, [self.state[params[0]]["step"].clone()] * len(params)


@functools.cache
def agrees() -> bool:
    """Return whether `DirectAdam` and `optim.Adam` give the same bits in this torch. If not, `adam` uses the latter."""
    ours, theirs = ([nn.Parameter(torch.linspace(-1, 1, n)) for n in (5, 40)] for _ in range(2))
    try:
        steppers = DirectAdam(ours, 0.1, 1e-8, 0.01), optim.Adam(theirs, 0.1, eps=1e-8, weight_decay=0.01, fused=True)
        for step in range(1, 4):
            for p in (*ours, *theirs):
                p.grad = torch.linspace(-step, 2, len(p))
            for stepper in steppers:
                stepper.step()
    except (TypeError, RuntimeError):  # another signature, or no such function
        return False
    return all(map(torch.equal, ours, theirs))


def _decay(config: RunConfig, images: int) -> float:
    """Return the weight decay of the prior N(theta; 0, I) of the weights, 0 without a prior.

    With N train images, -log N(theta; 0, I) / N is added to a loss that is a mean over images: its gradient is
    theta / N. To a loss that is a sum over a minibatch, M times as much is added.
    """
    if not config.weight_prior:
        return 0.0
    return (config.minibatch if config.reduction == "sum" else 1) / images


def adam(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    """Kingma & Ba 2015, beta = (0.9, 0.999)."""
    rate, eps, decay = config.learning_rate, config.optimizer_epsilon, _decay(config, images)
    if torch.device(config.device).type == "cpu" and agrees():
        return DirectAdam(model.parameters(), rate, eps, decay)
    return optim.Adam(model.parameters(), rate, eps=eps, weight_decay=decay, fused=True)


def adagrad(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    """Duchi et al. 2011."""
    decay, eps = _decay(config, images), config.optimizer_epsilon
    return optim.Adagrad(model.parameters(), config.learning_rate, eps=eps, weight_decay=decay)


def rmsprop(model: nn.Module, config: RunConfig, images: int, centred: bool = False) -> optim.Optimizer:
    """Tieleman & Hinton 2012: theta -= rate g / (sqrt(v) + epsilon).

    v is the running mean of g^2, with decay alpha = 0.99 and without a correction of its start at 0. torch has no fused
    step for it, and its own step in blocks that fit in the cache was not faster (measured: 2 ms for 700,000 weights).
    """
    rate, eps, decay = config.learning_rate, config.optimizer_epsilon, _decay(config, images)
    return optim.RMSprop(model.parameters(), rate, alpha=0.99, eps=eps, weight_decay=decay, centered=centred)


def rmsprop_centred(model: nn.Module, config: RunConfig, images: int) -> optim.Optimizer:
    """Graves 2013, section 2.1: as `rmsprop`, with v - m^2 in place of v, where m is the running mean of g.

    It divides by the gradient's standard deviation. The optional momentum of the paper is not used.
    """
    return rmsprop(model, config, images, centred=True)
