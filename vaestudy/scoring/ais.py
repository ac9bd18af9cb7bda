"""Annealed importance sampling: an estimate of log p(x) that does not use the encoder.

Neal 2001, «Annealed importance sampling»; Wu et al. 2017, «On the quantitative analysis of decoder-based generative
models», who found importance weighting with q(z|x) to be loose by many nats for densities.

A chain starts at a draw z_0 of the prior and moves through the annealed posteriors p(z) p(x|z)^beta_t, where
0 = beta_0 < ... < beta_T-1 = 1. At each temperature between the two ends one transition of Hamiltonian Monte Carlo
(`hmc.py`) leaves p(z) p(x|z)^beta_t unchanged. With z_t after the transition at beta_t, the weight of the chain is

    ln w = sum over t = 1 .. T-1 of (beta_t - beta_(t-1)) ln p(x|z_(t-1))

and E[w] = p(x). So ln (1/K sum_k w_k) is, in expectation, a lower bound on log p(x). It is tighter with more
temperatures T and more chains K.

* Chains start at the prior, not at q(z|x), although a start at q(z|x) is usually tighter. So the estimate is an outside
  check of the bounds that use the encoder: where q(z|x) misses a part of the posterior, these share its error.
* The step sizes are found in a preliminary pass with its own random numbers, for each image and temperature, and are
  then frozen. If they were adapted in the pass that is weighted, E[w] would not be p(x).
* Each image has its own random stream, named by its number in the split. Blocks of images are annealed one by one, or
  several at the same time in threads. How many does not change the result: a block always has the same images.

Shapes: N images, M images of a block, K chains, D latent dimensions, P pixels, T temperatures.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.hmc import ROWS_PER_PASS, LogLikelihood, Noise, frozen, require_gradient, transition

SIGMOID_WIDTH = 4.0
"""The schedule `sigmoid` takes its temperatures from the logistic function on [-4, 4], as Wu et al. 2017 do."""

# Noise is drawn for this many chains and temperatures of an image at a time: another number would change the noise.
ROWS_DRAWN = 5_000

FIRST_STEP = 0.5
"""The step size with which the preliminary pass begins."""
WANTED_ACCEPTANCE = 0.65
"""The acceptance probability that the step sizes aim at; the best one in many dimensions (Beskos et al. 2013)."""
GAIN = 1.0
"""How much ln step changes after a transition, per unit of acceptance probability."""
LEAST_TUNED, TUNED_SHARE = 50, 5
"""The preliminary pass has a fifth of the temperatures, but at least 50 (or all, if there are fewer)."""

T = TypeVar("T")
OnImages = Callable[[int], None]


@dataclass(frozen=True)
class Annealed:
    """The results of annealed importance sampling for each image: [N], float64."""

    log_px: Tensor
    """ln of the mean weight of the chains, nats."""
    ess: Tensor
    """(sum w)^2 / sum w^2, the effective number of chains: from 1 to K."""
    acceptance: Tensor
    """The mean acceptance probability of the transitions; nan if there are only two temperatures, so no transitions."""


def temperatures(options: AisOptions, count: int | None = None) -> Tensor:
    """Return beta_0 = 0 to beta_T-1 = 1, float64.

    Args:
        options: the schedule, and T.
        count: T, in place of that of the options.
    """
    place = torch.linspace(0, 1, options.ais_temperatures if count is None else count, dtype=torch.float64)
    if options.ais_schedule == "linear":
        return place
    curve = (SIGMOID_WIDTH * (2 * place - 1)).sigmoid()
    return (curve - curve[0]) / (curve[-1] - curve[0])


def annealed(
    model: VAE,
    x: Tensor,
    options: AisOptions,
    likelihood: Callable[[VAE], Likelihood] = lambda model: model.likelihood,
    workers: int = 1,
    on_images: OnImages = lambda images: None,
) -> Annealed:
    """Return log p(x) by annealed importance sampling, for each image of x [N, P].

    Args:
        model: the VAE.
        x: the images, from the first of the split: their numbers name their random streams.
        options: the settings. The number of images is that of x.
        likelihood: which part of the model scores x: model -> likelihood.
        workers: the number of threads; it changes no result.
        on_images: receives the number of images of each block that is done.

    Raises:
        BadInput: the likelihood has no gradient in z.
    """
    model = frozen(model)
    require_gradient(model, x, likelihood(model))

    def work(block: range, stop: threading.Event) -> Annealed:
        target = LogLikelihood(model, x[block.start : block.stop], likelihood(model))
        steps = tuned_steps(target, options, ChainNoise("tune", block, target, options), stop)
        noise = ChainNoise("forward", block, target, options)
        log_w, acceptance = anneal(target, noise.start(), steps, options, noise, stop)
        on_images(len(block))
        return summary(log_w, acceptance)

    return joined(in_threads(work, blocks(len(x), options), workers))


def blocks(images: int, options: AisOptions) -> list[range]:
    """Return the numbers of the images of each block: as many as one pass takes with all their chains."""
    size = max(1, ROWS_PER_PASS // options.ais_chains)
    return [range(first, min(first + size, images)) for first in range(0, images, size)]


def summary(log_w: Tensor, acceptance: Tensor, sign: int = 1) -> Annealed:
    """Return the results of a block with the log-weights log_w [K, M] and acceptance probabilities [M].

    Args:
        sign: -1 for a reverse pass, in which the mean of 1 / w estimates 1 / p(x).
    """
    signed = sign * log_w
    total = signed.logsumexp(0)
    ess = (2 * total - (2 * signed).logsumexp(0)).exp()
    return Annealed(sign * (total - math.log(len(log_w))), ess, acceptance)


def joined(parts: list[Annealed]) -> Annealed:
    """Return the results of all blocks."""
    return Annealed(*(torch.cat([getattr(part, name) for part in parts]) for name in ("log_px", "ess", "acceptance")))


def in_threads(work: Callable[[range, threading.Event], T], items: list[range], workers: int) -> list[T]:
    """Return `work(item, stop)` of each item, in their order, computed by several threads.

    The event `stop` is set if an item fails or the user interrupts; then the other threads end soon.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, item, stop) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


