"""How long runs take on this machine, by a few timed steps. Nothing is written.

A run is a number of steps, the scoring of valid after each epoch, the scoring of test, annealed importance sampling (if
the run has it), and the figures at the end. A few of each are timed on the first images of the data set and
multiplied. So the result is rough: at the start of a real run steps are slower (they are traced only after some
hundred), and several runs at once slow each other down.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import Tensor

from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import Data, load_splits
from vaestudy.model.vae import VAE
from vaestudy.reporting.costs import UNKNOWN, Seconds
from vaestudy.run.execute import scored_images
from vaestudy.run.figures import FigureInputs, draw_figures
from vaestudy.scoring import bounds, inference_gap
from vaestudy.scoring.ais import tuned_temperatures
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.ais_scores import ais_scores, likelihoods_scored
from vaestudy.scoring.score import ELBO_DRAWS, score
from vaestudy.training.divergence import NonFiniteLoss
from vaestudy.training.train import train

TIMED, BETWEEN = "a few timed steps", "timed steps of other cells"
MOST_TIMED = 6
"""The largest number of configurations that are timed; the others lie between these in their arithmetic."""
WARM_UP, FEWEST, MOST = 3, 3, 60
"""Numbers of steps."""
STEP_SECONDS = 1.0
"""About how long the steps of a configuration are timed."""
SCORED = 100
"""The number of images whose scoring is timed."""
FEW_TEMPERATURES, FEW_ANNEALED = 6, 20
"""The settings of annealed importance sampling with which it is timed: temperatures, images."""
LOW, HIGH = 0.7, 1.6
"""The ends of the range, as multiples of what was timed."""
HIGH_WITH_MORE = 2.5
"""The upper end for runs that measure more than is timed: class scores, gradients, milestones."""

_figure_seconds: dict[tuple[str, ...], float] = {}


def timed_seconds(configs: Sequence[RunConfig], root: Path) -> list[Seconds]:
    """Return how long a run of each configuration takes; `MOST_TIMED` of them are timed.

    Args:
        configs: resolved configurations whose data set is under `root`.
        root: the folder of the data sets.
    """
    work = [arithmetic(config, load_splits(config, root)) for config in configs]
    order = sorted(range(len(configs)), key=lambda i: work[i])
    chosen = sorted({order[round(i)] for i in np.linspace(0, len(order) - 1, min(MOST_TIMED, len(order)))})
    measured = {i: one_run(configs[i], load_splits(configs[i], root)) for i in chosen}
    measured = {i: seconds for i, seconds in measured.items() if seconds == seconds}  # nan: it diverged
    known = sorted((work[i], seconds) for i, seconds in measured.items())
    if not known:
        return [Seconds(math.nan, math.nan, UNKNOWN)] * len(configs)
    found = []
    for i, config in enumerate(configs):
        value = measured.get(i, float(np.interp(work[i], [w for w, _ in known], [s for _, s in known])))
        more = config.class_scores or config.gradient_images or config.milestones
        basis = TIMED if i in measured else BETWEEN
        found.append(Seconds(value * LOW, value * (HIGH_WITH_MORE if more else HIGH), basis))
    return found


def arithmetic(config: RunConfig, data: Data) -> float:
    """Return about how many multiplications a run has."""
    widths = [data.train.images[0].numel(), *config.hidden, config.latent_dim]
    image = sum(a * b for a, b in pairwise(widths))
    draws = (config.epochs or 1) * (len(data.train) * (1 + config.samples) * 3 + len(data.valid) * 2)
    scored = len(data.test) * (ELBO_DRAWS + sum(config.iwae)) if config.test_scores else 0
    annealed = gradients_annealed(AisOptions.of_run(config)) + bounds_annealed(config) if config.ais_images else 0
    return float(image * (draws + scored + 3 * annealed))


def gradients_annealed(options: AisOptions) -> int:
    """Return about how many gradients of log p(x|z) in z annealed importance sampling takes, for one likelihood.

    A simulated image is annealed in both directions.
    """
    T = options.ais_temperatures
    passes = options.ais_images * (T + tuned_temperatures(T)) + options.ais_simulated * (2 * T + tuned_temperatures(T))
    return passes * options.ais_chains * options.ais_leapfrog


def bounds_annealed(config: RunConfig) -> int:
    """Return how many gradients take as long as the bounds that are compared with annealed importance sampling."""
    split = inference_gap.STEPS * inference_gap.SEARCH_DRAWS if config.ais_split else 0
    return config.ais_images * (sum({*config.iwae, *config.ais_iwae}) // 3 + split)


def one_run(config: RunConfig, data: Data) -> float:
    """Return about how many seconds a run of a configuration takes; nan if it diverges within the timed steps."""
    try:
        return _one_run(config, data)
    except NonFiniteLoss:
        return math.nan


def _one_run(config: RunConfig, data: Data) -> float:
    """Time the parts of a run, and return the sum of their multiples in seconds."""
    epochs, M = config.epochs or 1, config.minibatch
    plain = config.with_changes(
        epochs=1, milestones=(), gradient_images=0, gradient_estimators=(), kl_warmup=min(config.kl_warmup, 1)
    )

    def steps(count: int) -> float:
        part = Data(data.name, data.train[: count * M], data.valid[:0], data.test, data.fingerprint)
        return train(plain, part).train_seconds / math.ceil(len(part.train) / M)

    first = steps(WARM_UP)
    each = steps(max(FEWEST, min(MOST, round(STEP_SECONDS / max(first, 1e-4)))))
    seconds = epochs * math.ceil(len(data.train) / M) * each
    few = Data(data.name, data.train[:M], data.valid[:0], data.test[:SCORED], data.fingerprint)
    model = train(plain, few).model
    x, labels = scored_images(config, few)
    began = time.perf_counter()
    bounds.elbo_terms(model, x, 1, "plan")
    seconds += (time.perf_counter() - began) / len(x) * len(data.valid) * epochs
    if not config.test_scores:
        return seconds
    began = time.perf_counter()
    scores = score(model, x, labels, config.iwae)
    seconds += (time.perf_counter() - began) / len(x) * len(data.test)
    if config.ais_images:
        seconds += _annealing(config, model, x)
    if config.figures not in _figure_seconds:
        began = time.perf_counter()
        history = [{"train/elbo": 0.0, "train/kl": 0.0, "train/log_likelihood": 0.0}]
        draw_figures(FigureInputs(model, x, labels, history, scores), config.figures)
        _figure_seconds[config.figures] = time.perf_counter() - began
    return seconds + _figure_seconds[config.figures]


def _annealing(config: RunConfig, model: VAE, x: Tensor) -> float:
    """Return about how many seconds annealed importance sampling takes, by a few temperatures and images of x."""
    options = AisOptions.of_run(config)
    short = {"ais_temperatures": FEW_TEMPERATURES, "ais_images": FEW_ANNEALED, "ais_simulated": 0, "ais_split": False}
    few = options.model_copy(update=short)
    began = time.perf_counter()
    ais_scores(model, x, few, ())
    timed = gradients_annealed(few.model_copy(update={"ais_images": min(FEW_ANNEALED, len(x))}))
    each = (time.perf_counter() - began) / (timed * likelihoods_scored(model))
    return each * likelihoods_scored(model) * (gradients_annealed(options) + bounds_annealed(config))
