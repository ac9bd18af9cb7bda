"""Measure how fast searches find a good configuration: TPE with Hyperband, TPE, random search, and a grid.

    python -m tests.benchmarks.search_efficiency [--repeats N] [--trainings N] [--epochs N] [--out FOLDER]

Every method searches the space of `studies/tune.py` on mnist-5k with the same budget, in epochs of training. Repeat r
uses seed r for the sampler and for the trained models. The grid crosses the learning rate with the minibatch and the
widths, all else as in the article, in an order that is drawn for each repeat.

What is compared is the highest ELBO on valid of a complete training, against the epochs that were trained so far. It is
optimistic, as it is the best of several noisy values; this is the same for all methods.

Results are kept in FOLDER/search-efficiency.csv, one row for each trial. A method and repeat that is in the file is not
measured again.
"""

from __future__ import annotations

import argparse
import itertools
import random
import runpy
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from matplotlib.figure import Figure

from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import resolve
from vaestudy.plotting import house_style, look, set_heading, to_png
from vaestudy.reporting.figures.labels import End, label_ends
from vaestudy.reporting.runs_frame import interval
from vaestudy.run.execute import execute
from vaestudy.run.record import Record
from vaestudy.runtime import paths, project
from vaestudy.study.plan import Arm
from vaestudy.study.search import Search
from vaestudy.sweep.arm_search import ArmSearch, OpenTrial
from vaestudy.sweep.proposals import open_study
from vaestudy.training.divergence import NonFiniteLoss
from vaestudy.training.train import StopTraining

METHODS: dict[str, dict[str, str]] = {
    "TPE + Hyperband": {"sampler": "TPESampler", "pruner": "HyperbandPruner"},
    "TPE": {"sampler": "TPESampler", "pruner": "NopPruner"},
    "random": {"sampler": "RandomSampler", "pruner": "NopPruner"},
    "grid": {"sampler": "RandomSampler", "pruner": "NopPruner"},
}
GRID: dict[str, tuple[Any, ...]] = {
    "learning_rate": (3e-4, 1e-3, 3e-3, 1e-2),
    "minibatch": (20, 100),
    "hidden": ("256", "512"),
}
REST: dict[str, Any] = {
    "optimizer": "adam",
    "optimizer_epsilon": 1e-8,
    "schedule": "constant",
    "activation": "relu",
    "samples": 1,
    "sigma": "raw",
}
BEST_FROM = 3  # trainings: before, some repeats have no complete training


