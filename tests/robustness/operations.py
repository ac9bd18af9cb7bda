"""Kill a process before each operation on the outbox and on the tracker, each tried once, and check what is left.

    python -m tests.robustness.operations [SCENARIO ...]

Random kills hit a short operation rarely. So here every operation is counted (each rename, unlink, rmdir, mkdir and
fsync, and each request to MLflow), and for each of them a new process does the same work and ends without warning just
before it. A kill at an fsync also cuts the file to its half, as a power failure may. Then the next process does what a
user would do: it starts the same work again, or `vaestudy sync`. At the end the record must be in MLflow exactly once,
complete, and nothing may be left in the outbox.

The work is done in forked processes, so that a kill costs no start of an interpreter. Training is left out: the record
is made by hand.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from mlflow.tracking import MlflowClient

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import TrackerUnavailable
from vaestudy.run.record import Record
from vaestudy.runtime import addresses, paths
from vaestudy.study.declaration import Study
from vaestudy.study.sweep import NO_SWEEP, Sweep, single_run
from vaestudy.tracking import outbox
from vaestudy.tracking.delivery import sync
from vaestudy.tracking.destination import with_record
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.publisher import Publisher

FILE_OPERATIONS = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "fsync")
"""Functions of `os`. `shutil.rmtree` and `pathlib` use these, too."""
REQUESTS = ("create_experiment", "set_experiment_tag", "create_run", "update_run", "log_batch", "log_inputs",
            "log_artifacts", "set_terminated")  # fmt: skip
"""Methods of MLflow's client that write."""
KILLED = 77
"""The exit code of a process that was ended at an operation."""

CONFIG = RunConfig(dataset="mnist-5k", subset=60, epochs=1, hidden=(16,), iwae=(1, 3), figures=(), valid_size=0)
STUDY = Study(
    name="operations", doc="Does a record survive?", base=CONFIG, factors={"latent_dim": (2,)},
    baseline={"latent_dim": 2}, tabulate=("test/elbo",),
)  # fmt: skip
RECORD = Record(
    config=CONFIG.with_changes(latent_dim=2),
    metrics={"test/elbo": -200.5, "seconds/total": 1.0},
    history=[{"train/elbo": -210.25}],
    kl_per_dimension=[1.0, 2.0],
    files={"weights.safetensors": b"weights" * 100, "figures/one.png": b"picture" * 50},
    facts={"code.revision": "abc", "threads": "1"},
    data={"name": "mnist-5k", "fingerprint": "f" * 64, "train": "60", "valid": "0", "test": "10"},
)


