"""A gradient without autograd's bookkeeping: written down once, replayed with the same bits.

A fifth of a small training step is autograd building its graph and finding its way back through it. `make_fx`, on which
`torch.export` is built, writes down every tensor operation of a function and of its gradient; replayed as plain calls
they are the same operations on the same numbers in the same order.

What was written down holds for inputs of the same shapes, and for code whose path does not depend on their numbers. So
each tape is held against autograd, to the bit, with numbers that it was not recorded from, before it is used. Where
there is none, autograd does the work, and `Gradient.words` says why: the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx, nn

try:
    from torch.fx.experimental.proxy_tensor import make_fx
except ImportError:  # not a promised name
    make_fx = None  # type: ignore[assignment]

Function = Callable[..., tuple[Tensor, Tensor]]
Trace = Callable[..., tuple[Tensor, ...]]


class _Bound(nn.Module):
    """A function of inputs and of a module's parameters, as a module, so that others can be put in their place."""

    def __init__(self, module: nn.Module, function: Function) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(*inputs)


class TracedGradient:
    """`function(*inputs) -> (loss, told)`: called, it returns both and leaves the loss's gradient in the parameters."""

    def __init__(self, module: nn.Module, function: Function, traced: bool = True) -> None:
        """`function` may use nothing that changes from call to call but its inputs and the parameters of `module`, and
        keep nothing but in buffers, written in place."""
        self._bound = _Bound(module, function)
        self._names, parameters = zip(*self._bound.named_parameters(), strict=True)
        self._parameters: tuple[nn.Parameter, ...] = parameters
        self._is_traced = traced
        self._traces: dict[tuple[torch.Size, ...], Trace | None] = {}
        self.description = "autograd"
        """How gradients are had, for a run's record."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self._traces:
            self._traces[shapes] = self._trace(inputs) if self._is_traced else None
        trace = self._traces[shapes]
        found = self._by_autograd(*inputs) if trace is None else trace(*inputs, *self._parameters)
        loss, extra, *gradients = found
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss, extra

    def _by_autograd(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        loss, extra = self._bound(*inputs)
        return loss.detach(), extra.detach(), *torch.autograd.grad(loss, self._parameters)

    def _functional(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The same of inputs and parameters."""
        count = len(values) - len(self._parameters)
        inputs, parameters = values[:count], values[count:]
        named = dict(zip(self._names, parameters, strict=True))
        loss, extra = torch.func.functional_call(self._bound, named, inputs)
        return loss.detach(), extra.detach(), *torch.autograd.grad(loss, parameters)

    def _trace(self, inputs: tuple[Tensor, ...]) -> Trace | None:
        """A tape for inputs of these shapes that agrees with autograd, or None."""
        others = [x / 2 for x in inputs]
        try:
            trace = _traced(self._functional, (*inputs, *self._parameters))
            agrees = all(self._agrees(trace, numbers) for numbers in (others, inputs))
        except Exception as error:  # of whatever kind: a tape is a gain and no need
            reason = (str(error).splitlines() or [""])[0]
            self.description = f"autograd, as no tape can be made ({type(error).__name__}: {reason})"
            return None
        self.description = (
            "autograd's operations, recorded" if agrees else "autograd, as a tape does not agree to the bit"
        )
        return trace if agrees else None

    def _agrees(self, trace: Trace, inputs: Sequence[Tensor]) -> bool:
        """Whether it returns what autograd finds, and leaves the module's buffers as that does."""
        replayed = trace(*inputs, *self._parameters)
        left = [buffer.clone() for buffer in self._bound.buffers()]
        found = self._by_autograd(*inputs)
        return all(map(torch.equal, (*replayed, *left), (*found, *self._bound.buffers())))


def _traced(function: Callable[..., tuple[Tensor, ...]], values: tuple[Tensor, ...]) -> Trace:
    """The tensor operations of a function as straight-line Python."""
    if make_fx is None:
        raise NotImplementedError("this torch has no make_fx")
    module = make_fx(function)(*values)
    graph: fx.Graph = module.graph
    aten = torch.ops.aten
    for node in graph.nodes:
        if node.target is aten.alias.default:
            node.replace_all_uses_with(node.args[0])
        elif node.target is aten.t.default and node.args[0].target is aten.t.default:
            node.replace_all_uses_with(node.args[0].args[0])
    graph.eliminate_dead_code()  # while nodes still say which of them write in place
    for node in graph.nodes:
        if node.op == "call_function":
            node.target = _public(node.target)
    module.recompile()
    trace: Trace = torch.inference_mode()(module.forward)  # a no_grad that books nothing at all
    return trace


def _public(operation: Any) -> Any:
    """torch's own function of that name where there is one in C: it is called in half the time."""
    name = getattr(operation, "overloadpacket", operation).__name__
    found = getattr(torch, name, None), getattr(Tensor, name, None)
    return next((f for f in found if isinstance(f, BuiltinFunctionType | MethodDescriptorType)), operation)