def measure(method: str, repeat: int, trainings: int, epochs: int) -> list[dict[str, Any]]:
    """Make one search; return a row for each of its trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    declared = runpy.run_path(str(project.repository() / "studies" / "tune.py"))["STUDY"]
    base = resolve(declared.base.with_changes(dataset="mnist-5k", epochs=epochs), Path())[0]
    fields = {"space": declared.search.space, "seed": repeat, "epochs": trainings * epochs} | METHODS[method]
    search = Search(**fields)
    storage = optuna.storages.InMemoryStorage()
    one = ArmSearch(Arm("", {}, base), search, open_study(storage, method, search, epochs), lambda config: {})
    if method == "grid":
        points = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
        random.Random(repeat).shuffle(points)
        for point in points[:trainings]:
            one.study.enqueue_trial(REST | point)
    while (opened := one.ask()) is not None:
        _train(one, opened, repeat)
    spent, rows = 0, []
    for trial in one.trials():
        spent += int(trial.user_attrs["epochs"])
        about = {"method": method, "repeat": repeat, "trial": trial.number, "outcome": trial.user_attrs["outcome"]}
        rows.append(about | {"epochs": spent, "value": trial.value if about["outcome"] == "complete" else None})
    return rows


def _train(one: ArmSearch, opened: OpenTrial, repeat: int) -> None:
    """Train the model of one trial."""
    config: RunConfig = opened.next_config.with_changes(seed=opened.next_config.seed + repeat)

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        if one.judge(opened, epoch, metrics):
            raise StopTraining

    try:
        record: Record = execute(config, Path(), on_epoch)
    except NonFiniteLoss as error:
        one.run_failed(opened, str(error), True, None)
        return
    if record.pruned_epoch is not None:
        one.run_pruned(opened, record.pruned_epoch, None)
    else:
        one.run_ended(opened, record.history[-1], len(record.history), None)


def best_so_far(rows: pd.DataFrame, at: list[int]) -> pd.DataFrame:
    """Return the highest value of a complete training after `at` epochs: a row for each repeat, a column for each."""
    found = {}
    for repeat, mine in rows.groupby("repeat"):
        found[repeat] = {epochs: mine.loc[mine["epochs"] <= epochs, "value"].max() for epochs in at}
    return pd.DataFrame(found).T


def table(rows: pd.DataFrame, trainings: int, epochs: int) -> pd.DataFrame:
    """Return the best value after a quarter, a half and all of the budget: its mean over repeats with its interval."""
    at = [epochs * max(1, round(trainings * share)) for share in (0.25, 0.5, 1.0)]
    found = []
    for method in METHODS:
        best = best_so_far(rows[rows["method"] == method], at)
        texts = {}
        for spent in at:
            mean, half = interval(best[spent])
            texts[f"after {spent} epochs"] = f"{mean:.1f} ± {half:.1f}"
        mine = rows[rows["method"] == method].groupby("repeat").size()
        found.append({"method": method} | texts | {"trials": f"{mine.mean():.0f}"})
    return pd.DataFrame(found)


def draw(rows: pd.DataFrame, trainings: int, epochs: int) -> Figure:
    """Return the picture: the best value so far against the epochs trained, the mean and 95 % interval over repeats."""
    at = [epochs * count for count in range(BEST_FROM, trainings + 1)]
    with house_style():
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.subplots()
        ends = []
        for index, method in enumerate(METHODS):
            best, style = best_so_far(rows[rows["method"] == method], at), look(index)
            means, halves = zip(*(interval(best[spent]) for spent in at), strict=True)
            axes.plot(at, means, color=style.colour, marker=style.marker, linestyle=style.dash, markersize=4.5)
            shifted = [spent + (index - 1.5) * epochs * 0.16 for spent in at]  # so that bars do not cover each other
            axes.errorbar(shifted[::3], means[::3], halves[::3], color=style.colour, linestyle="none", elinewidth=1.0)
            ends.append(End(at[-1], means[-1], method, style.colour))
        axes.set_xlabel(f"epochs trained, all trials together (a full training: {epochs})")
        axes.set_ylabel("highest validation ELBO so far,\nnats per image, higher is better")
        bars = "bars at every third point: 95 % intervals over repeats"
        set_heading(figure, "How fast do searches find a good configuration?", f"means over repeats; {bars}")
        label_ends(figure, {axes: ends})
    return figure


def main() -> None:
    """Measure what is missing; write the rows, the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=paths.cores())
    parser.add_argument("--out", type=Path, default=paths.mlruns() / "benchmarks")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "search-efficiency.csv"
    rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["method", "repeat"])
    done = set(zip(rows["method"], rows["repeat"], strict=True))
    missing = [(m, r) for r in range(given.repeats) for m in METHODS if (m, r) not in done]
    with ProcessPoolExecutor(given.workers) as pool:
        jobs = [pool.submit(measure, method, repeat, given.trainings, given.epochs) for method, repeat in missing]
        for job, (method, repeat) in zip(jobs, missing, strict=True):
            rows = pd.concat([rows, pd.DataFrame(job.result())], ignore_index=True)
            rows.to_csv(file, index=False)
            print(f"{method}, repeat {repeat}: done", flush=True)
    print(table(rows, given.trainings, given.epochs).to_markdown(index=False))
    (given.out / "search-efficiency.png").write_bytes(to_png(draw(rows, given.trainings, given.epochs)))
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
