"""Traced gradients: the operations of a loss and its gradient, recorded once and replayed with the same bits.

In a small training step autograd spends a fifth of the time on building its graph and on traversing it backwards.
`make_fx`, on which `torch.export` is built, records every tensor operation of a function and of its gradient. When the
trace is replayed as plain calls, the same operations run on the same numbers in the same order.

A trace is valid only for inputs of the same shapes, and only if the code takes the same path for all input values. So
each trace is compared with autograd, bit for bit, before it is used. The comparison includes values from which the
trace was not recorded. If there is no valid trace, autograd computes the gradient, with the same numbers, and
`TracedGradient.description` gives the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx, nn

try:
    from torch.fx.experimental.proxy_tensor import make_fx
except ImportError:  # not a stable name of torch
    make_fx = None  # type: ignore[assignment]

CALLS_BEFORE_TRACE = 300
"""The number of calls with the same shapes after which they are traced. A trace takes the time of some hundred steps,
so that tracing a short run, or the smaller last minibatch of an epoch, would lose time."""

Function = Callable[..., tuple[Tensor, Tensor]]  # inputs -> (loss, extra)
Trace = Callable[..., tuple[Tensor, ...]]  # inputs and parameters -> (loss, extra, gradients of the parameters)


class _Bound(nn.Module):
    """A function of inputs and of a module's parameters, wrapped as a module.

    `torch.func.functional_call` needs a module: it calls it with other tensors in place of the parameters.
    """

    def __init__(self, module: nn.Module, function: Function) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(*inputs)


class TracedGradient:
    """A function with the gradient of its loss, traced where that is possible and worth its time.

    A call `gradient(*inputs)` returns what `function(*inputs)` returns, (loss, extra), detached. It also writes the
    loss's gradient to the `grad` of the module's parameters. There is one trace for each combination of input shapes.
    It is made when these shapes have come often enough.
    """

    def __init__(
        self, module: nn.Module, function: Function, traced: bool = True, calls_before: int | None = None
    ) -> None:
        """Args:
        module: the module to whose parameters the gradient refers.
        function: inputs -> (loss, extra). It must use nothing that changes from call to call except its inputs and the
            parameters of `module`. It may store values only in buffers, and must write them in place.
        traced: whether to try tracing at all; if not, autograd computes the gradient.
        calls_before: the number of calls with the same shapes that autograd computes before they are traced
            [default: `CALLS_BEFORE_TRACE`].
        """
        self._bound = _Bound(module, function)
        self._names, parameters = zip(*self._bound.named_parameters(), strict=True)
        self._parameters: tuple[nn.Parameter, ...] = parameters
        self._is_traced = traced
        self._calls_before = CALLS_BEFORE_TRACE if calls_before is None else calls_before
        self._traces: dict[tuple[torch.Size, ...], Trace | None] = {}
        self._calls: Counter[tuple[torch.Size, ...]] = Counter()
        self.description = "autograd"
        """How the gradients are computed, for a run's record."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return (loss, extra); write the loss's gradient to the parameters."""
        shapes = tuple(x.shape for x in inputs)
        if self._is_traced and shapes not in self._traces:
            self._calls[shapes] += 1
            if self._calls[shapes] > self._calls_before:
                self._traces[shapes] = self._trace(inputs)
        trace = self._traces.get(shapes)
        found = self._by_autograd(*inputs) if trace is None else trace(*inputs, *self._parameters)
        loss, extra, *gradients = found
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return loss, extra

    def _by_autograd(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return (loss, extra, gradients of the parameters), computed by autograd."""
        loss, extra = self._bound(*inputs)
        return loss.detach(), extra.detach(), *torch.autograd.grad(loss, self._parameters)

    def _functional(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the same as `_by_autograd`; `values` are the inputs followed by the parameters."""
        count = len(values) - len(self._parameters)
        inputs, parameters = values[:count], values[count:]
        named = dict(zip(self._names, parameters, strict=True))
        loss, extra = torch.func.functional_call(self._bound, named, inputs)
        return loss.detach(), extra.detach(), *torch.autograd.grad(loss, parameters)

    def _trace(self, inputs: tuple[Tensor, ...]) -> Trace | None:
        """Return a trace for inputs of these shapes that agrees with autograd, or None; set `description`."""
        others = [x / 2 for x in inputs]
        try:
            trace = _traced(self._functional, (*inputs, *self._parameters))
            agrees = all(self._agrees(trace, numbers) for numbers in (others, inputs))
        except Exception as error:  # tracing is optional: whatever fails, autograd computes the same gradient
            reason = (str(error).splitlines() or [""])[0]
            self.description = f"autograd, as the step cannot be traced ({type(error).__name__}: {reason})"
            return None
        self.description = (
            "autograd's operations, recorded" if agrees else "autograd, as the traced step does not agree to the bit"
        )
        return trace if agrees else None

    def _agrees(self, trace: Trace, inputs: Sequence[Tensor]) -> bool:
        """Return whether the trace gives the same results and leaves the same buffers as autograd, bit for bit."""
        replayed = trace(*inputs, *self._parameters)
        buffers = [buffer.clone() for buffer in self._bound.buffers()]
        found = self._by_autograd(*inputs)
        return all(map(torch.equal, (*replayed, *buffers), (*found, *self._bound.buffers())))


def _traced(function: Callable[..., tuple[Tensor, ...]], values: tuple[Tensor, ...]) -> Trace:
    """Return a trace: the function's tensor operations on inputs like `values`, as Python code without branches.

    Raises:
        NotImplementedError: this torch has no `make_fx`.
    """
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
    # Before the targets are replaced: only the original operations declare that they write in place (and must stay).
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if node.op == "call_function":
            node.target = _c_function(node.target)
    module.recompile()
    trace: Trace = torch.inference_mode()(module.forward)  # as no_grad, with even less overhead
    return trace


def _c_function(operation: Any) -> Any:
    """Return torch's own C function of the operation's name, or the operation itself if there is none.

    A call of the C function takes half the time.
    """
    name = getattr(operation, "overloadpacket", operation).__name__
    found = getattr(torch, name, None), getattr(Tensor, name, None)
    return next((f for f in found if isinstance(f, BuiltinFunctionType | MethodDescriptorType)), operation)
