"""A training step of each architecture beside its layers alone: the CPU time that no implementation in torch can avoid.

    python tests/benchmarks/layers_alone.py

The lower limit of a step is the time of its own layers, forward and backward, each on its own inputs. It leaves out
the activations, the likelihood, the optimiser and autograd's graph. Both are timed in turns, as CPU time, and the best
of several rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from vaestudy.config.image_shape import DIGIT
from vaestudy.config.registry import ARCHITECTURES, OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model.layers import Layer, layers_of
from vaestudy.model.vae import VAE
from vaestudy.training import backend
from vaestudy.training.train import make_gradient

ROUNDS = 15


def step_and_layers(config: RunConfig) -> tuple[Callable[[], None], Callable[[], None], VAE]:
    """Return functions that compute a training step and the layers of that step alone, and the model that they use."""
    backend.configure(config, DIGIT)
    model = VAE(config)
    optimizer, gradient = OPTIMIZERS.load(config.optimizer)(model, config, 60_000), make_gradient(model, 0)
    x = torch.rand(config.minibatch, model.shape.pixels)
    eps = torch.randn(config.samples, config.minibatch, config.latent_dim)
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def record(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        calls.append((layer, inputs[0].detach().clone(), torch.randn_like(output)))

    layers = layers_of(model)
    handles = [layer.register_forward_hook(record) for layer in layers if isinstance(layer, nn.Module)]
    model.decode(model.encode(x).draw(eps))
    for handle in handles:
        handle.remove()

    def step() -> None:
        with backend.subnormals_as_zero(config):
            gradient(x, eps)
            optimizer.step()

    def alone() -> None:
        for layer, h, delta in calls:
            first: Layer = layers[0]  # its input is data and needs no gradient
            wanted = list(layer.parameters()) if layer is first else [h.requires_grad_(), *layer.parameters()]
            torch.autograd.grad(layer(h), wanted, delta)

    return step, alone, model


def seconds(functions: list[Callable[[], None]], rounds: int = ROUNDS) -> list[float]:
    """Return the best CPU time of each function, called in turns."""
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            best[i] = min(best[i], time.process_time() - start)
    return best


if __name__ == "__main__":
    for name in ARCHITECTURES:
        config = datasets.resolve(RunConfig(dataset="mnist-5k", architecture=name), Path())[0]
        step, alone, _ = step_and_layers(config)
        whole, layers = seconds([step, alone])
        print(f"{name}: step {1e3 * whole:.1f} ms, its layers alone {1e3 * layers:.1f} ms, ratio {whole / layers:.2f}")
