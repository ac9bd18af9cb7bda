"""Publishes the runs of a sweep: opens them in MLflow, sends their curves and records, and closes them.

While the tracker is out of reach, the runs go on and their records wait in the outbox (`tracking/outbox.py`).

The order of writes makes a kill at any moment safe. For each record, `Publisher.finish`

1. saves the record in the outbox,
2. sends the record to MLflow,
3. marks the run FINISHED in MLflow,
4. deletes the record from the outbox.

A kill before 1 loses no finished record: the cell has none yet and is run again, from its last checkpoint. After a kill
between 1 and 3 the record is in the outbox and is published into a new run; the incomplete run is marked KILLED. After
a kill between 3 and 4 the run is FINISHED; the copy in the outbox is deleted without publishing it again.

A sweep has a run of its own in MLflow, the sweep run. The runs of its cells are nested under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.run.record import EpochEnd, Record, RunFailure
from vaestudy.runtime import provenance
from vaestudy.runtime.addresses import public_address
from vaestudy.runtime.credentials import has_credentials
from vaestudy.scoring.bounds import Metrics
from vaestudy.study.sweep import NO_SWEEP, Sweep
from vaestudy.tracking import outbox
from vaestudy.tracking.delivery import publish_entries
from vaestudy.tracking.destination import SEARCH, Destination, open_destination, report_deleted_cells
from vaestudy.tracking.mlflow_tracker import Tracker

OWNER_WAIT_SECONDS = 60
"""How long a driver waits for `vaestudy sync` to deliver results of the same sweep."""


@dataclass(frozen=True)
class RecordedCells:
    """The cells of a sweep that have an outcome in MLflow, by the key of their configuration."""

    objectives: dict[str, float] = field(default_factory=dict)
    """Key of each FINISHED run -> the value to report to Optuna; nan if the run has no such metric."""
    diverged: set[str] = field(default_factory=set)
    """Keys of runs that diverged. They would diverge again."""
    known: bool = True
    """False if the tracker is out of reach; the other fields are then empty."""


@dataclass(frozen=True)
class RecordedRun:
    """The outcome of a run of a search's trial."""

    metrics: dict[str, float]
    """The metrics at the end of its last epoch."""
    run_id: str | None
    """The run in MLflow; None if its record waits in the outbox."""
    pruned_epoch: int | None = None
    """The epoch after which it was pruned; None if it was not."""
    diverged: bool = False
    """Whether it diverged. It would diverge again."""
    reason: str = ""
    """Why it diverged."""
    history: tuple[Metrics, ...] = ()
    """The metrics of its epochs if its record waits in the outbox; else MLflow has them."""


@dataclass(frozen=True)
class OpenRun:
    """A run that has begun and not ended."""

    name: str
    run_id: str | None
    """None if the tracker was out of reach when the run began."""


