"""Gradient noise: the variance of the minibatch gradient at fixed weights, split into its two sources.

Shapes: N images, R repeats, L samples, M minibatch, P pixels. A layer's input h is [.., in], and the gradient delta of
its output is [.., out].

g(x, eps) is the gradient of the objective of one image x with L draws eps. The minibatch gradient is the mean of M such
gradients with independent noise, so the trace of its covariance is

    Var = (Var_x + Var_eps) / M     Var_x    tr Cov_x(E_eps g): images differ
                                    Var_eps  E_x tr Cov_eps(g): draws differ

If the objective is a mean over draws (all but iwae, dreg and score-function-loo), Var_eps is 1/L of its value at L=1,
and Var = (Var_x + Var_eps(1) / L) / M. These quantities are measured for each group of parameters:

    var_x, var_eps  as above, in nats^2 per squared unit of the weights
    variance        (var_x + var_eps) / M with the run's M and L
    signal          ||E g||^2, the squared length of the gradient without noise; the estimate is unbiased, so it may be
                    negative where the signal is small
    snr             sqrt(signal / variance) of the run's minibatch gradient; 0 where signal is not positive
    snr_draws       sqrt(E_x ||E_eps g||^2 / var_eps): for one image, against the noise of the draws only
    X_se            the standard error of X, by a jackknife over blocks of images

Two groups are special. `all` contains all parameters. `value` stands for the objective's value in place of its
gradient.

The estimates are unbiased. For each image i there are R gradients with fresh draws; gbar_i is their mean. Var_eps is
the mean of the variances within images, and the variance between the gbar_i is Var_x + Var_eps / R.

Only inner products of the gradients of single images are needed. Each layer computes its own from its input h and
from the gradient delta of its output (`vaestudy/model/layers.py`). A fully connected layer forms no such gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaestudy.config.registry import OBJECTIVES, PIXELS
from vaestudy.model import chunking
from vaestudy.model.layers import Layer, layers_of
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.training.memory import REPEATS

BLOCKS = 10  # number of blocks of images, for the jackknife
STAGES = ("start", "epoch_1", "end")
GROUPS = ("encoder", "mu_head", "sigma_head", "decoder", "all", "value")


@dataclass(frozen=True)
class VarianceComponents:
    """The three basic estimates for one group of parameters, for one image with L draws: see the module's docstring."""

    var_x: float
    var_eps: float
    signal: float

    def metrics(self, M: int) -> dict[str, float]:
        """Return the quantities of the module's docstring for minibatches of M images, without standard errors."""
        variance = (self.var_x + self.var_eps) / M
        per_image = self.var_x + self.signal  # E_x ||E_eps g||^2
        return {
            "var_x": self.var_x,
            "var_eps": self.var_eps,
            "variance": variance,
            "signal": self.signal,
            "snr": math.sqrt(max(self.signal, 0.0) / variance) if variance > 0 else math.nan,
            "snr_draws": math.sqrt(max(per_image, 0.0) / self.var_eps) if self.var_eps > 0 else math.nan,
        }


@dataclass
class BlockSums:
    """Sums over the images of each block for one group of parameters, float64."""

    within: Tensor
    """[BLOCKS]: the sum of the variances of each image's R gradients."""
    squares: Tensor
    """[BLOCKS]: the sum of ||gbar_i||^2."""
    products: Tensor
    """[BLOCKS, BLOCKS]: the inner products of the blocks' summed gbar_i."""
    images: int
    """Number of images in each block."""

    def components(self, kept: Tensor) -> VarianceComponents:
        """Return the estimates from the blocks whose indices are `kept`."""
        n = len(kept) * self.images
        total = self.products[kept][:, kept].sum().item()  # ||sum_i gbar_i||^2
        var_eps = self.within[kept].sum().item() / n
        between = (self.squares[kept].sum().item() - total / n) / (n - 1)
        return VarianceComponents(between - var_eps / REPEATS, var_eps, total / n**2 - between / n)

    def metrics(self, M: int) -> dict[str, float]:
        """Return all quantities of the group for minibatches of M images, each with its standard error."""
        blocks = torch.arange(len(self.within))
        left_out = [self.components(blocks[blocks != b]).metrics(M) for b in blocks]
        found: dict[str, float] = {}
        for name, value in self.components(blocks).metrics(M).items():
            others = torch.tensor([m[name] for m in left_out], dtype=torch.float64)
            error = (others - others.mean()).square().sum() * (len(blocks) - 1) / len(blocks)
            found |= {name: value, f"{name}_se": error.sqrt().item()}
        return found


def measure_gradient_noise(model: VAE, images: Tensor, stage: str) -> dict[str, float]:
    """Return the metrics `gradient/<stage>/<group>/...` of a model, measured on up to `gradient_images` images.

    The objectives in the configuration's `gradient_estimators` are measured too, on the same images and draws. Their
    metrics are `gradient/<stage>/<estimator>/<group>/...`. An objective that is not defined at the run's L is left out.

    Args:
        model: the model; its configuration decides what is measured.
        images: the train images [N, P], grey values.
        stage: one of STAGES.
    """
    config = model.config
    generator = stream(config.seed, "gradients", stage, device=images.device)
    rows = torch.randperm(len(images), generator=generator, device=images.device)[: config.gradient_images]
    x = PIXELS.load(config.pixels)(images.index_select(0, rows), generator)
    metrics: dict[str, float] = {}
    for other in ("", *config.gradient_estimators):
        if config.samples >= OBJECTIVES[other or config.estimator].min_samples:
            draws = stream(config.seed, "gradients", stage, "draws", device=images.device)
            beta = None if config.beta == 1 else torch.tensor(config.beta, dtype=x.dtype, device=x.device)
            found = block_sums(model, x, other or config.estimator, config.samples, draws, config.log_guard, beta)
            for group in GROUPS:
                head = "/".join(filter(None, ("gradient", stage, other, group)))
                metrics |= {f"{head}/{name}": value for name, value in found[group].metrics(config.minibatch).items()}
    return metrics


