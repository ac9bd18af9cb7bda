"""Writes runs to MLflow, and reads them back as data frames.

One client addresses every run by its id. So nothing depends on MLflow's "active run" or on the current directory.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from vaestudy.errors import BadInput, NoTracker, TrackerUnavailable
from vaestudy.run.record import Record
from vaestudy.runtime.addresses import database_file, is_server, public_address
from vaestudy.runtime.credentials import without_credentials
from vaestudy.runtime.paths import mlruns, slug
from vaestudy.runtime.provenance import UNKNOWN
from vaestudy.tracking.database_checks import RUN_OF_A_MODEL, require_free_database, require_tracking_database
from vaestudy.tracking.local_store import make_database, update_artifact_addresses
from vaestudy.tracking.stored_form import CELL, TAG, is_config_tag, metric_of, param_text, read_config, stored_metric
from vaestudy.tracking.unavailable import reaching_tracker

logging.getLogger("alembic").setLevel(logging.WARNING)
for chatty in ("mlflow.store", "urllib3"):  # the publisher reports an unreachable tracker in one line
    logging.getLogger(chatty).setLevel(logging.CRITICAL)

FLUSH_SECONDS = 2.0  # epochs are sent in batches: one write costs milliseconds, whatever its size
PAGE = 1000  # experiments or runs in one answer; all pages are read
BATCH = 900  # metrics in one request; MLflow accepts at most 1000
PARENT = "mlflow.parentRunId"
RUN_ID_DIGITS = 32
DATASET_DIGITS = 8  # of the fingerprint that MLflow shows with a data set's name; the tag has all digits
DESCRIPTION = "mlflow.note.content"
SHARED_VIEW = "mlflow.sharedViewState."
"""How the tags of an experiment begin that hold views of the runs page."""
HTTP_OK = 200
WORKFLOW = "workflowType=machine_learning"  # else MLflow opens its pages for language models
VERSION_SECONDS = 5  # to wait for a server's version; without it no view is prepared
SOURCE = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "vaestudy"}


class Tracker:
    """A tracker: MLflow's store in a SQLite file, in another database, or behind a server.

    Raises:
        TrackerUnavailable: by every method that reads or writes, if the tracker cannot be used.
        NoTracker: by the constructor, if something else than a tracker is at the address.
    """

    @reaching_tracker
    def __init__(self, uri: str) -> None:
        self.uri = uri
        if (path := database_file(uri)) is None:
            if not self.has_server:
                require_free_database(uri)  # the client adds MLflow's tables to whatever is there
            self.client = MlflowClient(uri)
            self._artifacts = mlruns() / "artifacts" if not self.has_server else None
            self.client.search_experiments(max_results=1)  # another web server would be noticed only after training
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(f"tracking path {uri}: {path.parent} cannot be made: {error.strerror}") from None
            self._artifacts = path.parent / "artifacts"
            with FileLock(f"{path}.setup.lock"):  # two processes that migrate the same new database both fail
                if path.exists():
                    require_tracking_database(path)
                else:
                    make_database(path)
                self.client = MlflowClient(uri)
                update_artifact_addresses(path)
        self._server_version: str | None = None
        self._pending: dict[str, list[Metric]] = {}
        self._flushed: dict[str, float] = {}
        self._last_epoch: dict[str, int] = {}

    @reaching_tracker
    def create_experiment(self, name: str, note: str, tags: Mapping[str, str]) -> str:
        """Create an experiment; return its id.

        Its artifacts are stored beside a SQLite file, for any other database under mlruns/. A server chooses the folder
        itself.

        Raises:
            BadInput: an experiment of this name was deleted in MLflow and is still in its trash.
        """
        found = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            raise BadInput(f"experiment {name!r} is in MLflow's trash; restore it, or delete it for good")
        location = (self._artifacts / slug(name)).as_uri() if self._artifacts else None
        everything = {"mlflow.experimentKind": "custom_model_development"} | ({DESCRIPTION: note} if note else {})
        everything |= {TAG + key: value for key, value in tags.items()}
        return str(self.client.create_experiment(name, artifact_location=location, tags=everything))

    @reaching_tracker
    def tag_experiment(self, experiment: str, values: Mapping[str, str]) -> None:
        """Set tags of an experiment, with the prefix `TAG`."""
        for key, value in values.items():
            self.client.set_experiment_tag(experiment, TAG + key, value)

    @reaching_tracker
    def start(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """Create a run with the status RUNNING; return its id."""
        everything = {TAG + key: value for key, value in tags.items() if value} | SOURCE
        if (commit := tags.get("code.revision", UNKNOWN)) != UNKNOWN:
            everything["mlflow.source.git.commit"] = commit
        if parent:
            everything[PARENT] = parent
        return str(self.client.create_run(experiment, run_name=name, tags=everything).info.run_id)

    @reaching_tracker
    def reopen(self, run_id: str) -> None:
        """Set a run's status back to RUNNING."""
        self.client.update_run(run_id, status="RUNNING")

    @reaching_tracker
    def params(self, run_id: str, values: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> None:
        """Log parameters, and tags in the same request."""
        params = [Param(k, param_text(v)) for k, v in values.items()]
        self.client.log_batch(run_id, params=params, tags=[RunTag(TAG + k, v) for k, v in (tags or {}).items()])

    @reaching_tracker
    def tag(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags; all but MLflow's description get the prefix `TAG`."""
        self.client.log_batch(run_id, tags=[RunTag(k if k == DESCRIPTION else TAG + k, v) for k, v in values.items()])

    @reaching_tracker
    def epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch. They are sent in batches; `finish`, `fail` and `close` send the rest."""
        if epoch <= self._last_epoch.get(run_id, 0):
            return  # already logged: a run that resumes from a checkpoint reports its earlier epochs again
        self._last_epoch[run_id] = epoch
        now = time.time()
        pending = self._pending.setdefault(run_id, [])
        pending += [Metric(name, value, int(now * 1000), epoch) for name, value in metrics.items()]
        if now - self._flushed.setdefault(run_id, now) > FLUSH_SECONDS:
            self._flush(run_id)

    def _flush(self, run_id: str) -> None:
        """Send the metrics of a run that are not sent yet."""
        pending = self._pending.pop(run_id, [])
        self._flushed[run_id] = time.time()
        for start in range(0, len(pending), BATCH):
            self.client.log_batch(run_id, metrics=pending[start : start + BATCH])

    @reaching_tracker
    def metrics(self, run_id: str, values: Mapping[str, float], step: int = 0) -> None:
        """Log final metrics. A metric that is nan is left out: MLflow's search would treat it as a small number."""
        now = int(time.time() * 1000)
        known = [Metric(stored_metric(name), value, now, step) for name, value in values.items() if value == value]
        for start in range(0, len(known), BATCH):
            self.client.log_batch(run_id, metrics=known[start : start + BATCH])

    @reaching_tracker
    def series(self, run_id: str, name: str, values: Mapping[int, float]) -> None:
        """Log one metric over integer steps that are not epochs, for example over the values of D.

        Points that the run already has are not logged again.
        """
        now, logged = int(time.time() * 1000), {m.step: m.value for m in self.client.get_metric_history(run_id, name)}
        new = [Metric(name, value, now, step) for step, value in values.items() if logged.get(step) != value]
        self.client.log_batch(run_id, metrics=new)

    @reaching_tracker
    def files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Attach files to a run: path within the run -> content."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run_id, scratch)

    @reaching_tracker
    def dataset(self, run_id: str, data: Mapping[str, str]) -> None:
        """Log the run's data set: its name, its fingerprint and the sizes of its splits."""
        profile = json.dumps({k: int(data[k]) for k in ("train", "valid", "test")})
        entity = Dataset(data["name"], data["fingerprint"][:DATASET_DIGITS], "local", data["name"], profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "train, valid, test")])])

    @reaching_tracker
    def finish(self, run_id: str, record: Record, files: Path | None = None, record_id: str = "") -> None:
        """Log everything of a record, and mark the run FINISHED as the last step; KILLED if it was pruned.

        So a FINISHED run is always complete, and so is a KILLED one with the tag `outcome` = pruned.

        Args:
            run_id: the run, which is RUNNING.
            record: what is logged.
            files: a folder that contains the record's files already; they are then not written to disk a second time.
            record_id: the record's name in the outbox, which tells whether it was published; empty if it has none.
        """
        now = int(time.time() * 1000)
        metrics = self._pending.pop(run_id, [])
        for epoch, values in enumerate(record.history, start=1):
            if epoch > self._last_epoch.get(run_id, 0):  # epochs that `epoch` never got, e.g. from a lost worker
                metrics += [Metric(name, value, now, epoch) for name, value in values.items()]
        # A metric that is nan is left out: MLflow's search would treat it as a small number.
        metrics += [Metric(stored_metric(k), value, now, 0) for k, value in record.metrics.items() if value == value]
        metrics += [Metric("test/kl_per_dimension", v, now, d) for d, v in enumerate(record.kl_per_dimension)]
        # As few requests as possible: each costs milliseconds, whatever its size.
        tags = dict(record.facts) | ({"record.id": record_id} if record_id else {})
        self.client.log_batch(run_id, metrics[:BATCH], tags=[RunTag(TAG + k, v) for k, v in tags.items()])
        for start in range(BATCH, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics[start : start + BATCH])
        self.dataset(run_id, record.data)
        if files is None:
            self.files(run_id, record.files)
        else:
            self.client.log_artifacts(run_id, str(files))
        self.client.set_terminated(run_id, "FINISHED" if record.pruned_epoch is None else "KILLED")

    @reaching_tracker
    def close(self, run_id: str, status: str = "FINISHED") -> None:
        """Send the metrics that are not sent yet, then end a run with `status`.

        If that is KILLED, the tag `outcome` becomes "killed". The run may have the outcome of a record that was not
        completely sent, and a KILLED run with the outcome "pruned" would pass for a complete one.
        """
        self._flush(run_id)
        if status == "KILLED":
            self.tag(run_id, {"outcome": "killed"})
        self.client.set_terminated(run_id, status)

    @reaching_tracker
    def fail(self, run_id: str, reason: str, traceback: str) -> None:
        """Mark a run FAILED; log the reason as a tag and the traceback as a file."""
        self.tag(run_id, {"failure": reason[:4000]})
        self.files(run_id, {"traceback.txt": traceback.encode()})
        self.close(run_id, "FAILED")

    @reaching_tracker
    def experiments(self) -> dict[str, str]:
        """Return the active experiments: name -> id."""
        return {found.name: str(found.experiment_id) for found in self._experiments()}

    @reaching_tracker
    def experiment_tags(self) -> dict[str, dict[str, str]]:
        """Return the tags of the active experiments, without the prefix `TAG`: id -> tags."""
        return {
            str(found.experiment_id): {key.removeprefix(TAG): value for key, value in found.tags.items()}
            for found in self._experiments()
        }

    def _experiments(self, view: int = ViewType.ACTIVE_ONLY) -> Iterator[Experiment]:
        """Yield all experiments of a kind, page by page."""
        return _pages(lambda token: self.client.search_experiments(view, max_results=PAGE, page_token=token))

    @reaching_tracker
    def runs(
        self,
        experiments: str | Sequence[str],
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
        deleted: bool = False,
    ) -> pd.DataFrame:
        """Return runs of one or several experiments, newest first, one row each.

        Args:
            experiments: the experiments' ids.
            tags: only runs that have these tags.
            parent: only runs that are nested under the run with this id.
            deleted: return runs that were deleted in MLflow, in place of all others.

        Returns:
            the columns run_id, name (the long one), experiment, status, start_time, params.*, metrics.* and tags.*; an
            empty frame without columns if there is no run.
        """
        ids = [experiments] if isinstance(experiments, str) else list(experiments)
        wanted = {TAG + key: value for key, value in (tags or {}).items()} | ({PARENT: parent} if parent else {})
        clauses = [f"tags.`{key}` = '{value}'" for key, value in wanted.items()]
        view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        rows = [_row(run) for run in self._search(ids, " AND ".join(clauses), view)] if ids else []
        return pd.DataFrame(rows)

    def _search(self, experiments: list[str], query: str, view: int) -> Iterator[Run]:
        """Yield all runs that match, page by page."""
        return _pages(
            lambda token: self.client.search_runs(experiments, query, view, max_results=PAGE, page_token=token)
        )

    @reaching_tracker
    def full_run_id(self, beginning: str) -> str:
        """Return the id of the run of vaestudy whose id begins with these digits.

        Raises:
            BadInput: there is no such run, or there are several.
        """
        if len(beginning) == RUN_ID_DIGITS:
            return beginning
        query = f"attributes.run_id LIKE '{beginning}%'"
        # Deleted runs, too: `get` then says that the run was deleted.
        ids = [str(found.experiment_id) for found in self._experiments(ViewType.ALL)]
        found = [run.info.run_id for run in self._search(ids, query, ViewType.ALL) if RUN_OF_A_MODEL in run.data.tags]
        if len(found) != 1:
            some = "no" if not found else "more than one"
            raise BadInput(f"{some} run {beginning!r} is tracked at {public_address(self.uri)}")
        return str(found[0])

    @reaching_tracker
    def get(self, run_id: str) -> dict[str, Any]:
        """Return one run in the form of a row of `runs`.

        Raises:
            BadInput: there is no such run, or it was deleted in MLflow, alone or with its experiment.
        """
        shown = public_address(self.uri)
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise BadInput(f"no run {run_id!r} is tracked at {shown}") from None
        if run.info.lifecycle_stage != "active":
            raise BadInput(f"run {run_id} was deleted in MLflow at {shown}; restore it, or its experiment, there first")
        return _row(run)

    @reaching_tracker
    def curve(self, run_id: str, name: str) -> dict[int, float]:
        """Return the values of one metric over its steps: step -> the newest value."""
        found = self.client.get_metric_history(run_id, stored_metric(name))
        found = found or (self.client.get_metric_history(run_id, name) if stored_metric(name) != name else [])
        points = sorted(found, key=lambda point: point.timestamp)
        return {point.step: point.value for point in points}

    @reaching_tracker
    def read_file(self, run_id: str, name: str) -> bytes:
        """Return the content of one of a run's files.

        Raises:
            BadInput: the run has no such file.
        """
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return Path(self.client.download_artifacts(run_id, name, scratch)).read_bytes()
            except (MlflowException, OSError) as error:
                line = without_credentials((str(error).splitlines() or [type(error).__name__])[0])
                raise BadInput(f"run {run_id} holds no {name}: {line}") from None

    @property
    def has_server(self) -> bool:
        return is_server(self.uri)

    @reaching_tracker
    def page_version(self) -> str:
        """Return the version of MLflow whose pages show the runs; empty if a server does not tell its version."""
        if not self.has_server:
            return str(mlflow.__version__)
        if self._server_version is None:
            host = get_default_host_creds(self.uri)  # type: ignore[no-untyped-call]
            answer = http_request(host, "/version", "GET", max_retries=0, timeout=VERSION_SECONDS)  # type: ignore[no-untyped-call]
            self._server_version = answer.text.strip() if answer.status_code == HTTP_OK else ""
        return self._server_version

    @reaching_tracker
    def share_view(self, experiment: str, key: str, value: str) -> None:
        """Store a view of an experiment's runs page (`tracking/prepared_view.py`)."""
        self.client.set_experiment_tag(experiment, SHARED_VIEW + key, value)

    def view_link(self, experiment: str, key: str) -> str:
        """Return the address of the runs page with a view that `share_view` has stored."""
        return f"{self._pages}/#/experiments/{experiment}/runs?{WORKFLOW}&viewStateShareKey={key}"

    @property
    def _pages(self) -> str:
        """Return the address of MLflow's pages; without a server, that at which `vaestudy ui` would show them."""
        return public_address(self.uri).rstrip("/") if self.has_server else "http://127.0.0.1:5000"

    def link(self, experiment: str, run_id: str) -> str:
        """Return the address of a run's page; without a server, the address at which `vaestudy ui` would show it."""
        return f"{self._pages}/#/experiments/{experiment}/runs/{run_id}?{WORKFLOW}"