class Publisher:
    """The connection between one sweep and MLflow: opens, updates and closes the sweep's runs.

    Args:
        uri: the address of the tracker.
        sweep: the sweep.
        name: the name of the sweep's generation, or `NO_SWEEP` for single runs.
        report: receives messages for the user, one line each.
    """

    def __init__(self, uri: str, sweep: Sweep, name: str, report: Callable[[str], None]) -> None:
        self.uri, self.sweep, self.name, self._report = uri, sweep, name, report
        single = name == NO_SWEEP  # two single runs may go on at the same time, each the owner of its record
        self._owner = outbox.new_id() if single else outbox.sweep_owner(uri, sweep.study.name, name)
        self._destination: Destination | None = None
        self._open: dict[str, OpenRun] = {}
        self._up = True

    @contextmanager
    def owning_records(self) -> Iterator[None]:
        """Hold the lock of the sweep's records while the block runs, so that no other process publishes them.

        Raises:
            BadInput: another process owns them.
        """
        try:
            with outbox.owned(self._owner, OWNER_WAIT_SECONDS, single=self.name == NO_SWEEP):
                outbox.discard_leftovers(self._owner)
                yield
        except outbox.OwnedElsewhere:
            raise BadInput(
                f"results of study {self.sweep.study.name} ({self.name}) are being delivered to "
                f"{public_address(self.uri)} by another process; try again later"
            ) from None

    def destination(self) -> Destination:
        """Return where the runs are recorded. The first call creates the experiment and opens the sweep run.

        Raises:
            TrackerUnavailable: the tracker is out of reach.
            BadInput: runs of the sweep were made under another declaration of the study.
        """
        if self._destination is None:
            self._destination = open_destination(Tracker(self.uri), self.name, self.sweep, self._report)
        return self._destination

    def recorded_cells(self, keys: set[str]) -> RecordedCells:
        """Publish the records that wait in the outbox, then return the cells that have an outcome in MLflow.

        Runs that are still RUNNING are marked KILLED. The caller must have the sweep's lock: then no other driver works
        on the sweep, and the driver that began those runs has died.

        Args:
            keys: the keys of the cells that are asked for; those whose runs were deleted in MLflow are reported.
        """
        try:
            self.publish_waiting()
            to = self.destination()
            runs = to.cell_runs()
            for run_id in runs.loc[runs["status"] == "RUNNING", "run_id"] if len(runs) else ():
                to.tracker.close(run_id, "KILLED")
            found = self._outcomes(runs) if len(runs) else RecordedCells()
            report_deleted_cells(to, keys, set(found.objectives) | found.diverged, self._report)
        except TrackerUnavailable as error:
            self._report_unavailable(error)
            return RecordedCells(known=False)
        return found

    def recorded_trial_runs(self) -> dict[str, RecordedRun]:
        """Publish the records that wait in the outbox, then return the runs of trials that have an outcome.

        Runs that are still RUNNING are marked KILLED. The caller must have the sweep's lock. While the tracker is out
        of reach, only the records in the outbox are returned.

        Returns:
            key of a run's configuration -> its outcome.
        """
        found = {entry.key: _from_record(entry.record) for _, entry in self._waiting()}
        try:
            self.publish_waiting()
            to = self.destination()
            for row in to.cell_runs(role=SEARCH).to_dict("records"):
                key = str(row["tags.config.key"])
                if row["status"] == "RUNNING":
                    to.tracker.close(row["run_id"], "KILLED")
                elif (outcome := _from_row(row)) is not None:
                    found[key] = outcome
        except TrackerUnavailable as error:
            self._report_unavailable(error)
        return found

    def curve(self, run: RecordedRun, name: str) -> dict[int, float]:
        """Return a metric of a recorded run: epoch -> value.

        Raises:
            TrackerUnavailable: the run is in MLflow, and the tracker is out of reach.
        """
        if run.run_id is None:
            return {epoch: metrics[name] for epoch, metrics in enumerate(run.history, start=1)}
        curve = self.destination().tracker.curve(run.run_id, name)
        return {epoch: value for epoch, value in curve.items() if epoch > 0}

    def _outcomes(self, runs: pd.DataFrame) -> RecordedCells:
        """Return the outcomes in a frame of the sweep's runs."""
        done = runs[runs["status"] == "FINISHED"]
        values = dict.fromkeys(done["tags.config.key"], math.nan)
        if (objective := f"metrics.{self.sweep.objective}") in done:
            values |= dict(zip(done["tags.config.key"], done[objective], strict=True))
        failed = runs[runs["tags.diverged"] == "True"] if "tags.diverged" in runs else runs[:0]
        return RecordedCells(values, set(failed["tags.config.key"]))

    def begin(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str | None:
        """Open a run in MLflow; return its id, or None if the tracker is out of reach.

        The run gets this process's code revision at once, so that one that fails has it, too. A record replaces it by
        that of the worker.
        """
        run_id, revision = None, provenance.code_revision()
        try:
            origin = {"code.revision": revision.commit, "code.state": revision.state}
            run_id = self._start(name, config, origin | dict(tags))
        except TrackerUnavailable as error:
            self._report_unavailable(error)
        self._open[config.key] = OpenRun(name, run_id)
        return run_id

    def _start(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
        """Create a run in MLflow with its tags and parameters; return its id."""
        return self.destination().start_run(name, config, {"sweep": self.name} | dict(tags))

    def files(self, files: Mapping[str, bytes], tags: Mapping[str, str]) -> None:
        """Attach files to the sweep's own run, and set its tags.

        While the tracker is out of reach nothing is attached; the next run of the study attaches them.
        """
        try:
            to = self.destination()
            to.tracker.files(to.sweep_run, files)
            to.tracker.tag(to.sweep_run, tags)
        except TrackerUnavailable as error:
            self._report_unavailable(error)

    def epoch(self, event: EpochEnd) -> None:
        """Send an epoch's metrics to MLflow.

        While the tracker is out of reach they are skipped: the record contains them too.
        """
        run_id = self._open[event.key].run_id
        if run_id is not None and self._up:
            try:
                self.destination().tracker.epoch(run_id, event.epoch, event.metrics)
            except TrackerUnavailable as error:
                self._report_unavailable(error)

    def finish(self, key: str, record: Record) -> str | None:
        """Save a record in the outbox, publish it, and delete it from the outbox.

        Returns:
            the run's id, or None if the record waits in the outbox.

        Raises:
            TrackerUnavailable: the record could neither be saved in the outbox nor be published.
        """
        run, sweep = self._open.pop(key), self.sweep
        run_id = run.run_id
        entry = outbox.OutboxEntry(
            uri=public_address(self.uri),
            has_credentials=has_credentials(self.uri),
            sweep=self.name,
            cell=run.name,
            study=sweep.study,
            base=sweep.base,
            quick=sweep.quick,
            note=sweep.note,
            record=record,
            owner=self._owner,
            run_id=run_id,
            id=outbox.new_id(),
        )
        try:
            saved: Path | None = outbox.save_entry(entry)
        except OSError:
            saved = None  # no disk has room: if the tracker fails as well, the driver stops
        try:
            if run_id is None:
                role = record.facts.get("role")
                run_id = self._start(run.name, record.config, {"role": role} if role else {})
            files = outbox.files_folder(saved) if saved else None
            self.destination().tracker.finish(run_id, record, files, entry.id)
        except TrackerUnavailable as error:
            if saved is None:
                raise
            self._report_unavailable(error)
            return None
        self._up = True
        if saved is not None:
            outbox.remove_entry(saved)
        return run_id

    def fail(self, key: str, failure: RunFailure) -> str | None:
        """Mark a run FAILED, with the reason and, if it diverged, its facts; return its id.

        A failure is not saved in the outbox. If the tracker is out of reach, the next run of the study runs the cell
        again.
        """
        run_id = self._open.pop(key).run_id
        if run_id is not None:
            try:
                outcome = "diverged" if failure.diverged else "failed"
                tracker = self.destination().tracker
                tracker.tag(run_id, failure.facts | {"diverged": str(failure.diverged), "outcome": outcome})
                if failure.data:
                    tracker.dataset(run_id, failure.data)
                tracker.fail(run_id, failure.reason, failure.traceback)
            except TrackerUnavailable as error:
                self._report_unavailable(error)
        return run_id

    def close(self, status: str) -> None:
        """Mark open runs KILLED and end the sweep run with `status`; if that is FINISHED, publish the outbox first."""
        try:
            if status == "FINISHED":
                self.publish_waiting()
            for run in self._open.values():
                if run.run_id is not None:
                    self.destination().tracker.close(run.run_id, "KILLED")
            if self._destination is not None and self._destination.sweep_run:
                self._destination.tracker.close(self._destination.sweep_run, status)
        except TrackerUnavailable as error:
            self._report_unavailable(error)
        self._open.clear()

    def publish_waiting(self) -> int:
        """Publish this sweep's records in the outbox; return how many there were.

        Raises:
            TrackerUnavailable: the tracker is out of reach.
        """
        waiting = self._waiting()
        published = publish_entries(self.destination(), waiting, self._report) if waiting else []
        for folder in published:
            outbox.remove_entry(folder)
        self._up = self._up or bool(published)
        return len(published)

    def _waiting(self) -> list[tuple[Path, outbox.OutboxEntry]]:
        """Return this sweep's entries in the outbox."""
        return outbox.waiting_entries(self._report, self.uri, self.name, self.sweep.study.name)

    def waiting_objectives(self) -> dict[str, float]:
        """Return key -> the value to report to Optuna, for each cell whose record waits in the outbox."""
        cells = [entry for _, entry in self._waiting() if entry.record.facts.get("role") != SEARCH]
        return {entry.key: entry.record.history[-1][self.sweep.objective] for entry in cells}

    def waiting_count(self) -> int:
        """Return the number of this sweep's records in the outbox."""
        return len(self._waiting())

    def _report_unavailable(self, error: TrackerUnavailable) -> None:
        """Report that the tracker is out of reach, once until it works again."""
        if self._up:
            self._report(
                f"tracking is out of reach ({error}); results are kept on disk; `vaestudy sync` "
                "or the next run of the study sends them to the tracker"
            )
        self._up = False


def _from_record(record: Record) -> RecordedRun:
    """Return the outcome of a run whose record waits in the outbox."""
    return RecordedRun(record.history[-1], None, record.pruned_epoch, history=tuple(record.history))


def _from_row(row: Mapping[Hashable, Any]) -> RecordedRun | None:
    """Return the outcome of a run in MLflow; None if it has none, as it crashed or was killed.

    Args:
        row: a row of `Tracker.runs`.
    """
    metrics = {str(k).removeprefix("metrics."): v for k, v in row.items() if str(k).startswith("metrics.")}
    outcome, run_id = row.get("tags.outcome"), str(row["run_id"])
    if row["status"] == "FINISHED":
        return RecordedRun(metrics, run_id)
    if row["status"] == "KILLED" and outcome == "pruned":
        return RecordedRun(metrics, run_id, int(metrics["pruned/epoch"]))
    if row["status"] == "FAILED" and outcome == "diverged":
        return RecordedRun(metrics, run_id, diverged=True, reason=str(row.get("tags.failure", "")))
    return None