@dataclass
class Killer:
    """Counts the operations of a process, and ends it before one of them.

    Args:
        at: the number of the operation; 0 only counts.
    """

    at: int = 0
    seen: list[str] = field(default_factory=list)

    def wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **named: Any) -> Any:
            self.seen.append(name)
            if len(self.seen) == self.at:
                if name == "fsync":
                    self._cut(args[0])
                os._exit(KILLED)
            return original(*args, **named)

        return operation

    @staticmethod
    def _cut(number: int) -> None:
        """Cut an open file to its half; a folder stays."""
        path = f"/proc/self/fd/{number}"
        if os.path.isfile(path):  # noqa: PTH113 - a Path would follow the link by its name
            os.ftruncate(number, os.fstat(number).st_size // 2)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the operations while the block runs."""
        files = {name: self.wrap(name, getattr(os, name)) for name in FILE_OPERATIONS}
        requests = {name: self.wrap(name, getattr(MlflowClient, name)) for name in REQUESTS}
        with mock.patch.multiple(os, **files), mock.patch.multiple(MlflowClient, **requests):
            yield


def in_child(top: Path, work: Callable[[], None], at: int | None = None) -> tuple[int, list[str]]:
    """Do `work` in a forked process; return its exit code and the operations that it did.

    Args:
        top: the folder of a try: it contains mlruns/ and the folder for temporary files.
        work: the work.
        at: the number of the operation before which the process ends; None watches nothing.
    """
    log = top / "operations.txt"
    log.unlink(missing_ok=True)
    if (pid := os.fork()) == 0:
        code = 1
        try:
            os.environ["VAESTUDY_MLRUNS"] = str(top / "mlruns")
            tempfile.tempdir = str(top / "tmp")
            killer = Killer(at or 0)
            if at is None:
                work()
            else:
                with killer.watching():
                    work()
            log.write_text("\n".join(killer.seen))
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, log.read_text().split() if log.exists() else []


def uri() -> str:
    """Return the address of the tracker under mlruns/."""
    return addresses.database_uri(paths.mlruns() / "mlflow.db")


def quiet(line: str) -> None:
    """Receive a message and drop it."""


def run_cell() -> None:
    """Do what a driver does for a sweep of one cell: run it unless it is done, and deliver what waits."""
    sweep = Sweep(STUDY, CONFIG, {}, quick=False, note=None)
    publisher = Publisher(uri(), sweep, sweep.base_name, quiet)
    with publisher.owning_records():
        recorded = publisher.recorded_cells({RECORD.config.key})
        if RECORD.config.key not in set(recorded.objectives) | set(publisher.waiting_objectives()):
            publisher.begin("cell", RECORD.config, {})
            publisher.finish(RECORD.config.key, RECORD)
        publisher.close("FINISHED")


def run_pruned_trial() -> None:
    """Do what a driver does for a search of one trial whose run is pruned."""
    sweep = Sweep(STUDY, CONFIG, {}, quick=False, note=None)
    publisher = Publisher(uri(), sweep, sweep.base_name, quiet)
    with publisher.owning_records():
        if RECORD.config.key not in publisher.recorded_trial_runs():
            publisher.begin("trial", RECORD.config, {"role": "search"})
            facts = RECORD.facts | {"outcome": "pruned", "role": "search"}
            metrics = RECORD.metrics | {"pruned/epoch": 1.0, "pruned/epochs_saved": 0.0}
            publisher.finish(RECORD.config.key, replace(RECORD, facts=facts, metrics=metrics, pruned_epoch=1))
        publisher.close("FINISHED")


def run_cell_without_tracker() -> None:
    """Do the same while the tracker is out of reach."""
    with mock.patch.object(Tracker, "__init__", side_effect=TrackerUnavailable("away")):
        run_cell()


def train_once() -> None:
    """Do what `vaestudy train` does after its training."""
    publisher = Publisher(uri(), single_run(RECORD.config), NO_SWEEP, quiet)
    with publisher.owning_records():
        publisher.begin("one", RECORD.config, {})
        publisher.finish(RECORD.config.key, RECORD)


def deliver() -> None:
    """Do what `vaestudy sync` does."""
    published, left = sync(None, quiet)
    if left:
        raise RuntimeError(f"{published} published, {left} left")


@dataclass(frozen=True)
class Scenario:
    """Work that is killed, and what a user does then."""

    work: Callable[[], None]
    """The work that is killed at each of its operations."""
    before: Callable[[], None] | None = None
    """Work that was done before and is not killed."""
    after: Callable[[], None] = run_cell
    """What is done after the kill."""
    study: str = STUDY.name
    may_be_lost: bool = False
    """Whether the record may be lost by a kill before it is saved, as nobody repeats a single run."""


SCENARIOS = {
    "a driver": Scenario(run_cell),
    "a driver without its tracker": Scenario(run_cell_without_tracker),
    "a driver that delivers what waits": Scenario(run_cell, before=run_cell_without_tracker),
    "a driver with a pruned trial": Scenario(run_pruned_trial, after=run_pruned_trial),
    "vaestudy sync": Scenario(deliver, before=run_cell_without_tracker, after=deliver),
    "vaestudy train": Scenario(train_once, after=deliver, study="train", may_be_lost=True),
}


def empty_store(folder: Path) -> Path:
    """Create a store without runs in a process of its own, as a template for the tries; return it."""
    # Imports all of MLflow in this process, so that no forked process has to.
    Tracker(addresses.database_uri(folder / "imports" / "mlflow.db")).experiments()
    top, template = folder / "try", folder / "template"
    (top / "tmp").mkdir(parents=True)
    if in_child(top, lambda: Tracker(uri()) and None)[0]:
        raise RuntimeError("no store could be made")
    top.rename(template)
    return template


def try_all(name: str, folder: Path, template: Path) -> list[str]:
    """Try a scenario with a kill before each of its operations; return what went wrong, one line each.

    The last try has no kill, so that the number of operations is found. All tries have the same path, as records
    contain absolute addresses.
    """
    scenario, wrong, at = SCENARIOS[name], [], 0
    top, prepared = folder / "try", folder / "prepared"
    for old in (top, prepared):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(template, top)
    if scenario.before is not None and in_child(top, scenario.before)[0]:
        return [f"{name}: the work before the kill failed"]
    top.rename(prepared)
    while True:
        at += 1
        shutil.copytree(prepared, top)
        code, seen = in_child(top, scenario.work, at)
        if code not in (0, KILLED):
            return [*wrong, f"{name}, operation {at}: the work failed with {code}"]
        entries = [path for path in top.glob("mlruns/outbox/*/entry.json") if path.parent.suffix != outbox.PART]
        if in_child(top, lambda saved=bool(entries) or code == 0: finish_and_check(scenario, saved))[0]:
            wrong.append(f"{name}, operation {at}: the record is not there once and complete")
        shutil.rmtree(top)
        if code == 0:
            print(f"{name}: {len(seen)} operations, {len(wrong)} of them with an error", flush=True)
            return wrong if seen else [f"{name}: no operation was seen"]


def finish_and_check(scenario: Scenario, saved: bool) -> None:
    """Do what a user does after the kill, then check what is there."""
    scenario.after()
    check(scenario, saved)


def check(scenario: Scenario, saved: bool) -> None:
    """Check that the record is in MLflow exactly once and complete, and that nothing is left behind.

    Raises:
        AssertionError: it is not.
    """
    tracker = Tracker(uri())
    experiments = tracker.experiments()
    runs = tracker.runs([experiments[scenario.study]] if scenario.study in experiments else [])
    finished = runs[with_record(runs) & (runs["tags.role"] != "study")] if len(runs) else runs
    if not scenario.may_be_lost or saved:
        assert len(finished) == 1, f"{len(finished)} finished runs"
    assert len(finished) <= 1, f"{len(finished)} finished runs"
    if len(finished):
        row = finished.iloc[0]
        assert row["metrics.test/elbo"] == RECORD.metrics["test/elbo"]
        assert row["metrics.train/elbo"] == RECORD.history[0]["train/elbo"]
        for name, content in RECORD.files.items():
            assert tracker.read_file(row["run_id"], name) == content
    if not scenario.may_be_lost:
        assert "RUNNING" not in set(runs["status"]), "left RUNNING"
    left = [path for root in outbox.roots() if root.is_dir() for path in root.iterdir()]
    assert not left, f"left in the outbox: {left}"


def main(names: Sequence[str]) -> int:
    """Try the scenarios of these names, or all; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = empty_store(folder)
        wrong = [line for scenario in names or SCENARIOS for line in try_all(scenario, folder, template)]
    print("\n".join(wrong) or "every record was found once")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
