"""How noisy the gradient is at fixed weights, and where the noise comes from.

Shapes: N images, R repeats, L samples, M minibatch, P pixels; h [.., in] and delta [.., out] of a layer's rows.

g(x, eps) is the gradient of the objective of one image x with L draws eps. The minibatch gradient is the mean of M of
them with independent noise, so the trace of its covariance is

    Var = (Var_x + Var_eps) / M     Var_x    tr Cov_x(E_eps g): images differ
                                    Var_eps  E_x tr Cov_eps(g): draws differ

Where the objective is a mean over draws (all estimators but iwae, dreg and score-function-loo) Var_eps is 1/L of its
value at L=1, and Var = (Var_x + Var_eps(1) / L) / M. Names of what is measured, each for a group of parameters:

    var_x, var_eps  as above, nats^2 a squared unit of the weights
    variance        (var_x + var_eps) / M with the run's M and L
    signal          ||E g||^2, the squared length of the gradient without noise; where it is small the estimate,
                    which is unbiased, may be negative
    snr             sqrt(signal / variance) of the run's minibatch gradient, 0 where signal is not positive
    snr_draws       sqrt(E_x ||E_eps g||^2 / var_eps), against the noise of the draws alone, for one image
    X_se            the standard error of X, by a jackknife over blocks of images

The group `value` is the objective itself in place of its gradient; `all` is all parameters.

Estimated without bias from R repeated draws for each image: with gbar_i the mean over i's repeats, Var_eps is the mean
of the variances within images, and the variance between the gbar_i is Var_x + Var_eps / R. No gradient of one image is
ever formed: in a layer it is sum_l delta_l h_l^T, so inner products of two are sums of (delta . delta') (h . h' + 1).
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
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE, Affine
from vaestudy.runtime.random_streams import stream
from vaestudy.training.memory import REPEATS

BLOCKS = 10  # of images, for the jackknife
STAGES = ("start", "epoch_1", "end")
GROUPS = ("encoder", "mu_head", "sigma_head", "decoder", "all", "value")


@dataclass(frozen=True)
class VarianceComponents:
    """What is known of one group's gradient, for one image with L draws; see the head of this file."""

    var_x: float
    var_eps: float
    signal: float

    def metrics(self, M: int) -> dict[str, float]:
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
    """Sums over the images of each block for one group: `within` and `squares` [BLOCKS], `products` [BLOCKS, BLOCKS].

    within: the variance of an image's R gradients; squares: ||gbar_i||^2; products: of the blocks' summed gbar_i.
    """

    within: Tensor
    squares: Tensor
    products: Tensor
    images: int
    """In each block."""

    def components(self, kept: Tensor) -> VarianceComponents:
        """By the blocks `kept`, their indices."""
        n = len(kept) * self.images
        total = self.products[kept][:, kept].sum().item()  # ||sum_i gbar_i||^2
        var_eps = self.within[kept].sum().item() / n
        between = (self.squares[kept].sum().item() - total / n) / (n - 1)
        return VarianceComponents(between - var_eps / REPEATS, var_eps, total / n**2 - between / n)

    def metrics(self, M: int) -> dict[str, float]:
        """Everything measured of the group, each with its standard error."""
        blocks = torch.arange(len(self.within))
        left_out = [self.components(blocks[blocks != b]).metrics(M) for b in blocks]
        found: dict[str, float] = {}
        for name, value in self.components(blocks).metrics(M).items():
            others = torch.tensor([m[name] for m in left_out], dtype=torch.float64)
            error = (others - others.mean()).square().sum() * (len(blocks) - 1) / len(blocks)
            found |= {name: value, f"{name}_se": error.sqrt().item()}
        return found


def measure_gradient_noise(model: VAE, images: Tensor, stage: str) -> dict[str, float]:
    """The metrics `gradient/<stage>/<group>/...` of a model, on up to `gradient_images` of the images [N, P].

    Those of `gradient_estimators`, by the same images and draws, are `gradient/<stage>/<estimator>/<group>/...`;
    one that is not defined at the run's L is left out.
    """
    config = model.config
    generator = stream(config.seed, "gradients", stage, device=images.device)
    rows = torch.randperm(len(images), generator=generator, device=images.device)[: config.gradient_images]
    x = PIXELS.load(config.pixels)(images.index_select(0, rows), generator)
    metrics: dict[str, float] = {}
    for beside in ("", *config.gradient_estimators):
        if config.samples >= OBJECTIVES[beside or config.estimator].min_samples:
            draws = stream(config.seed, "gradients", stage, "draws", device=images.device)
            found = block_sums(model, x, beside or config.estimator, config.samples, draws, config.log_guard)
            for group in GROUPS:
                head = "/".join(filter(None, ("gradient", stage, beside, group)))
                metrics |= {f"{head}/{name}": value for name, value in found[group].metrics(config.minibatch).items()}
    return metrics


