"""Trains, scores and tracks one VAE: what `vaestudy train` and `vaestudy.train` do."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.run import execute
from vaestudy.run.record import EpochEnd, Record, RunFailure
from vaestudy.runtime import addresses
from vaestudy.runtime.console import PlainConsole, progress
from vaestudy.runtime.signals import deferring_interrupts, handling_signals, raise_if_interrupted
from vaestudy.scoring.bounds import Metrics
from vaestudy.study.sweep import NO_SWEEP, single_run
from vaestudy.tracking.mlflow_tracker import require_tracker
from vaestudy.tracking.publisher import Publisher
from vaestudy.tracking.repetition import Repetition
from vaestudy.tracking.tracked_run import TrackedRun
from vaestudy.training import memory
from vaestudy.training.divergence import NonFiniteLoss


def train(
    config: RunConfig,
    *,
    data_dir: Path | str | None = None,
    tracking_uri: str | None = None,
    quiet: bool = False,
) -> TrackedRun:
    """Train, score and track one VAE, as `vaestudy train` does.

    Args:
        config: the configuration of the run. `dataset="auto"`, `epochs` and `valid_size` are filled in as by the
            command line.
        data_dir: the folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache].
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].
        quiet: print nothing. If not, a progress bar (in a terminal) and notices are printed to stderr.

    Returns:
        the run. If the tracker was lost during the training, a warning says so, the run's id is None, and its record
        waits on disk.

    Raises:
        BadInput: the data set, the device or the tracker cannot be used, or there is not enough memory.
        NonFiniteLoss: the run diverged. Its epochs are tracked, and the attribute `run_id` of the error names the run.
    """
    root = datasets.data_root(None if data_dir is None else Path(data_dir))
    uri = addresses.tracking_uri(tracking_uri)
    if config.device == "cpu":
        memory.require_memory([config])
    resolved, note = datasets.resolve(config, root)
    console = PlainConsole(stderr=True, quiet=quiet)
    with handling_signals(end_at_second=False):
        run = train_tracked(resolved, root, uri, console, (note,) if note else ())
    if run.id is None:
        warnings.warn("the result waits on disk for the tracker; `vaestudy sync` delivers it", stacklevel=2)
    return run


def train_tracked(
    config: RunConfig,
    root: Path,
    uri: str,
    console: Console,
    notes: Iterable[str] = (),
    repetition: Repetition | None = None,
    on_epoch: Callable[[Metrics], None] = lambda metrics: None,
) -> TrackedRun:
    """Train, score and track one VAE.

    Args:
        config: the resolved configuration.
        root: the folder of the data sets.
        uri: the address of the tracker.
        console: receives the progress and the notices.
        notes: what the user should know before the training, one line each.
        repetition: the tracked run that this one repeats, if it repeats one.
        on_epoch: receives the metrics of each epoch.

    Raises:
        BadInput: the device or the tracker cannot be used.
        NonFiniteLoss: the run diverged. It is closed in MLflow, and `run_id` of the error names it.
    """
    execute.require_device(config.device)
    execute.require_gradient_in_z([config])
    require_tracker(uri)
    notices: list[str] = []

    def report(line: str) -> None:
        notices.append(line)
        console.print(line, style="yellow")

    for line in (*notes, *(repetition.lines if repetition else ())):
        report(line)
    sender = Publisher(uri, single_run(config), NO_SWEEP, report)
    with sender.owning_records():
        record = _execute(config, root, sender, console, report, repetition, on_epoch)
        compared = repetition.compare(record) if repetition else None
        if repetition and compared:
            record = replace(record, facts=record.facts | repetition.tags | compared.tags)
        with deferring_interrupts():
            run_id = sender.finish(config.key, record)
    link = None
    if run_id is not None:
        to = sender.destination()
        link = to.tracker.link(to.experiment, run_id)
    return TrackedRun(run_id, record, root, tuple(notices), link, compared)


def _execute(
    config: RunConfig,
    root: Path,
    sender: Publisher,
    console: Console,
    report: Callable[[str], None],
    repetition: Repetition | None,
    on_epoch: Callable[[Metrics], None],
) -> Record:
    """Execute a single run and send its epochs to MLflow; if it fails, close it there."""
    name = f"{config.dataset_name} D={config.latent_dim} {config.likelihood} {config.estimator} seed={config.seed}"
    sender.begin(name, config, repetition.tags if repetition else {})
    with progress(console) as bar:
        task = bar.add_task("training", total=config.epochs, shown="")

        def end_epoch(epoch: int, metrics: Metrics) -> None:
            raise_if_interrupted()
            on_epoch(metrics)
            sender.epoch(EpochEnd(config.key, epoch, metrics))
            split = "valid" if "valid/elbo" in metrics else "train"
            bar.update(task, completed=epoch, shown=f"{split} elbo {metrics[f'{split}/elbo']:.2f}")

        try:
            return execute.execute(config, root, end_epoch, report)
        except KeyboardInterrupt:
            sender.close("KILLED")
            raise
        except NonFiniteLoss as error:
            with deferring_interrupts():
                error.run_id = sender.fail(config.key, RunFailure.of_divergence(error, traceback.format_exc()))
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            with deferring_interrupts():
                sender.fail(config.key, RunFailure(reason, traceback.format_exc(), diverged=False))
            raise
