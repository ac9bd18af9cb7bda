"""One run from configuration to record: read the data, train, score, draw figures, pack the files.

The functions here read the data, but they write nothing to disk and track nothing. So a run can be repeated anywhere,
in this process or in another one, and its record can be sent over a network. The only exception is the checkpoint
store, if the caller passes one: it writes to disk.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from vaestudy.config.compatibility import OPTION_DEFAULTS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.datasets import Data
from vaestudy.data.pixels import fixed
from vaestudy.errors import BadInput
from vaestudy.model.likelihoods.base import make_likelihood
from vaestudy.model.vae import VAE
from vaestudy.run import figures
from vaestudy.run.image_scores import IMAGE_SCORES, identity_of, pack_image_scores
from vaestudy.run.record import Record
from vaestudy.run.user_code import user_code
from vaestudy.run.weights import pack_weights
from vaestudy.runtime import provenance
from vaestudy.scoring import hmc, score
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.ais_scores import ais_scores
from vaestudy.scoring.bounds import Metrics
from vaestudy.scoring.class_probe import class_scores, get_panel
from vaestudy.training import backend
from vaestudy.training.checkpoint import CheckpointStore
from vaestudy.training.divergence import NonFiniteLoss, raise_if_diverged
from vaestudy.training.train import OnEpoch, TrainResult, run_notices, train

EVALUATION = "beta = 1, no free bits"
"""The tag `evaluation`: how valid and test are scored, whatever weight and free bits the KL has in training."""
LONGEST_NOTICES = 4_000
"""The number of characters to which the tag `notices` is cut: a tracker refuses a run with a longer tag."""


def require_device(device: str) -> None:
    """Raise unless torch can use the device on this machine.

    Raises:
        BadInput: the machine has no such device, or torch was built without support for it.
    """
    kind, _, index = device.partition(":")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.mps.is_available())}
    if int(index or 0) >= there[kind]:
        valid = ", ".join(name for name, count in there.items() if count)
        raise BadInput(f"--device {device}: this machine has none that torch can use; choose from: {valid}")


def require_gradient_in_z(configs: Iterable[RunConfig]) -> None:
    """Raise unless each likelihood that is to be scored by annealed importance sampling has a gradient in z.

    An untrained model of each likelihood is tried on one grey image. Nothing is tried without `ais_images`.

    Raises:
        BadInput: a likelihood has none.
    """
    tried = {
        (config.likelihood, *(getattr(config, option) for option in OPTION_DEFAULTS)): config
        for config in configs
        if config.ais_images
    }
    for config in tried.values():
        model = hmc.frozen(VAE(config))
        x = torch.full((1, model.shape.pixels), 0.5)
        hmc.require_gradient(model, x, model.likelihood, f"--ais-images {config.ais_images}")


def run(
    config: RunConfig,
    data_dir: Path | str | None = None,
    report: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> Record:
    """Train and score one VAE. Nothing is written to disk and nothing is tracked.

    Args:
        config: the configuration of the run. `dataset="auto"`, `epochs` and `valid_size` are filled in as by the
            command line.
        data_dir: the folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache].
        report: receives notices for the user about the run, one line per call [default: print to stderr].

    Returns:
        the record: scores, curves, weights and figures.

    Raises:
        BadInput: the data set or the device is not available.
        NonFiniteLoss: the run diverged.
    """
    root = datasets.data_root(None if data_dir is None else Path(data_dir))
    resolved, note = datasets.resolve(config, root)
    if note is not None:
        report(note)
    return execute(resolved, root, report=report)


def execute(
    config: RunConfig,
    root: Path,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    report: Callable[[str], None] = lambda line: None,
    checkpoint_store: CheckpointStore | None = None,
) -> Record:
    """Run a resolved configuration on the data under `root`, and return its record.

    Args:
        config: a configuration without values that are still to be filled in, see `datasets.resolve`.
        root: the folder of the data sets.
        on_epoch: receives each epoch's number and metrics.
        report: receives notices for the user, one line per call.
        checkpoint_store: where checkpoints are written and from where an interrupted run is resumed [default: no
            checkpoints].

    Raises:
        BadInput: the data set or the device is not available.
        NonFiniteLoss: the run diverged. Its `facts` and `data` are those that the run's record would have.
    """
    require_device(config.device)
    origin = origin_tags()  # before training, in which the checkout may change
    parts, code = user_code(config)  # for the same reason
    clock = [time.perf_counter()]
    data = datasets.load_splits(config, root)
    if config.ais_images > (images := len(data.test)):
        raise BadInput(f"--ais-images {config.ais_images}: must be {images} or less, the test images of {data.name}")
    require_gradient_in_z([config])
    lines = run_notices(config, data)
    for line in lines:
        report(line)
    with _divergence_with_facts(config, data, origin | parts, lines):
        result = train(config, data, on_epoch, checkpoint_store)
    lines += checkpoint_store.warnings if checkpoint_store else []
    clock.append(time.perf_counter())
    epochs = len(result.history)
    metrics = result.milestones | result.gradients
    metrics |= {
        "seconds_per_epoch": result.train_seconds / max(epochs, 1),
        "seconds/train": result.train_seconds,
        "seconds/train_and_validate": clock[1] - clock[0],
    }
    files = {"config.json": (config.model_dump_json(indent=2) + "\n").encode()} | code
    kl_per_dimension: list[float] = []
    by_image: tuple[str, ...] = ()
    if config.test_scores and not result.stopped:
        with _divergence_with_facts(config, data, origin | parts, lines):
            scored, further, scores = _score_and_draw(result, config, data, clock, lines, report)
        metrics, files = scored | metrics, files | further
        kl_per_dimension, by_image = scores.kl_per_dimension, tuple(scores.by_image)
    if result.stopped:
        metrics |= {"pruned/epoch": float(epochs), "pruned/epochs_saved": float((config.epochs or 1) - epochs)}
    metrics["seconds/total"] = clock[-1] - clock[0]
    about = (
        origin
        | parts
        | run_tags(config, data, result.backend)
        | {"gradient": result.gradient_description, "outcome": "pruned" if result.stopped else "complete"}
        | _notices_tag(lines)
        | ({"image_scores": ", ".join(by_image)} if by_image else {})
    )
    pruned_epoch = epochs if result.stopped else None
    return Record(
        config, metrics, result.history, kl_per_dimension, files, about, data_summary(data), tuple(lines), pruned_epoch
    )


@contextmanager
def _divergence_with_facts(
    config: RunConfig, data: Data, origin: Mapping[str, str], lines: Sequence[str]
) -> Iterator[None]:
    """Give a run that diverges within the block the facts of a record: a diverged run is evidence, too.

    Args:
        config: the configuration of the run.
        data: the data set.
        origin: the facts about the code and the machine.
        lines: the notices of the run.
    """
    try:
        yield
    except NonFiniteLoss as error:
        tags = run_tags(config, data, backend.configure(config, data.shape))
        error.facts, error.data = dict(origin) | tags | _notices_tag(lines), data_summary(data)
        raise


def _notices_tag(lines: Sequence[str]) -> dict[str, str]:
    """Return the tag of a run's notices; nothing if there are none."""
    return {"notices": "; ".join(lines)[:LONGEST_NOTICES]} if lines else {}


