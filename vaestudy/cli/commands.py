"""The work of the commands, after their input has been validated, and the printing of results and notes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from torch import Tensor

from vaestudy.cli.comparison import show_comparison, show_divergence
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.model.vae import VAE
from vaestudy.reporting import export
from vaestudy.reporting.tables.formats import number_text
from vaestudy.run import execute, weights
from vaestudy.runtime.addresses import is_server
from vaestudy.runtime.console import consoles, print_json, print_uncut, progress
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.scoring.ais_scores import ais_scores, work_in_images
from vaestudy.scoring.bounds import Metrics
from vaestudy.scoring.score import score_importance
from vaestudy.study.declaration import is_nats_of_pixels
from vaestudy.study.plan import Plan
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.seeds_until import run_with_seeds
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.trial_storage import require_own_database
from vaestudy.sweep.worker_pool import WorkersLost
from vaestudy.tracking.delivery import sync
from vaestudy.tracking.destination import Destination
from vaestudy.tracking.mlflow_tracker import Tracker, require_tracker
from vaestudy.tracking.prepared_view import cells_link, sweep_link
from vaestudy.tracking.repetition import Repetition, prepare_repetition
from vaestudy.tracking.run_data import images_of_run
from vaestudy.tracking.single_run import train_tracked
from vaestudy.training import backend
from vaestudy.training.divergence import NonFiniteLoss

READING = (
    "±: standard error over the test images (..._prior: over draws), not over seeds. "
    "elbo and iwae_K: lower bounds on log p(x); log_likelihood - kl = elbo."
)
"""The text below a table of scores that explains its names."""
READING_AIS = (
    "ais_TxKxN: log p(x) by annealed importance sampling with T temperatures, K chains and N images, a lower bound; "
    "looseness: how far a bound is below it on these images; bdmc_gap: in expectation at least the error of ais, on "
    "images that the model draws, which ± is over there. docs/ais.md explains them."
)
"""The text that explains the scores of annealed importance sampling."""


def train_and_track(
    config: RunConfig, root: Path, uri: str, note: str | None, as_json: bool, repetition: Repetition | None = None
) -> int:
    """Train, score and track one VAE; print the scores and return the exit code.

    Args:
        config: the resolved configuration.
        root: the folder of the data sets.
        uri: the address of the tracker.
        note: a note about the choice of the data set, if there is one.
        as_json: whether to print one JSON object in place of tables.
        repetition: the tracked run that this one repeats, if it repeats one.
    """
    err, out = consoles()
    history: list[Metrics] = []
    try:
        run = train_tracked(config, root, uri, err, (note,) if note else (), repetition, history.append)
    except NonFiniteLoss as error:
        err.print(f"vaestudy train: diverged: {error}; its epochs are recorded in run {error.run_id}", style="red")
        if repetition:
            show_divergence(repetition.compare_divergence(str(error), history), error.run_id, as_json)
        return 1
    if as_json:
        head = {"run_id": run.id, "status": "FINISHED" if run.id else "WAITING"}
        head |= {"dataset": config.dataset, "config_key": config.key}
        head |= run.comparison.to_json() if run.comparison else {}
        print_json(head | run.metrics | {"notes": list(run.notices), "link": run.link})
        return max(0 if run.id else 1, show_comparison(run.comparison, as_json))
    out.print(_score_tables(run.record.metrics, int(run.record.data["test"]), config))
    out.print(READING)
    for line in run.notices:
        out.print(line, style="yellow")
    if run.link is None:
        err.print("the result waits on disk for the tracker; `vaestudy sync` delivers it", style="red")
        return 1
    out.print(f"run       {run.id}\n{_where(is_server(uri), run.link)}")
    return show_comparison(run.comparison, as_json)


def train_again(run: str, root: Path, uri: str, any_revision: bool, as_json: bool, dataset: str | None = None) -> int:
    """Train a tracked run again and compare the two records; return the exit code, 1 if they differ.

    Args:
        run: the run's id in MLflow, or its first digits.
        root: the folder of the data sets.
        uri: the address of the tracker.
        any_revision: whether another code revision than the recorded one is reported and not refused.
        as_json: whether to print one JSON object in place of tables.
        dataset: where the run's own data lies now, if it has moved.

    Raises:
        BadInput: the run cannot be repeated here; the message says why.
    """
    repetition = prepare_repetition(Tracker(uri), run, root, any_revision, dataset)
    return train_and_track(repetition.recorded.config, root, uri, None, as_json, repetition)


def _where(has_server: bool, link: str) -> str:
    """Return the line that says how to open a run's page in MLflow."""
    return f"in MLflow {link}" if has_server else f"in MLflow `vaestudy ui`, then {link}"


