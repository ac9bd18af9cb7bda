"""Benchmarks: the time of this program as a ratio to a tutorial's loop and to the least possible time (the floor).

    python -m tests.benchmarks.bench [--only step,score]

Run it from the repository's root, or use `make bench [ARGS="--only step,score"]`. All rows take about 7 minutes on two
idle cores.

The two sides of a ratio are measured in turn, so that other work on the machine affects both. A row shows the median of
the ratios of the rounds and, in brackets, their quartiles. Rows that use one thread count the processor time of that
thread. The floor is the matrix products of a step or of a score alone (`floors.py`), in the faster of the two libraries
of the machine. The tutorial's loop is `plain_loop.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, optim

from tests.benchmarks import floors
from tests.benchmarks.timing import Row, Spread, alternate, ratios, seconds
from vaestudy.config.image_shape import DIGIT
from vaestudy.config.registry import DATASETS, LIKELIHOODS, OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.model import layers as model_layers
from vaestudy.model import vae
from vaestudy.run import execute
from vaestudy.runtime import provenance
from vaestudy.runtime.paths import cores
from vaestudy.runtime.project import repository
from vaestudy.scoring import ais, bounds, hmc, score
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.training import backend, train

HERE = Path(__file__).parent
REPOSITORY = repository()


@dataclass(frozen=True)
class Scale:
    """The amount of work to measure. A small amount only tests that the benchmark works."""

    dataset: str
    root: Path
    rounds: int = 30
    steps: int = 40
    draws: int = 5_000
    plain_rounds: int = 3
    cells: int = 16
    epochs: int = 10
    seeds: int = 3


def configuration(scale: Scale, **changes: object) -> RunConfig:
    """Return a configuration with the model and the protocol of the article, and all train images."""
    values = {"dataset": scale.dataset, "valid_size": 0, "epochs": scale.epochs, "latent_dim": 10, "figures": ()}
    return RunConfig(**(values | changes))  # type: ignore[arg-type]


def faster_library(work: Callable[[], None]) -> tuple[str, str]:
    """Return the switch of the library that multiplies matrices faster on this machine, and its name.

    A floor uses the faster library even where `backend.configure` does not choose it.
    """
    best = {}
    for name in (backend.DEFAULT, backend.ONEDNN):
        if backend._switch(name):
            best[name] = min(alternate(5, work)[0])
    switch = min(best, key=best.__getitem__) if best else backend.DEFAULT
    return switch, "oneDNN" if switch == backend.ONEDNN else "torch's default"


class Stepper:
    """Training steps of one configuration, made as in `train.train`."""

    def __init__(self, config: RunConfig, scale: Scale, steps: int) -> None:
        self.config, self.steps = config, steps
        backend.configure(config, DIGIT)
        images = datasets.load_splits(config, scale.root).train.images
        self.images = images[: steps * config.minibatch]
        self.steps = -(-len(self.images) // config.minibatch)
        self.model = vae.VAE(config)
        self.optimizer: optim.Optimizer = OPTIMIZERS.load(config.optimizer)(self.model, config, len(images))
        self.gradient = train.make_gradient(self.model, calls_before_trace=0)
        self._epoch = 0

    def __call__(self) -> None:
        backend.configure(self.config, DIGIT)
        self._epoch += 1
        train._train_epoch(self.model, self.gradient, self.images, self.optimizer, self._epoch)


def step_rows(scale: Scale) -> Iterator[Row]:
    """Yield the time of a step over its floor on one thread: for each likelihood, and for the article's preset."""
    article = configuration(scale, **{k: v for k, v in RunConfig.preset("article").model_dump().items()
                                      if k in ("sigma", "reduction", "log_guard", "second_biases")})  # fmt: skip
    for name in LIKELIHOODS:
        counted = Counter(floors.SPECIALS.get(name, ()))
        specials = " + ".join(("products", *(f"{n} {special}" if n > 1 else special for special, n in counted.items())))
        plain = name == RunConfig().likelihood
        most = 1.4 if plain else 1.5
        config = configuration(scale, likelihood=name, pixels=floors.pixels(name))
        yield _step_row(f"step, {name}, over its {'products alone' if plain else specials}", config, scale, most, plain)
        if plain:
            yield _step_row(f"the same over {specials}", config, scale, 1.5, False)
            yield _step_row("step of the `article` preset over its products alone", article, scale, None, True)


