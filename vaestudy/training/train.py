"""The training loop: `train(config, data)` trains one VAE and returns a `TrainResult`.

Shapes: L samples, M minibatch, D latent dimensions, P pixels, N train images.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, optim

from vaestudy.config.registry import LIKELIHOODS, LR_SCALINGS, OBJECTIVES, OPTIMIZERS, PIXELS
from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import Data
from vaestudy.data.pixels import fixed
from vaestudy.model import chunking
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import bounds
from vaestudy.scoring.bounds import Metrics
from vaestudy.training import backend, checkpoint, gradient_noise
from vaestudy.training.divergence import NonFiniteLoss, raise_if_diverged
from vaestudy.training.kl_weight import kl_weight
from vaestudy.training.milestones import MilestoneRecorder
from vaestudy.training.objectives import loss
from vaestudy.training.schedules import make_schedule
from vaestudy.training.traced_gradient import TracedGradient

FIT_IMAGES = 1_000  # images per pass when the optimal scale is fitted

OnEpoch = Callable[[int, Metrics], None]
"""A function that is called after each epoch with its number, from 1, and its metrics. To end the run there, it raises
`StopTraining`."""


class StopTraining(Exception):
    """Raised by an `OnEpoch` function to end the training after the epoch of the call."""


@dataclass
class TrainResult:
    """A trained model, and what was recorded during its training."""

    model: VAE
    history: list[Metrics] = field(default_factory=list)
    """One entry per epoch: train/... averaged over its minibatches while the weights changed, valid/... at its end."""
    train_seconds: float = 0.0
    """Time spent in training steps only, without validation."""
    milestones: Metrics = field(default_factory=dict)
    """along/...: the bound on valid, images and seconds at the milestones (`training/milestones.py`)."""
    gradients: Metrics = field(default_factory=dict)
    """gradient/...: the gradient's variance at the stages of the run (`training/gradient_noise.py`)."""
    backend: str = ""
    """How torch was set up (`training/backend.py`)."""
    gradient_description: str = ""
    """How a step's gradient was computed: traced or by autograd (`training/traced_gradient.py`)."""
    stopped: bool = False
    """Whether `on_epoch` ended the training before its last epoch. The model is then not finished."""


def train(
    config: RunConfig,
    data: Data,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    checkpoint_store: checkpoint.CheckpointStore | None = None,
) -> TrainResult:
    """Train a VAE.

    Args:
        config: a resolved configuration (`vaestudy.data.datasets.resolve`).
        data: the images of the configuration; only train and valid are used.
        on_epoch: called after each epoch with its number, from 1, and its metrics; bounds are in nats per image. It is
            called again for epochs that a checkpoint restores. If it raises `StopTraining`, the training ends.
        checkpoint_store: where checkpoints are written. If it contains a checkpoint, training continues from it, with
            the same bits as without the interruption. None: no checkpoints.

    Raises:
        NonFiniteLoss: the run diverged.
    """
    backend_description = backend.configure(config, data.shape)
    device = torch.device(config.device)
    model = VAE(config, data.shape).to(device)
    images = data.train.images.to(device)
    x_valid = fixed(config.pixels, data.valid.images.to(device), "valid")
    optimizer = OPTIMIZERS.load(config.optimizer)(model, config, len(images))
    schedule, epochs = make_schedule(config), config.epochs or 0
    rate = config.learning_rate * LR_SCALINGS.load(config.lr_scaling)(config.minibatch)
    result = TrainResult(model, backend=backend_description)
    milestones = MilestoneRecorder(model, x_valid, epochs * len(images))
    gradient = make_gradient(model)

    def measure(stage: str) -> None:
        if config.gradient_images:
            result.gradients |= gradient_noise.measure_gradient_noise(model, images, stage)

    def ends(epoch: int, metrics: Metrics) -> bool:
        try:
            on_epoch(epoch, metrics)
        except StopTraining:
            result.stopped = epoch < epochs
        return result.stopped

    if checkpoint_store is not None:
        _resume(checkpoint_store, result, milestones, len(images), optimizer, ends)
    if not result.history:
        measure("start")
    for epoch in range(len(result.history) + 1, epochs + 1):
        if result.stopped:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule(epoch)
        milestones.start()
        metrics = _train_epoch(model, gradient, images, optimizer, epoch, milestones.step)
        milestones.stop()
        if len(x_valid):
            b = bounds.elbo_terms(model, x_valid, 1, "valid", epoch)
            for name, values in {"elbo": b.elbo, "kl": b.kl, "log_likelihood": b.log_likelihood}.items():
                metrics[f"valid/{name}"] = values.mean().item()
        raise_if_diverged(metrics, epoch)
        if epoch == 1:
            measure("epoch_1")
        result.history.append(metrics)
        if not ends(epoch, metrics) and checkpoint_store is not None and checkpoint_store.is_due():
            extra = {"history": result.history, "train_seconds": milestones.seconds}
            extra |= {"along": milestones.metrics, "gradients": result.gradients}
            checkpoint_store.save(checkpoint.Checkpoint(epoch, checkpoint.state_tensors(model, optimizer), extra))
    model.eval()
    if not result.stopped:
        # An optimal scale is fitted to the train images and then fixed, so that scored images never influence it.
        model.likelihood.fit_scale(lambda: mean_squared_error(model, images))
        measure("end")
    result.train_seconds, result.milestones = milestones.seconds, milestones.metrics
    result.gradient_description = gradient.description
    return result