def _score_tables(metrics: Metrics, images: int, config: RunConfig) -> Group:
    """Return the tables of one run's test scores: first the scores in nats of pixels, then all others."""
    nats = Table(title=f"{config.dataset_name}, {images:,} test images, {config.pixels} pixels; nats per image")
    rest = Table(title="further scores of the same model")
    for table, heading in itertools.product((nats, rest), ("score", "value", "±")):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for key, value in metrics.items():
        name = key.removeprefix("test/")
        if key.startswith("test/") and f"{key}_se" in metrics and "/" not in name:
            table, digits = (nats, 2) if is_nats_of_pixels(name) else (rest, 3)
            error = metrics[f"{key}_se"]  # nan for one image
            form = f".{digits}f"
            table.add_row(name, number_text(value, form), number_text(error, form) if error == error else "")
    if (active := metrics.get("test/active_units")) is not None:  # a trial of a search has none on record
        shown = f"{active:.0f} of {config.latent_dim}" if active == active else "needs two test images"
        rest.add_row("active_units", shown, "")
    return Group(nats, rest)


def score_again(
    run_id: str, iwae: tuple[int, ...] | None, ais: AisOptions | None, root: Path, uri: str, as_json: bool
) -> int:
    """Score a tracked run again; add new scores to the run and change no recorded score. Return the exit code.

    Args:
        run_id: the run's id in MLflow, or its first digits.
        iwae: the K of the importance-weighted bounds to score.
        ais: the settings of annealed importance sampling; None leaves it out. Without `iwae` and `ais` the scoring of a
            new run is repeated.
        root: the folder of the data sets.
        uri: the address of the tracker.
        as_json: whether to print one JSON object in place of tables.

    Raises:
        BadInput: the images under `root` are not those of the run, or its likelihood has no gradient in z (`ais`).
    """
    err, out = consoles()
    tracker = Tracker(uri)
    run_id = tracker.full_run_id(run_id)
    recorded = tracker.get(run_id)
    model = weights.unpack_weights(tracker.read_file(run_id, "weights.safetensors"))
    config = model.config
    execute.require_device(config.device)
    backend.configure(config, model.shape)
    data = images_of_run(run_id, config, recorded.get("tags.data.fingerprint"), root)
    x, labels = execute.scored_images(config, data)
    found: Metrics = {}
    if iwae is not None or ais is None:
        with err.status("scoring"):
            if iwae is None:
                found |= execute.score_run(model, x, labels, data).metrics
            else:
                found |= score_importance(model, x, iwae)
    if ais is not None:
        found |= _annealed(model, x, ais, iwae or (), err)
    found = {f"test/{name}": value for name, value in found.items()}
    on_record = {name: recorded[f"metrics.{name}"] for name in found if f"metrics.{name}" in recorded}
    new = {name: value for name, value in found.items() if name not in on_record and value == value}
    changed = {name: (before, found[name]) for name, before in on_record.items() if before != found[name]}
    tracker.metrics(run_id, new)
    if as_json:
        print_json({"run_id": run_id} | found | {"added": sorted(new), "differs_from_record": sorted(changed)})
    else:
        everything = found | {k: v for k, v in _recorded_test_metrics(recorded).items() if k not in found}
        out.print(_score_tables(everything, len(x), config))
        out.print(READING)
        if any("ais_" in name for name in everything):
            out.print(READING_AIS)
        out.print(f"added to run {run_id}: {', '.join(sorted(new)) or 'nothing new'}")
    for name, (before, now) in changed.items():
        line = f"{name}: scored {now!r}, on record {before!r}: another machine or version; the record is kept"
        err.print(line, style="yellow")
    return 0


