"""The only importer of mlflow: records go in here, and come out again as data frames.

Every run is addressed by its id through one client, so nothing depends on a current run or a current directory.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from vaestudy.tracking.local_store import make_database, update_artifact_addresses

# Before the import: no telemetry, no chatter, no progress bars for files of a kilobyte.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default is minutes; results are spooled instead
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import pandas as pd
from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from vaestudy.errors import BadInput
from vaestudy.run.record import Record
from vaestudy.runtime.paths import database_file, mlruns, slug

logging.getLogger("alembic").setLevel(logging.WARNING)
for chatty in ("mlflow.store", "urllib3"):  # what they say of a tracker out of reach, we say in one line
    logging.getLogger(chatty).setLevel(logging.CRITICAL)

FLUSH_SECONDS = 2.0  # epochs are sent in batches, as a write costs milliseconds whatever its size
BATCH = 900  # metrics in one request; the tracker takes up to 1000
TAG = "vaestudy."
PARENT = "mlflow.parentRunId"
DESCRIPTION = "mlflow.note.content"
SOURCE = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "vaestudy"}

P = ParamSpec("P")
T = TypeVar("T")


class TrackerUnavailable(Exception):
    """The tracking store cannot be used now: no server answers, the database is locked, the disk is full."""


def reaching_tracker(method: Callable[P, T]) -> Callable[P, T]:
    """Turn what mlflow raises where its store cannot be used into `TrackerUnavailable`, with the first line of why."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise TrackerUnavailable((str(error).splitlines() or [type(error).__name__])[0]) from error

    return call