def block_sums(
    model: VAE, x: Tensor, estimator: str, samples: int, generator: torch.Generator, log_guard: float = 0.0
) -> dict[str, BlockSums]:
    """Group -> what is to be known of its gradient on x [N, P]; images beyond a multiple of BLOCKS are left out."""
    layers = parameter_groups(model)
    blocks = x[: len(x) // BLOCKS * BLOCKS].unflatten(0, (BLOCKS, -1))
    names, n = (*layers, "value"), blocks.shape[1]
    zeros = torch.zeros(BLOCKS, dtype=torch.float64)
    found: dict[str, BlockSums] = {name: BlockSums(zeros.clone(), zeros.clone(), zeros, n) for name in names}
    totals: dict[str, list[Tensor]] = {name: [] for name in names}
    for b, block in enumerate(blocks):
        summed_log_prob = {name: torch.zeros(_size(layers.get(name)), dtype=torch.float64) for name in names}
        for xs in block.split(max(1, chunking.max_rows(model.likelihood.heads) // (REPEATS * samples))):
            shape = (samples, REPEATS * len(xs), model.config.latent_dim)
            eps = torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype)
            with _rows(layers) as rows:
                objective = OBJECTIVES.load(estimator)(terms(model, xs.repeat(REPEATS, 1), eps, log_guard)).objective
                parameters = [p for group in layers.values() for layer in group for p in layer.parameters()]
                gradients = iter(torch.autograd.grad(objective.sum(), parameters))
            values = objective.detach().double().cpu().unflatten(0, (REPEATS, -1)).T  # [n, R]
            inner = {"value": values.unsqueeze(2) * values.unsqueeze(1)}
            summed_log_prob["value"] += values.sum() / REPEATS
            for name, group in layers.items():
                inner[name] = torch.stack([_inner(layer, *rows[layer]) for layer in group]).sum(0)
                flat = [next(gradients).flatten() for layer in group for _ in layer.parameters()]
                summed_log_prob[name] += torch.cat(flat).double().cpu() / REPEATS
            for name, products in inner.items():  # [n, R, R]
                mean = products.sum((1, 2)) / REPEATS**2
                squares = products.diagonal(dim1=1, dim2=2).sum(1)
                found[name].within[b] += ((squares - REPEATS * mean) / (REPEATS - 1)).sum()
                found[name].squares[b] += mean.sum()
        for name in names:
            totals[name].append(summed_log_prob[name])
    for name in names:
        stacked = torch.stack(totals[name])
        found[name].products = stacked @ stacked.T
    return found | {"all": _together([found[name] for name in layers])}


def _together(parts: list[BlockSums]) -> BlockSums:
    """Of all parameters: squared lengths and products of groups without common parameters add up."""
    within, squares, products = (
        torch.stack([getattr(part, name) for part in parts]).sum(0) for name in ("within", "squares", "products")
    )
    return BlockSums(within, squares, products, parts[0].images)


def parameter_groups(model: VAE) -> dict[str, list[Affine]]:
    """The layers of each group of parameters; one without layers is left out."""
    layers: dict[str, list[Affine]] = {
        "encoder": list(model.encoder),  # type: ignore[arg-type]
        "mu_head": [model.mu],
        "sigma_head": [model.sigma],
        "decoder": [*model.decoder, model.head],
    }
    return {name: group for name, group in layers.items() if group}


def best_samples(per_image: float, per_draw: float, var_x: float, var_eps: float) -> float:
    """The L with the least gradient variance for a given time, where a step takes M (per_image + per_draw L).

    In a given time the variance is proportional to (var_x + var_eps / L) (per_image + per_draw L), with var_eps at
    L=1; its minimum is at L = sqrt(per_image var_eps / (per_draw var_x)). Below 1 means that one draw is best.
    """
    if min(per_image, per_draw, var_x, var_eps) <= 0:
        return math.nan
    return math.sqrt(per_image * var_eps / (per_draw * var_x))


@contextmanager
def _rows(layers: dict[str, list[Affine]]) -> Iterator[dict[Affine, tuple[Tensor, Tensor]]]:
    """Collects the input h and the gradient delta of the output of each layer in a pass and its backward one."""
    rows: dict[Affine, tuple[Tensor, Tensor]] = {}

    def watch(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(layer, Affine)
        h = inputs[0].detach()
        output.register_hook(lambda delta: rows.update({layer: (h, delta)}))

    handles = [layer.register_forward_hook(watch) for group in layers.values() for layer in group]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _inner(layer: Affine, h: Tensor, delta: Tensor) -> Tensor:
    """Inner products of the R gradients of each image in one layer: rows of [.., R n, width] -> [n, R, R], float64."""
    h, delta = (rows.reshape(-1, REPEATS, rows.shape[-2] // REPEATS, rows.shape[-1]) for rows in (h, delta))
    draws = len(h)  # L behind z, 1 before it
    h, delta = (rows.permute(2, 1, 0, 3).flatten(1, 2) for rows in (h, delta))  # [n, R draws, width]
    biases = 1 if layer.second_bias is None else 2
    products: Tensor = (delta @ delta.mT) * (h @ h.mT + biases)
    products = products.double().cpu().unflatten(2, (REPEATS, draws)).unflatten(1, (REPEATS, draws))
    return products.sum((2, 4))


def _size(group: list[Affine] | None) -> int:
    """Of a group's gradient; the value has one component."""
    return 1 if group is None else sum(p.numel() for layer in group for p in layer.parameters())