def block_sums(
    model: VAE,
    x: Tensor,
    estimator: str,
    samples: int,
    generator: torch.Generator,
    log_guard: float = 0.0,
    beta: Tensor | None = None,
) -> dict[str, BlockSums]:
    """Return group -> the sums of its gradient over x.

    Args:
        model: the model; its parameters' `grad` is not changed.
        x: pixels [N, P]. Images beyond a multiple of BLOCKS are left out.
        estimator: name of the objective.
        samples: L, draws of z per image and repeat.
        generator: the source of the draws.
        log_guard: as in the configuration.
        beta: the weight of the KL, a scalar; None for 1.
    """
    layers = parameter_groups(model)
    blocks = x[: len(x) // BLOCKS * BLOCKS].unflatten(0, (BLOCKS, -1))
    names, n = (*layers, "value"), blocks.shape[1]
    zeros = torch.zeros(BLOCKS, dtype=torch.float64)
    found: dict[str, BlockSums] = {name: BlockSums(zeros.clone(), zeros.clone(), zeros, n) for name in names}
    totals: dict[str, list[Tensor]] = {name: [] for name in names}
    most = chunking.max_rows(model.likelihood.heads, model.config.architecture)
    for b, block in enumerate(blocks):
        summed_gradient = {name: torch.zeros(_size(layers.get(name)), dtype=torch.float64) for name in names}
        for xs in block.split(max(1, most // (REPEATS * samples))):
            shape = (samples, REPEATS * len(xs), model.config.latent_dim)
            eps = torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)
            with _collect_rows(layers) as rows:
                t = terms(model, xs.repeat(REPEATS, 1), eps, log_guard, beta=beta)
                objective = OBJECTIVES.load(estimator)(t).objective
                parameters = [p for group in layers.values() for layer in group for p in layer.parameters()]
                gradients = iter(torch.autograd.grad(objective.sum(), parameters))
            values = objective.detach().double().cpu().unflatten(0, (REPEATS, -1)).T  # [n, R]
            inner = {"value": values.unsqueeze(2) * values.unsqueeze(1)}
            summed_gradient["value"] += values.sum() / REPEATS
            for name, group in layers.items():
                inner[name] = torch.stack(
                    [layer.gradient_products(*rows[layer], len(xs), REPEATS) for layer in group]
                ).sum(0)
                flat = [next(gradients).flatten() for layer in group for _ in layer.parameters()]
                summed_gradient[name] += torch.cat(flat).double().cpu() / REPEATS
            for name, products in inner.items():  # [n, R, R]
                mean = products.sum((1, 2)) / REPEATS**2
                squares = products.diagonal(dim1=1, dim2=2).sum(1)
                found[name].within[b] += ((squares - REPEATS * mean) / (REPEATS - 1)).sum()
                found[name].squares[b] += mean.sum()
        for name in names:
            totals[name].append(summed_gradient[name])
    for name in names:
        stacked = torch.stack(totals[name])
        found[name].products = stacked @ stacked.T
    return found | {"all": _combine([found[name] for name in layers])}


def _combine(parts: list[BlockSums]) -> BlockSums:
    """Return the sums for all parameters.

    The groups have no parameters in common, so their squared lengths and inner products can be added.
    """
    within, squares, products = (
        torch.stack([getattr(part, name) for part in parts]).sum(0) for name in ("within", "squares", "products")
    )
    return BlockSums(within, squares, products, parts[0].images)


def parameter_groups(model: VAE) -> dict[str, list[Layer]]:
    """Return group -> its layers; a group without layers is left out."""
    layers: dict[str, list[Layer]] = {
        "encoder": layers_of(model.encoder),
        "mu_head": layers_of(model.mu),
        "sigma_head": layers_of(model.sigma),
        "decoder": [*layers_of(model.decoder), *layers_of(model.head)],
    }
    return {name: group for name, group in layers.items() if group}


def best_samples(per_image: float, per_draw: float, var_x: float, var_eps: float) -> float:
    """Return the L that gives the least gradient variance for a given time; nan if an argument is not positive.

    A step takes the time M (per_image + per_draw L). For a given time the variance is proportional to
    (var_x + var_eps / L) (per_image + per_draw L). Its minimum is at L = sqrt(per_image var_eps / (per_draw var_x)).
    A result below 1 means that one draw is best.

    Args:
        per_image: time per image that does not depend on L.
        per_draw: time per image and draw.
        var_x: variance due to the images.
        var_eps: variance due to the draws at L=1.
    """
    if min(per_image, per_draw, var_x, var_eps) <= 0:
        return math.nan
    return math.sqrt(per_image * var_eps / (per_draw * var_x))


@contextmanager
def _collect_rows(layers: dict[str, list[Layer]]) -> Iterator[dict[Layer, tuple[Tensor, Tensor]]]:
    """Collect each layer's input h in the forward pass and the gradient delta of its output in the backward pass."""
    rows: dict[Layer, tuple[Tensor, Tensor]] = {}

    def collect(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(layer, Layer)
        h = inputs[0].detach()
        output.register_hook(lambda delta: rows.update({layer: (h, delta)}))

    handles = [layer.register_forward_hook(collect) for group in layers.values() for layer in group]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _size(group: list[Layer] | None) -> int:
    """Return the number of components of a group's gradient; 1 for the objective's value (None)."""
    return 1 if group is None else sum(p.numel() for layer in group for p in layer.parameters())