def _score_and_draw(
    result: TrainResult,
    config: RunConfig,
    data: Data,
    clock: list[float],
    lines: list[str],
    report: Callable[[str], None],
) -> tuple[Metrics, dict[str, bytes], score.Scores]:
    """Score a trained model on test and draw its figures.

    Args:
        result: the trained model.
        config: its configuration.
        data: the data set.
        clock: receives the times after scoring and after drawing.
        lines: receives a line about each figure that could not be drawn.
        report: receives the same lines.

    Returns:
        (the metrics, the files, the scores).

    Raises:
        NonFiniteLoss: the ELBO on test is not finite.
    """
    x, labels = scored_images(config, data)
    scores = score_run(result.model, x, labels, data)
    raise_if_diverged({"test/elbo": scores.metrics["elbo"]}, config.epochs or 1)
    packed = pack_image_scores(identity_of(x, config.pixels, data.fingerprint), scores.by_image)
    clock.append(time.perf_counter())
    inputs = figures.FigureInputs(result.model, x, labels, result.history, scores)
    pictures, not_drawn = figures.draw_figures(inputs, config.figures)
    for line in not_drawn:
        report(line)
    lines += not_drawn
    clock.append(time.perf_counter())
    metrics = {f"test/{name}": value for name, value in scores.metrics.items()}
    for label, row in scores.per_class.items():
        metrics |= {f"test/class_{label}/{name}": value for name, value in row.items()}
    metrics |= {
        "epochs_to_95": score.epochs_to_95(result.history),
        "seconds/score": clock[-2] - clock[-3],
        "seconds/figures": clock[-1] - clock[-2],
    }
    files = {
        "weights.safetensors": pack_weights(result.model),
        "scores.json": (json.dumps({"split": "test"} | scores.to_json(), indent=2) + "\n").encode(),
        IMAGE_SCORES: packed,
        **{f"figures/{name}.png": content for name, content in pictures.items()},
    }
    return metrics, files, scores