def require_tracker(uri: str) -> None:
    """Raise if something else than a tracker is at an address. A tracker that does not answer now is accepted.

    Raises:
        BadInput: the address is not that of a tracker that the installed MLflow can use.
    """
    try:
        Tracker(uri)
    except NoTracker as error:
        raise BadInput(f"tracker {public_address(uri)}: {error}") from None
    except TrackerUnavailable:
        return  # results wait in the outbox until it answers; the publisher reports it


def _pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield the items of all pages of a list of MLflow.

    Args:
        fetch: returns the page of a token; the first page has the token None.
    """
    token: str | None = None
    while token != "":
        page = fetch(token)
        yield from page
        token = page.token or ""


def _row(run: Run) -> dict[str, Any]:
    """Return a run as a row of `Tracker.runs`, the same for every form in which runs were stored (`stored_form`)."""
    info, tags = run.info, {name.removeprefix(TAG): value for name, value in run.data.tags.items()}
    return {
        "run_id": info.run_id,
        "name": tags.get(CELL, info.run_name),
        "experiment": info.experiment_id,
        "status": info.status,
        "start_time": info.start_time,
        **{f"params.{name}": text for name, text in read_config(run.data.params, tags).items()},
        **{f"metrics.{metric_of(name)}": value for name, value in run.data.metrics.items()},
        **{f"tags.{name}": value for name, value in tags.items() if not is_config_tag(name)},
    }