def _step_row(what: str, config: RunConfig, scale: Scale, most: float | None, products_only: bool) -> Row:
    stepper = Stepper(config, scale, scale.steps)
    products, specials = floors.step_products(config), floors.step_specials(config)
    switch, library = faster_library(products)

    def floor() -> None:
        backend._switch(switch)
        for _ in range(stepper.steps):
            products()
            if not products_only:
                specials()

    ours, least = alternate(scale.rounds, stepper, floor)
    found = ratios(ours, least)
    a, b = (1000 * statistics.median(times) / stepper.steps for times in (ours, least))
    text = f"{found.show()} ({a:.2f} over {b:.2f} ms, {library})"
    return Row(what, text, "" if most is None else f"at most {most}", None if most is None else found.median <= most)


def epoch_rows(scale: Scale) -> Iterator[Row]:
    """Yield the time of the tutorial's epoch over ours, on all cores."""
    config = configuration(scale, threads=cores())
    stepper = Stepper(config, scale, sys.maxsize // config.minibatch)
    stepper()
    plain, ours = [], []
    for _ in range(scale.plain_rounds):
        plain += plain_epochs(scale, 1)
        ours.append(seconds(stepper))
    found = ratios(plain, ours)
    text = f"{found.show()} ({statistics.median(plain):.2f} over {statistics.median(ours):.2f} s)"
    yield Row(f"epoch of the plain loop over ours, {cores()} threads", text, "at least 3.5", found.median >= 3.5)


def plain_epochs(scale: Scale, epochs: int) -> list[float]:
    """Return the seconds of each epoch of the tutorial's loop, in its own process and without its start-up."""
    command = [sys.executable, str(HERE / "plain_loop.py"), "--dataset", scale.dataset, "--root", str(scale.root),
               "--epochs", str(epochs)]  # fmt: skip
    return [float(line.split()[0]) for line in _run(command).splitlines()]


def sweep_rows(scale: Scale) -> Iterator[Row]:
    """Yield the throughput of a complete study over that of the plain loop, which only trains, and a run's overhead."""
    before = plain_epochs(scale, 1)
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, str(REPOSITORY / "studies" / "latent_dims.py"), "--dataset", scale.dataset,
                   "--data-dir", str(scale.root), "--valid-size", "0", "--epochs", str(scale.epochs), "--iwae", "100",
                   "--latent-dim", "2", "10", "--seeds", str(scale.cells // 2), "--workers", str(cores())]  # fmt: skip
        took = seconds(lambda: _run(command, VAESTUDY_MLRUNS=home))
        spent = beside(Path(home))
    plain = Spread.of(before + plain_epochs(scale, 1))
    found = plain.median * scale.epochs * scale.cells / took
    text = f"{found:.2f} ({3600 * scale.cells / took:.0f} cells an hour; {took:.0f} s for {scale.cells} cells)"
    note = (
        f"the plain loop's {plain.median:.2f} s an epoch, measured before and after, times {scale.epochs * scale.cells}"
    )
    yield Row(f"sweep, start to tables, {cores()} workers: cells an hour over the plain loop's ({note})", text,
              "at least 5", found >= 5)  # fmt: skip
    part, outside = Spread.of([a / b for a, b in spent]), Spread.of([a for a, _ in spent])
    met = part.median <= 0.1 and outside.median < 1.5
    yield Row(f"what a {scale.epochs}-epoch run of it spends outside training and evaluation",
              f"{outside.show()} s, {100 * part.median:.1f} % of it", "at most 10 % and under 1.5 s", met)  # fmt: skip


def beside(home: Path) -> list[tuple[float, float]]:
    """Return for each run (seconds outside training and scoring, seconds from its start to FINISHED)."""
    from vaestudy.runtime.addresses import database_uri
    from vaestudy.tracking.mlflow_tracker import Tracker

    client = Tracker(database_uri(home / "mlflow.db")).client
    spent = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], "tags.vaestudy.role = 'trial'"):
            in_all = (run.info.end_time - run.info.start_time) / 1000
            work = run.data.metrics["wall_seconds/train_and_validate"] + run.data.metrics["wall_seconds/score"]
            spent.append((in_all - work, in_all))
    return spent