@torch.no_grad()
def mean_squared_error(model: VAE, images: Tensor) -> Tensor:
    """Return the mean of (x - E[x|z])^2 over all pixels of the images [N, P], a scalar. Use one draw of z per image."""
    config = model.config
    x_noise, z_noise = (stream(config.seed, "fit-scale", what, device=images.device) for what in ("pixels", "epsilon"))
    total = 0.0
    for batch in images.split(FIT_IMAGES):
        x = PIXELS.load(config.pixels)(batch, x_noise)
        eps = torch.randn((1, len(x), config.latent_dim), generator=z_noise, device=x.device)
        head = model.decode(model.encode(x).draw(eps))[0]
        total += (x - model.likelihood.mean(head)).double().square().sum().item()
    return torch.tensor(total / images.numel(), device=images.device)


def _resume(
    checkpoint_store: checkpoint.CheckpointStore,
    result: TrainResult,
    milestones: MilestoneRecorder,
    images: int,
    optimizer: optim.Optimizer,
    ends: Callable[[int, Metrics], bool],
) -> None:
    """Restore the state of the newest checkpoint, if there is one, and call `ends` for its epochs, until it is true.

    Args:
        images: number of train images, N.
        ends: returns whether the training ends after an epoch.
    """
    if (state := checkpoint_store.load()) is None:
        return
    checkpoint.load_state_tensors(state.tensors, result.model, optimizer)
    milestones.resume(state.epoch * images, state.extra["train_seconds"], state.extra.get("along", {}))
    result.gradients = state.extra.get("gradients", {})
    for epoch, metrics in enumerate(state.extra["history"], start=1):
        result.history.append(metrics)
        if ends(epoch, metrics):
            return


def make_gradient(model: VAE, calls_before_trace: int | None = None) -> TracedGradient:
    """Return the function that computes the loss and its gradient for one minibatch.

    The function takes x [M, P] and eps [L, M, D], and the weight of the KL as a third argument, a scalar tensor, if the
    configuration changes the KL. The weight is an input because a trace must hold for every step of a warm-up. The
    function returns the loss, and the sums of log-likelihood, KL and objective over the minibatch: [3], float64. It
    writes the loss's gradient to the `grad` of the model's parameters.

    After the first `calls_before_trace` calls (by default several hundred) the gradient is traced, with two exceptions:
    a minibatch with so many draws that the decoder runs in chunks, and a likelihood that is computed image by image.
    """
    config, likelihood = model.config, model.likelihood
    objective = OBJECTIVES.load(config.estimator)
    if config.free_bits:
        objective = functools.partial(objective, free_bits=config.free_bits)
    small = config.samples * config.minibatch <= chunking.max_rows(likelihood.heads, config.architecture)

    def step(x: Tensor, eps: Tensor, beta: Tensor | None = None) -> tuple[Tensor, Tensor]:
        estimate = objective(terms(model, x, eps, config.log_guard, beta=beta))
        parts = (estimate.log_likelihood, estimate.kl, estimate.objective)
        sums = torch.stack([part.detach() for part in parts]).sum(1, dtype=torch.float64)
        return loss(estimate, config.reduction), sums

    traced = small and not likelihood.image_by_image
    return TracedGradient(model, step, traced, calls_before_trace)


