"""The time that the driver spends per cell as a sweep grows, with runs that cost nothing, on a journal or PostgreSQL.

    python -m tests.benchmarks.scale --cells 100 1000 10000 [--storage postgresql://...]

Run it from the repository's root. Optuna, MLflow on SQLite and the outbox are real; only the training is replaced.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting import export
from vaestudy.run.record import Record, RunEnd
from vaestudy.runtime import addresses
from vaestudy.study.declaration import Study, make_cells
from vaestudy.study.sweep import Sweep
from vaestudy.sweep import driver
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.tracking.mlflow_tracker import Tracker

METRICS = (
    "test/elbo",
    "test/elbo_se",
    "test/log_likelihood",
    "test/kl",
    "test/iwae_100",
    "test/active_units",
    "seconds/total",
)


class FreePool:
    """A worker pool of two workers: each run finishes at once."""

    count = 2

    def __init__(self, total: int) -> None:
        self._waiting: deque[RunConfig] = deque()
        self.marks = [time.perf_counter()]
        self._done, self._total = 0, total

    def submit(self, config: RunConfig, root: Path) -> None:
        self._waiting.append(config)

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def events(self) -> Iterator[RunEnd]:
        config = self._waiting.popleft()
        value = -100.0 - config.seed
        metrics = dict.fromkeys(METRICS, value) | {f"test/elbo_{i}": value for i in range(20)}
        data = {"name": "none", "fingerprint": "f" * 64, "train": "1", "valid": "1", "test": "1"}
        facts = {f"data.{k}": v for k, v in data.items()} | {"code.revision": "none", "code.state": "clean"}
        history = [{"train/elbo": value, "valid/elbo": value}]
        yield RunEnd(config.key, Record(config, metrics, history, [1.0], {"config.json": b"{}"}, facts, data))
        self._done += 1
        if self._done % (self._total // 4) == 0:
            self.marks.append(time.perf_counter())

    def close(self) -> None:
        pass


def measure(count: int, home: Path, storage: str | None) -> str:
    """Return a row of the table: the times of a sweep of `count` cells whose record is under `home`."""
    os.environ["VAESTUDY_MLRUNS"] = str(home)
    base = RunConfig(dataset="mnist-5k", valid_size=500, epochs=1)
    levels = tuple(range(1, count // 10 + 1))
    declared = Study(name=f"scale-{count}", doc="Does it scale?", base=base, factors={"latent_dim": levels},
                     baseline={"latent_dim": 1}, figures=())  # fmt: skip
    wanted = make_cells(base, {"latent_dim": levels}, 10)
    uri = addresses.tracking_uri(None)
    sweep = Sweep(declared, base, {}, False, None)
    quiet = Console(file=io.StringIO())
    cpu = time.process_time()
    pools: list[FreePool] = []

    def make_pool(options: SweepOptions, runs: int) -> FreePool:
        pools.append(FreePool(runs))
        return pools[-1]

    options, locations = SweepOptions(storage=storage), Locations(home, uri)
    outcome = driver.run_sweep(sweep, wanted, options, locations, quiet, make_pool)
    cpu = 1000 * (time.process_time() - cpu) / count
    marks = pools[0].marks
    per_cell = [1000 * (b - a) / (count // 4) for a, b in pairwise(marks)]
    started = time.perf_counter()
    driver.run_sweep(sweep, wanted, options, locations, quiet, make_pool)
    resumed = time.perf_counter() - started
    started = time.perf_counter()
    to = outcome.publisher.destination()
    export.export(Tracker(uri), to.experiment, to.sweep_run)
    tables = time.perf_counter() - started
    shown = " | ".join(f"{value:.1f}" for value in per_cell)
    return (
        f"| {'PostgreSQL' if storage else 'journal'} | {count:,} | {shown} | {cpu:.1f} | {resumed:.1f} | {tables:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--storage", help="postgresql://... in place of a journal")
    parser.add_argument("--keep", type=Path, help="record here, and leave it, to be looked at")
    arguments = parser.parse_args()
    print(
        "| trials in | cells | ms per cell, 1st quarter | 2nd | 3rd | 4th | CPU ms per cell | resume, s | tables, s |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in arguments.cells:
        with tempfile.TemporaryDirectory() as home:
            print(measure(count, arguments.keep or Path(home), arguments.storage), flush=True)


if __name__ == "__main__":
    main()