def score_rows(scale: Scale) -> Iterator[Row]:
    """Yield the time of IWAE over its matrix products, on a few images, and its peak memory in a separate process."""
    config = configuration(scale)
    images = 100
    x = execute.scored_images(config, datasets.load_splits(config, scale.root))[0][:images]
    model, draws = vae.VAE(config), images * scale.draws
    products = floors.draws_products(config, draws)
    switch, library = faster_library(floors.draws_products(config, 10_000))

    def score() -> None:
        backend.configure(config, DIGIT)
        bounds.importance_weighted(model, x, scale.draws)

    def floor() -> None:
        backend._switch(switch)
        products()

    ours, least = alternate(max(2, scale.rounds // 5), score, floor)
    found, hundred = ratios(ours, least), 10_000 / images
    text = (f"{found.show()} ({hundred * statistics.median(ours):.0f} over {hundred * statistics.median(least):.0f} s "
            f"for 10,000 images, scaled from {images}; {library})")  # fmt: skip
    yield Row(f"IWAE-{scale.draws} over its products alone, one thread", text, "at most 2", found.median <= 2)
    peak = float(
        _run(
            [sys.executable, "-m", "tests.benchmarks.bench", "--peak", scale.dataset, str(scale.root), str(scale.draws)]
        )
    )
    yield Row("resident memory of the same, peak", f"{peak:.2f} GiB", "under 1.5 GiB", peak < 1.5)


def annealing_rows(scale: Scale) -> Iterator[Row]:
    """Yield the time of annealed importance sampling over its matrix products, and for 1,000 images on all cores.

    The products are those of each gradient in z, in the preliminary pass as well. The article's model is measured with
    few temperatures, and the time is scaled.
    """
    config = configuration(scale)
    count = max(20, scale.steps)
    options = AisOptions(ais_temperatures=count, ais_images=hmc.ROWS_PER_PASS // 10)
    x = execute.scored_images(config, datasets.load_splits(config, scale.root))[0][: options.ais_images]
    model, rows = vae.VAE(config), len(x) * options.ais_chains
    products = floors.slope_products(config, rows)
    switch, library = faster_library(products)
    transitions = sum(n - 2 for n in (count, ais.tuned_temperatures(count)))
    gradients = transitions * options.ais_leapfrog + 2  # each pass begins with one

    def annealing() -> None:
        backend.configure(config, DIGIT)
        ais.annealed(model, x, options)

    def floor() -> None:
        backend._switch(switch)
        for _ in range(gradients):
            products()

    ours, least = alternate(max(2, scale.rounds // 5), annealing, floor, clock=time.process_time)
    found = ratios(ours, least)
    each = statistics.median(ours) / (gradients * rows)
    full = sum(n - 2 for n in (500, ais.tuned_temperatures(500))) * 10 * 10 * 1_000 * each
    yield Row(f"annealed importance sampling ({count} temperatures, {options.ais_chains} chains) over its products "
              "alone, one thread", f"{found.show()} ({library})", "at most 2", found.median <= 2)  # fmt: skip
    minutes = full / 60 / cores()
    yield Row(f"the same with 500 temperatures, 10 chains and 1,000 images, on {cores()} cores, scaled from one thread",
              f"{minutes:.1f} min", "under 20 min", minutes < 20)  # fmt: skip


def peak_memory(dataset: str, root: Path, draws: int) -> float:
    """Return the peak resident memory of this process in GiB (Linux), after scoring 200 test images."""
    scale = Scale(dataset, root)
    config = configuration(scale)
    backend.configure(config, DIGIT)
    x = execute.scored_images(config, datasets.load_splits(config, root))[0]
    bounds.importance_weighted(vae.VAE(config), x[:200], draws)
    return _memory("VmHWM") / 2**20


def _memory(name: str) -> int:
    """Return the value of a line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def linear_rows(scale: Scale) -> Iterator[Row]:
    """Yield how linear the time is in the draws L and in epochs, and how much memory the epochs add."""
    steps = max(2, scale.steps // 10)
    steppers = [Stepper(configuration(scale, samples=L), scale, steps) for L in (1, 10, 50)]
    one, ten, fifty = alternate(max(2, scale.rounds // 5), *steppers)
    bends = [((c - b) / 40) / ((b - a) / 9) for a, b, c in zip(one, ten, fifty, strict=True)]
    found = Spread.of(bends)
    per_step = ", ".join(f"{1000 * statistics.median(t) / steps:.1f}" for t in (one, ten, fifty))
    yield Row("time in L: a draw's cost between L=10 and 50 over that between 1 and 10",
              f"{found.show()} ({per_step} ms a step at L=1, 10, 50)", "linear: 0.8 to 1.25",
              0.8 <= found.median <= 1.25)  # fmt: skip
    config = configuration(scale, epochs=30, subset=20 * scale.steps)
    marks: list[tuple[float, int]] = []
    train.train(config, datasets.load_splits(config, scale.root),
                lambda epoch, metrics: marks.append((time.perf_counter(), _memory("VmRSS"))))  # fmt: skip
    each = [b[0] - a[0] for a, b in pairwise(marks)]
    third = len(each) // 3
    drift = statistics.median(each[-third:]) / statistics.median(each[:third])
    grown = (marks[-1][1] - marks[1][1]) / 1024
    yield Row(f"time in epochs: the last third's median of {len(each)} over the first third's", f"{drift:.2f}",
              "linear: 0.8 to 1.25", 0.8 <= drift <= 1.25)  # fmt: skip
    yield Row("memory that they added", f"{grown:.1f} MiB", "flat: under 20 MiB", grown < 20)


def answer_rows(scale: Scale) -> Iterator[Row]:
    """Yield the time until help is printed, and until bad input is refused."""
    bad = (["train", "--latent-dim", "0"], ["train", "--likelihood", "gausian"], ["evaluate"], ["nothing"])
    for what, calls in (("`vaestudy --help`", [["--help"]]), ("the answer to bad input, the slowest of 4", list(bad))):
        slowest = max((Spread.of([_answer(a) for _ in range(5)]) for a in calls), key=lambda spread: spread.median)
        yield Row(what, f"{slowest.show()} s", "under 0.5 s", slowest.median < 0.5)


def _answer(arguments: list[str]) -> float:
    """Return the seconds that a call of the command line with these arguments takes."""
    command = [sys.executable, "-m", "vaestudy", *arguments]
    return seconds(lambda: subprocess.run(command, capture_output=True, cwd=REPOSITORY, check=False))


def half_rows(scale: Scale) -> Iterator[Row]:
    """Yield what matrix products in bfloat16 would gain in time and cost in nats. The program does not offer them."""
    config = configuration(scale)
    stepper, rounding = (Stepper(config, scale, scale.steps) for _ in range(2))  # each records its own traced gradient

    def half() -> None:
        with bfloat16():
            rounding()

    ours, halved = alternate(scale.rounds, stepper, half)
    yield Row("step over the same with its products in bfloat16", ratios(ours, halved).show(), "", None)
    config = configuration(scale, dataset="mnist-5k", epochs=scale.epochs * 3, iwae=(1,), valid_size=500)
    images = datasets.load_splits(config, scale.root)
    x, labels = execute.scored_images(config, images)
    losses = []
    for seed in range(scale.seeds):
        elbos = []
        for arm in (contextlib.nullcontext(), bfloat16()):
            with arm:
                trained = train.train(config.with_changes(seed=seed), images).model
            elbos.append(score.score(trained, x, labels, ()).metrics["elbo"])
        losses.append(elbos[1] - elbos[0])
    error = statistics.stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else float("nan")
    text = f"{statistics.mean(losses):+.2f} ± {error:.2f} nats (standard error over {len(losses)} seeds)"
    yield Row(f"test ELBO of mnist-5k, D=10, after {config.epochs} epochs in it, scored in float32", text, "", None)


@contextlib.contextmanager
def bfloat16() -> Iterator[None]:
    """Round the matrix products of every layer to bfloat16 while the block runs.

    Inputs and weights are rounded, in the forward and the backward pass. Sums are in float32.
    """

    def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return (x.bfloat16() @ weight.bfloat16().T).float() + bias

    with mock.patch.object(model_layers.F, "linear", linear):
        yield


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment, text=True,
                          capture_output=True, check=False, cwd=REPOSITORY)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


ROWS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "epoch": epoch_rows,
    "sweep": sweep_rows,
    "step": step_rows,
    "score": score_rows,
    "annealing": annealing_rows,
    "linear": linear_rows,
    "answer": answer_rows,
    "bfloat16": half_rows,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows, of {','.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that it works, not how fast")
    parser.add_argument("--peak", nargs=3, metavar=("DATASET", "ROOT", "DRAWS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peak:
        dataset, root, draws = options.peak
        print(peak_memory(dataset, Path(root), int(draws)))
        return
    root = datasets.data_root(None)
    dataset = "mnist" if DATASETS.load("mnist").present(root) and not options.quick else "mnist-5k"
    scale = Scale(dataset, root)
    if options.quick:
        scale = Scale(dataset, root, rounds=2, steps=4, draws=50, plain_rounds=1, cells=2, epochs=1, seeds=1)
    started, hardware = time.perf_counter(), provenance.hardware()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"other programs are running (load {load:.1f}): ratios of several threads will be off", file=sys.stderr)
    images = "full MNIST" if dataset == "mnist" else "mnist-5k (full MNIST is not at hand)"
    print(f"{datetime.date.today():%d %B %Y}; {hardware['cpu']}, {cores()} cores; torch {torch.__version__}; {images}; "
          f"backend: {backend.configure(configuration(scale), DIGIT)}; load at the start {load:.1f}\n")  # fmt: skip
    print("| what | measured: median [quartiles] | wanted | |\n| --- | --- | --- | --- |", flush=True)
    for name in options.only.split(","):
        for row in ROWS[name](scale):
            print(row, flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