def _train_epoch(
    model: VAE,
    gradient: TracedGradient,
    images: Tensor,
    optimizer: optim.Optimizer,
    epoch: int,
    after_step: Callable[[int], None] = lambda images: None,
) -> Metrics:
    """Train for one pass over the images [N, P] in a new order; return the epoch's train/... metrics.

    The last minibatch is used too, even if it is smaller than M.

    Args:
        after_step: called after each step with the number of images in its minibatch.

    Raises:
        NonFiniteLoss: the loss of a step is not finite.
    """
    config, device, N = model.config, images.device, len(images)
    pixels = PIXELS.load(config.pixels)
    order = torch.randperm(N, generator=stream(config.seed, "order", epoch)).to(device)
    pixel_noise = stream(config.seed, "pixels", epoch, device=device)
    epsilon = stream(config.seed, "epsilon", epoch, device=device)
    sums, parameters = torch.zeros(3, dtype=torch.float64, device=device), list(model.parameters())
    first: Metrics = {}
    batches, weighted = order.split(config.minibatch), config.changes_kl
    for step, batch in enumerate(batches, start=1):
        x = pixels(images.index_select(0, batch), pixel_noise)
        eps = torch.randn((config.samples, len(x), config.latent_dim), generator=epsilon, device=device)
        inputs: tuple[Tensor, ...] = (x, eps)
        if weighted:
            inputs += (torch.tensor(kl_weight(config, epoch, step, len(batches)), dtype=x.dtype, device=device),)
        with backend.subnormals_as_zero(config):
            value, parts = gradient(*inputs)
            if not math.isfinite(step_loss := value.item()):
                raise NonFiniteLoss(step_loss, epoch, step, *(parts[:2] / len(x)).tolist())
            optimizer.step()
        if epoch == step == 1:
            reconstruction, divergence, _ = parts.abs().tolist()
            first["train/first_likelihood_over_kl"] = reconstruction / divergence if divergence else math.nan
        sums += parts
        after_step(len(x))
    log_likelihood, kl, objective = (sums / N).tolist()
    metrics = {
        "train/elbo": log_likelihood - kl,
        "train/kl": kl,
        "train/log_likelihood": log_likelihood,
        "train/likelihood_over_kl": abs(log_likelihood) / kl if kl else math.nan,
        "train/gradient_norm": torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]).item(),
        **first,
    }
    # If the objective is not the ELBO, record its value too; both use the same draws.
    is_elbo = not (OBJECTIVES[config.estimator].importance_weighted or config.changes_kl)
    return metrics | ({} if is_elbo else {"train/objective": objective})


def run_notices(config: RunConfig, data: Data) -> list[str]:
    """Return what the user should know about a run before it starts, one line each."""
    lines = []
    if config.minibatch > len(data.train):
        lines.append(
            f"--minibatch {config.minibatch} is more than the {len(data.train)} train images: one step an epoch"
        )
    equal = OBJECTIVES[config.estimator].equal_at_one_sample
    if equal is not None and config.samples == 1:
        lines.append(
            f"--estimator {config.estimator} with --samples 1 equals {equal}: "
            "an importance-weighted bound takes 2 or more"
        )
    if config.kl_warmup > (epochs := config.epochs or 0):
        last = kl_weight(config, epochs, 1, 1)
        lines.append(
            f"--kl-warmup {config.kl_warmup} is more than the {epochs} epochs: the weight of the KL ends at {last:g}, "
            f"not at {config.beta:g}"
        )
    if unused := [str(drop) for drop in config.lr_drops if drop >= epochs]:
        lines.append(f"--lr-drops {' '.join(unused)}: not reached, as the run ends after {epochs} epochs")
    member = LIKELIHOODS[config.likelihood]
    if config.pixels == "grey" and member.family == "density" and member.limits is not None:
        lines.append(
            f"{config.likelihood} on grey pixels: where they are all 0 or all 255 the bound grows as the scale falls, "
            "and only its floor ends that; --pixels dequantised gives densities that can be compared"
        )
    if config.class_scores and not data.classes:
        lines.append(f"--class-scores: none, as {data.name} has no labels")
    return lines