class Tracker:
    """A tracking store: the SQLite file under mlruns/ or a server.

    Every public method raises `TrackerUnavailable` where the store cannot be used.
    """

    @reaching_tracker
    def __init__(self, uri: str) -> None:
        self.uri = uri
        if (path := database_file(uri)) is None:
            self.client = MlflowClient(uri)
            self._artifacts = mlruns() / "artifacts" if not self.has_server else None
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(f"tracking path {uri}: {path.parent} cannot be made: {error.strerror}") from None
            self._artifacts = path.parent / "artifacts"
            with FileLock(f"{path}.setup.lock"):  # two processes that migrate one fresh database both fail
                if not path.exists():
                    make_database(path)
                self.client = MlflowClient(uri)
                update_artifact_addresses(path)
        self._pending: dict[str, list[Metric]] = {}
        self._flushed: dict[str, float] = {}
        self._last_epoch: dict[str, int] = {}

    @reaching_tracker
    def experiment(self, name: str, note: str = "") -> str:
        """The id of the experiment called `name`, made if need be; its artifacts lie beside the database."""
        if (found := self.client.get_experiment_by_name(name)) is not None:
            if found.lifecycle_stage != "active":
                raise BadInput(f"experiment {name!r} is in MLflow's trash; restore it, or delete it for good")
            return str(found.experiment_id)
        location = (self._artifacts / slug(name)).as_uri() if self._artifacts else None
        tags = {"mlflow.experimentKind": "custom_model_development"} | ({DESCRIPTION: note} if note else {})
        return str(self.client.create_experiment(name, artifact_location=location, tags=tags))

    @reaching_tracker
    def start(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """A new run, RUNNING; its id."""
        everything = {TAG + key: value for key, value in tags.items() if value} | SOURCE
        if commit := tags.get("code.revision"):
            everything["mlflow.source.git.commit"] = commit
        if parent:
            everything[PARENT] = parent
        return str(self.client.create_run(experiment, run_name=name, tags=everything).info.run_id)

    @reaching_tracker
    def reopen(self, run_id: str) -> None:
        self.client.update_run(run_id, status="RUNNING")

    @reaching_tracker
    def params(self, run_id: str, values: Mapping[str, Any]) -> None:
        self.client.log_batch(run_id, params=[Param(k, param_text(v)) for k, v in values.items()])

    @reaching_tracker
    def tag(self, run_id: str, values: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(k if k == DESCRIPTION else TAG + k, v) for k, v in values.items()])

    @reaching_tracker
    def epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Metrics of one epoch, sent now and then; `finish` and `fail` send what is left."""
        if epoch <= self._last_epoch.get(run_id, 0):
            return  # a worker was lost, and the next tells again what its checkpoint brought back
        self._last_epoch[run_id] = epoch
        now = time.time()
        pending = self._pending.setdefault(run_id, [])
        pending += [Metric(name, value, int(now * 1000), epoch) for name, value in metrics.items()]
        if now - self._flushed.setdefault(run_id, now) > FLUSH_SECONDS:
            self._flush(run_id)

    def _flush(self, run_id: str) -> None:
        pending = self._pending.pop(run_id, [])
        self._flushed[run_id] = time.time()
        for start in range(0, len(pending), BATCH):
            self.client.log_batch(run_id, metrics=pending[start : start + BATCH])

    @reaching_tracker
    def metrics(self, run_id: str, values: Mapping[str, float], step: int = 0) -> None:
        """Final metrics. One that is nan is left out: a tracker's search would take it for a small number."""
        now = int(time.time() * 1000)
        known = [Metric(name, value, now, step) for name, value in values.items() if value == value]
        for start in range(0, len(known), BATCH):
            self.client.log_batch(run_id, metrics=known[start : start + BATCH])

    @reaching_tracker
    def series(self, run_id: str, name: str, values: Mapping[int, float]) -> None:
        """One metric over whole-numbered steps that are no epochs: a latent dimension, a value of D.

        Points that the run already holds are not logged twice.
        """
        now, held = int(time.time() * 1000), {m.step: m.value for m in self.client.get_metric_history(run_id, name)}
        new = [Metric(name, value, now, step) for step, value in values.items() if held.get(step) != value]
        self.client.log_batch(run_id, metrics=new)

    @reaching_tracker
    def files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Files at paths within the run."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run_id, scratch)

    @reaching_tracker
    def dataset(self, run_id: str, data: Mapping[str, str]) -> None:
        profile = json.dumps({k: int(data[k]) for k in ("train", "valid", "test")})
        entity = Dataset(data["name"], data["fingerprint"][:32], "local", data["name"], profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "train, valid, test")])])

    @reaching_tracker
    def finish(self, run_id: str, record: Record, files: Path | None = None) -> None:
        """Log a record, and only then mark the run FINISHED: a finished run is a whole one.

        `files` is a folder that holds the record's files already, so that they need not be written once more.
        """
        now = int(time.time() * 1000)
        metrics = self._pending.pop(run_id, [])
        for epoch, values in enumerate(record.history, start=1):
            if epoch > self._last_epoch.get(run_id, 0):  # those that came too late, or were lost with their worker
                metrics += [Metric(name, value, now, epoch) for name, value in values.items()]
        # A metric that is nan is left out: a tracker's search would take it for a small number.
        metrics += [Metric(name, value, now, 0) for name, value in record.metrics.items() if value == value]
        metrics += [Metric("test/kl_per_dimension", v, now, d) for d, v in enumerate(record.kl_per_dimension)]
        # In as few requests as may be, as each costs milliseconds whatever it holds.
        self.client.log_batch(run_id, metrics[:BATCH], tags=[RunTag(TAG + k, v) for k, v in record.facts.items()])
        for start in range(BATCH, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics[start : start + BATCH])
        self.dataset(run_id, record.data)
        if files is None:
            self.files(run_id, record.files)
        else:
            self.client.log_artifacts(run_id, str(files))
        self.client.set_terminated(run_id, "FINISHED")

    @reaching_tracker
    def close(self, run_id: str, status: str = "FINISHED") -> None:
        self._flush(run_id)
        self.client.set_terminated(run_id, status)

    @reaching_tracker
    def fail(self, run_id: str, reason: str, traceback: str) -> None:
        """Mark a run FAILED, with why."""
        self.tag(run_id, {"failure": reason[:4000]})
        self.files(run_id, {"traceback.txt": traceback.encode()})
        self.close(run_id, "FAILED")

    @reaching_tracker
    def experiments(self) -> dict[str, str]:
        """Name -> id of each active experiment."""
        found = self.client.search_experiments()
        return {e.name: str(e.experiment_id) for e in found}

    @reaching_tracker
    def runs(self, experiment: str, tags: Mapping[str, str] | None = None, parent: str | None = None) -> pd.DataFrame:
        """Runs of an experiment, newest first: run_id, status, start_time, and params.*, metrics.*, tags.* columns."""
        wanted = {TAG + key: value for key, value in (tags or {}).items()} | ({PARENT: parent} if parent else {})
        clauses = [f"tags.`{key}` = '{value}'" for key, value in wanted.items()]
        rows = [_row(run) for run in self._search(experiment, " AND ".join(clauses))]
        return pd.DataFrame(rows)

    def _search(self, experiment: str, query: str) -> Iterator[Run]:
        token: str | None = None
        while token != "":
            page = self.client.search_runs([experiment], query, max_results=1000, page_token=token)
            yield from page
            token = page.token or ""

    @reaching_tracker
    def get(self, run_id: str) -> dict[str, Any]:
        """One run as a row of `runs`.

        Raises:
            BadInput: there is no such run.
        """
        try:
            return _row(self.client.get_run(run_id))
        except MlflowException as error:
            raise BadInput(f"no run {run_id!r} is tracked at {self.uri}: {str(error).splitlines()[0]}") from None

    @reaching_tracker
    def read_file(self, run_id: str, name: str) -> bytes:
        """The content of one of a run's files.

        Raises:
            BadInput: the run has no such file.
        """
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self.client.download_artifacts(run_id, name, scratch)).read_bytes()
            except (MlflowException, OSError) as error:
                raise BadInput(f"run {run_id} holds no {name}: {str(error).splitlines()[0]}") from None

    @property
    def has_server(self) -> bool:
        return self.uri.startswith("http")

    def link(self, experiment: str, run_id: str) -> str:
        """Where the UI shows a run; with no server, the address at which `vaestudy ui` will serve it."""
        base = self.uri if self.has_server else "http://127.0.0.1:5000"
        return f"{base.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"


def param_text(value: Any) -> str:
    """A configuration's value as a run's parameter."""
    return value if isinstance(value, str) else json.dumps(value)


def _row(run: Run) -> dict[str, Any]:
    info = run.info
    return {
        "run_id": info.run_id,
        "name": info.run_name,
        "experiment": info.experiment_id,
        "status": info.status,
        "start_time": info.start_time,
        **{f"params.{k}": v for k, v in run.data.params.items()},
        **{f"metrics.{k}": v for k, v in run.data.metrics.items()},
        **{f"tags.{k.removeprefix(TAG)}": v for k, v in run.data.tags.items()},
    }