def _annealed(model: VAE, x: Tensor, ais: AisOptions, iwae: tuple[int, ...], err: Console) -> Metrics:
    """Return the scores of annealed importance sampling, and show how far they are.

    Args:
        model: the VAE.
        x: the test images, [N, P].
        ais: the settings.
        iwae: the K whose looseness is reported, besides those of the model's configuration.
        err: shows the progress.
    """
    with progress(err) as bar:
        task = bar.add_task("annealing, images", total=work_in_images(model, len(x), ais), shown="")
        ks = (*model.config.iwae, *iwae)
        return ais_scores(model, x, ais, ks, lambda images: bar.advance(task, images)).metrics


def _recorded_test_metrics(row: dict[str, Any]) -> Metrics:
    """Return the test metrics in a tracked run's row of columns."""
    return {k.removeprefix("metrics."): v for k, v in row.items() if k.startswith("metrics.test/")}


def publish_waiting(uri: str | None) -> int:
    """Publish the results that wait in the outbox: for the tracker `uri`, or for all; return the exit code."""
    err, out = consoles()
    delivered, left = sync(uri, lambda line: err.print(line, style="yellow"))
    out.print(f"{delivered} results delivered, {left} waiting")
    return 1 if left else 0


def run_study(sweep: Sweep, plan: Plan, options: SweepOptions, locations: Locations) -> int:
    """Run the missing cells of a study, then print its tables and where they are; return the exit code.

    Args:
        sweep: the sweep.
        plan: its searches and cells.
        options: how they are run.
        locations: the folder of the data sets and the address of the tracker.
    """
    execute.require_device(sweep.base.device)
    execute.require_gradient_in_z([arm.base for arm in plan.arms] or [cell.config for cell in plan.cells({})])
    if options.storage is not None:  # before the tracker, which may create its tables at the same address
        require_own_database(options.storage, locations.tracking_uri)
    require_tracker(locations.tracking_uri)
    err, out = consoles()
    if sweep.note:
        err.print(sweep.note, style="yellow")
    if sweep.quick:
        err.print("--quick: few images, few epochs: a look, not a result", style="yellow")
    try:
        outcome = run_with_seeds(sweep, plan, options, locations, err)
    except (WorkersLost, TrackerUnavailable) as error:
        err.print(f"study {sweep.study.name}: {error}", style="red")
        return 1
    if outcome.unstarted:
        err.print("the same command goes on once there is room", style="red")
        return 1
    if outcome.waiting:
        err.print(f"{outcome.waiting} results wait on disk for the tracker; `vaestudy sync` delivers them", style="red")
        return 1
    try:
        _show_results(outcome.publisher.destination(), out)
    except TrackerUnavailable as error:
        err.print(f"all runs are done, but the tables need the tracker, which is out of reach ({error})", style="red")
        err.print(f"`vaestudy tables {sweep.study.name}` exports them when it works again", style="red")
        return 1
    except BadInput as error:
        err.print(f"all runs are done, but their tables could not be made: {error}", style="red")
        return 1
    if outcome.crashed:
        err.print(f"{outcome.crashed} runs crashed; their traceback.txt in MLflow says why", style="red")
        return 1
    return 0


def _show_results(to: Destination, out: Console) -> None:
    """Export a sweep's tables; print them, and where they are."""
    exported = export.export(to.tracker, to.experiment, to.sweep_run)
    for screen in exported.screens:
        print_uncut(out, screen)
    for line in exported.notes:
        out.print(line, style="yellow")
    if exported.folder.exists():  # not if no run has finished
        out.print(f"tables    {exported.folder}")
    out.print(_where(to.tracker.has_server, sweep_link(to.tracker, to.experiment, to.sweep_run)))
    if link := cells_link(to.tracker, to.experiment, to.sweep_run):
        out.print(f"means of seeds there: {link}")