def scored_images(config: RunConfig, data: Data) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the test images x [N, P] and labels [N] or None, which are used to score the runs of a configuration."""
    x = fixed(config.pixels, data.test.images.to(config.device), "test")
    return x, None if data.test.labels is None else data.test.labels.to(config.device)


def score_run(model: VAE, x: torch.Tensor, labels: torch.Tensor | None, data: Data) -> score.Scores:
    """Return all scores that the model's configuration requests.

    Args:
        x: the test images of `data` as pixels, [N, P], from `scored_images`.
        labels: their classes, [N], or None. Without labels there are no class scores.
        data: the data set; its train split trains the classifier of the class scores.
    """
    scores = score.score(model, x, labels, model.config.iwae)
    if model.config.class_scores and labels is not None:
        scores = scores.joined(*class_scores(model, x, labels, get_panel(model.config, data), data.classes))
    if (config := model.config).ais_images:
        found = ais_scores(model, x, AisOptions.of_run(config), {*config.iwae, *config.ais_iwae})
        scores = scores.joined(found.metrics, ais_by_image={k: values.tolist() for k, values in found.by_image.items()})
    return scores


def data_summary(data: Data) -> dict[str, str]:
    """Return the data set's name, fingerprint, shape, split sizes and classes, all as text, for the tracker."""
    sizes = {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)}
    about = {"name": data.name, "fingerprint": data.fingerprint, "shape": str(data.shape)}
    about["classes"] = str(data.classes) if data.classes else "none: no labels"
    return {**about, **{k: str(v) for k, v in sizes.items()}, **{k: v[:LONGEST_NOTICES] for k, v in data.facts.items()}}


def origin_tags() -> dict[str, str]:
    """Return the revision of the code, the versions of the packages and the hardware: name -> value, all as text."""
    revision = provenance.code_revision()
    return {
        "code.revision": revision.commit,
        "code.state": revision.state,
        **{f"version.{name}": value for name, value in provenance.versions().items()},
        **{f"hardware.{name}": value for name, value in provenance.hardware().items()},
    }


def run_tags(config: RunConfig, data: Data, set_up: str) -> dict[str, str]:
    """Return what another person needs beside `origin_tags` to reproduce the bits of the results, all as text.

    Args:
        config: the configuration of the run.
        data: the data set.
        set_up: how torch was set up, as `backend.configure` describes it.
    """
    return {
        "config.key": config.key,
        "threads": str(config.threads),
        "backend": set_up,
        "likelihood": make_likelihood(config).describe(),
        "evaluation": EVALUATION,
        **{f"data.{name}": value for name, value in data_summary(data).items()},
    }