class Stopped(Exception):
    """Error that ends a pass early, after another thread failed or the user interrupted the program."""


class ChainNoise:
    """The random numbers of the chains of a block of images.

    Each image has a stream of its own, so an image's numbers do not depend on the other images that are scored.
    """

    def __init__(self, purpose: str, images: range, target: LogLikelihood, options: AisOptions) -> None:
        """Args:
        purpose: what the numbers are for, a part of the streams' names.
        images: the numbers of the images.
        target: gives the type and the device of the numbers.
        options: gives the number of chains.
        """
        x, self.K, self.D = target.x, options.ais_chains, target.model.config.latent_dim
        self._like = {"dtype": x.dtype, "device": x.device}
        self._generators = [stream("score", "ais", purpose, image, device=x.device) for image in images]

    def start(self) -> Tensor:
        """Return draws of the prior, [K, M, D]."""
        return self._stacked((self.K, self.D), torch.randn)

    def __iter__(self) -> Iterator[Noise]:
        """Yield the noise of one transition after another."""
        while True:
            most = max(1, ROWS_DRAWN // self.K)
            momenta = self._stacked((most, self.K, self.D), torch.randn)
            uniforms = self._stacked((most, 2, self.K), torch.rand)
            yield from map(Noise, momenta, uniforms)

    def _stacked(self, shape: tuple[int, ...], draw: Callable[..., Tensor]) -> Tensor:
        """Return draws of this shape for each image, with the images as one more axis after that of the chains."""
        drawn = [draw(shape, generator=generator, **self._like) for generator in self._generators]
        return torch.stack(drawn, dim=len(shape) - (1 if draw is torch.randn else 0))


@dataclass(frozen=True)
class Steps:
    """The step sizes that a preliminary pass found, frozen."""

    table: Tensor
    """The step sizes at the temperatures of the preliminary pass, [its T, M]. The first and the last row are unused."""

    def at(self, t: int, count: int) -> Tensor:
        """Return the step sizes at temperature t of `count`, [M]: the nearest of the preliminary pass."""
        last = len(self.table) - 1
        return self.table[min(max(round(t * last / (count - 1)), 1), last - 1)]


def tuned_temperatures(count: int) -> int:
    """Return the number of temperatures of the preliminary pass, for a pass with `count` temperatures."""
    return min(count, max(LEAST_TUNED, count // TUNED_SHARE))


def tuned_steps(target: LogLikelihood, options: AisOptions, noise: ChainNoise, stop: threading.Event) -> Steps:
    """Return step sizes for each image and temperature, from a preliminary pass with fewer temperatures.

    After each transition ln step rises or falls by the difference between the mean acceptance probability of the
    image's chains and the wanted one.
    """
    count = tuned_temperatures(options.ais_temperatures)
    z = noise.start()
    log_step = torch.full((len(target.x),), math.log(FIRST_STEP), dtype=z.dtype, device=z.device)
    table = log_step.repeat(count, 1)
    state = target(z)
    inner = range(1, count - 1)
    for t, beta, numbers in zip(inner, temperatures(options, count)[1:-1].tolist(), noise, strict=False):
        _raise_if_stopped(stop)
        state, probability = transition(target, state, beta, log_step.exp(), numbers, options.ais_leapfrog)
        log_step = log_step + GAIN * (probability.mean(0) - WANTED_ACCEPTANCE)
        table[t] = log_step
    return Steps(table.exp())


def anneal(
    target: LogLikelihood,
    start: Tensor,
    steps: Steps,
    options: AisOptions,
    noise: ChainNoise,
    stop: threading.Event,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Anneal the chains of a block; return (ln w [K, M], mean acceptance probability [M]), float64.

    Args:
        target: log p(x|z) of the images.
        start: where the chains start, [K, M, D]: draws of the prior, or of the posterior if `reverse`.
        steps: the step sizes.
        options: the settings.
        noise: the random numbers of the transitions.
        stop: ends the pass early.
        reverse: whether the temperatures are taken from the posterior to the prior.

    Raises:
        Stopped: `stop` was set.
    """
    betas = temperatures(options)
    count, order = len(betas), range(1, len(betas) - 1)
    rises = betas.diff().tolist()  # rises[t - 1] = beta_t - beta_(t-1)
    state = target(start)
    log_w = state.log_px_z.double() * (rises[-1] if reverse else rises[0])
    accepted = torch.zeros(start.shape[1], dtype=torch.float64, device=start.device)
    for t, numbers in zip(reversed(order) if reverse else order, noise, strict=False):
        _raise_if_stopped(stop)
        step = steps.at(t, count)
        state, probability = transition(target, state, betas[t].item(), step, numbers, options.ais_leapfrog)
        log_w += state.log_px_z.double() * rises[t - 1 if reverse else t]
        accepted += probability.double().mean(0)
    return log_w, accepted / len(order) if len(order) else accepted.fill_(math.nan)


def _raise_if_stopped(stop: threading.Event) -> None:
    """Raise if `stop` is set.

    Raises:
        Stopped: it is.
    """
    if stop.is_set():
        raise Stopped
