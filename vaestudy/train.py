"""train(config, data) -> Result: the loop, top to bottom.

Shapes: L samples, M minibatch, D latent dimensions, P pixels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, optim

from vaestudy import backend, checkpoint, evaluate
from vaestudy.config import RunConfig
from vaestudy.data import Data
from vaestudy.estimators import ESTIMATORS, loss, terms
from vaestudy.model import VAE
from vaestudy.noise import stream
from vaestudy.optimizers import OPTIMIZERS
from vaestudy.pixels import PIXELS, fixed

Metrics = dict[str, float]
OnEpoch = Callable[[int, Metrics], None]


class NonFiniteLoss(ArithmeticError):
    """The loss became nan or infinite: the run has diverged and has no result."""

    def __init__(self, value: float, epoch: int, step: int, log_likelihood: float, kl: float) -> None:
        self.epoch, self.step = epoch, step
        super().__init__(
            f"the loss is {value} in epoch {epoch}, step {step} (log_likelihood {log_likelihood:.6g}, kl {kl:.6g} nats)"
        )


@dataclass
class Result:
    """A trained model and how it came to be."""

    model: VAE
    history: list[Metrics] = field(default_factory=list)
    """One entry an epoch: train/... averaged over its minibatches while the weights moved, valid/... at its end."""
    train_seconds: float = 0.0
    """Time in training steps alone; the clock stands still during validation."""


def train(
    config: RunConfig,
    data: Data,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    keeper: checkpoint.Keeper | None = None,
) -> Result:
    """Train a VAE.

    Args:
        config: a resolved configuration (`data.resolve`).
        data: its images; only train and valid are touched.
        on_epoch: called after each epoch with its number, from 1, and its metrics, nats per image; epochs that a
            checkpoint brings back are told again.
        keeper: where the run under way is kept; what it holds is gone on from, with the same bits.

    Raises:
        NonFiniteLoss: the run diverged.
    """
    backend.prepare(config)
    device = torch.device(config.device)
    model = VAE(config).to(device)
    images = data.train.images.to(device)
    x_valid = fixed(config.pixels, data.valid.images.to(device), "valid")
    optimizer = OPTIMIZERS[config.optimizer](model, config, len(images))
    schedule, epochs = SCHEDULES[config.schedule], config.epochs or 0
    result = Result(model)
    if keeper is not None:
        _resume(keeper, result, optimizer, on_epoch)
    for epoch in range(len(result.history) + 1, epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(epoch, epochs)
        started = time.perf_counter()
        metrics = _train_epoch(model, images, optimizer, epoch)
        result.train_seconds += time.perf_counter() - started
        if len(x_valid):
            b = evaluate.bound(model, x_valid, 1, "valid", epoch)
            for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
                metrics[f"valid/{name}"] = values.mean().item()
        result.history.append(metrics)
        on_epoch(epoch, metrics)
        if keeper is not None and keeper.due():
            extra = {"history": result.history, "train_seconds": result.train_seconds}
            keeper.save(checkpoint.State(epoch, checkpoint.gather(model, optimizer), extra))
    return result


def _resume(keeper: checkpoint.Keeper, result: Result, optimizer: optim.Optimizer, on_epoch: OnEpoch) -> None:
    """Go back to where `keeper` saw the run last."""
    if (state := keeper.load()) is None:
        return
    checkpoint.restore(state.tensors, result.model, optimizer)
    result.train_seconds = state.extra["train_seconds"]
    for epoch, metrics in enumerate(state.extra["history"], start=1):
        result.history.append(metrics)
        on_epoch(epoch, metrics)


def _train_epoch(model: VAE, images: Tensor, optimizer: optim.Optimizer, epoch: int) -> Metrics:
    """One pass over the images [N, P] in a fresh order; the last, smaller minibatch is used too."""
    config, device, N = model.config, images.device, len(images)
    estimator, pixels = ESTIMATORS[config.estimator], PIXELS[config.pixels]
    order = torch.randperm(N, generator=stream(config.seed, "order", epoch)).to(device)
    pixel_noise = stream(config.seed, "pixels", epoch, device=device)
    epsilon = stream(config.seed, "epsilon", epoch, device=device)
    sums, parameters = torch.zeros(2, dtype=torch.float64, device=device), list(model.parameters())
    for step, batch in enumerate(order.split(config.minibatch), start=1):
        x = pixels(images.index_select(0, batch), pixel_noise)
        eps = torch.randn((config.samples, len(x), config.latent_dim), generator=epsilon, device=device)
        estimate = estimator(terms(model, x, eps, config.log_guard))
        value = loss(estimate, config.reduction)
        parts = torch.stack((estimate.log_likelihood.detach(), estimate.kl.detach())).sum(1, dtype=torch.float64)
        if not math.isfinite(shown := value.item()):
            raise NonFiniteLoss(shown, epoch, step, *(parts / len(x)).tolist())
        for parameter in parameters:
            parameter.grad = None
        value.backward()
        optimizer.step()
        sums += parts
    log_likelihood, kl = (sums / N).tolist()
    return {"train/elbo": log_likelihood - kl, "train/kl": kl, "train/log_likelihood": log_likelihood}


def notices(config: RunConfig, data: Data) -> list[str]:
    """What the user should know about a run before it starts, a line each."""
    lines = []
    if config.minibatch > len(data.train):
        lines.append(
            f"--minibatch {config.minibatch} is more than the {len(data.train)} train images: one step an epoch"
        )
    return lines


def _constant(epoch: int, epochs: int) -> float:
    return 1.0


def _iwae(epoch: int, epochs: int) -> float:
    """10^(-i/7) in stage i = 0..7, stage i lasting 3^i of 3280 parts of the run (Burda et al. 2015, section 5)."""
    part = (epoch - 1) * 3280 / epochs
    stage = next(i for i in range(8) if part < (3 ** (i + 1) - 1) / 2)
    return float(10 ** (-stage / 7))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": _constant,
    "iwae": _iwae,
}
