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

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.record import EpochEnd, Record, RunFailure
from vaestudy.runtime import provenance
from vaestudy.study.declaration import Study
from vaestudy.study.sweep import Sweep
from vaestudy.tracking import outbox
from vaestudy.tracking.mlflow_tracker import DESCRIPTION, Tracker, TrackerUnavailable, param_text

NO_SWEEP = ""  # used as the sweep's name for single runs, which have no sweep run
CELLS_NAMED = 4  # at most, in one message


@dataclass(frozen=True)
class Destination:
    """The tracker, experiment and sweep run under which a sweep's runs are recorded."""

    tracker: Tracker
    experiment: str
    """The experiment's id."""
    sweep_run: str
    """The id of the sweep run, under which the runs of the cells are nested; empty for single runs."""


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
        self._destination: Destination | None = None
        self._open: dict[str, OpenRun] = {}
        self._up = True

    def destination(self) -> Destination:
        """Return where the runs are recorded. The first call creates the experiment and opens the sweep run.

        Raises:
            TrackerUnavailable: the tracker is out of reach.
            BadInput: runs of the sweep were made under another declaration of the study.
        """
        if self._destination is None:
            tracker = Tracker(self.uri)
            experiment = tracker.experiment(self.sweep.study.name, experiment_description(self.sweep.study))
            parent = "" if self.name == NO_SWEEP else sweep_run(tracker, experiment, self.name, self.sweep)
            self._destination = Destination(tracker, experiment, parent)
        return self._destination

    def recorded_cells(self) -> RecordedCells:
        """Publish the records that wait in the outbox, then return the cells that have an outcome in MLflow.

        Runs that are still RUNNING are marked KILLED. The caller must have the sweep's lock: then no other driver works
        on the sweep, and the driver that began those runs has died.
        """
        try:
            self.publish_waiting()
            to = self.destination()
            runs = to.tracker.runs(to.experiment, parent=to.sweep_run)
            if runs.empty:
                return RecordedCells()
            for run_id in runs.loc[runs["status"] == "RUNNING", "run_id"]:
                to.tracker.close(run_id, "KILLED")
        except TrackerUnavailable as error:
            self._report_unavailable(error)
            return RecordedCells(known=False)
        done = runs[runs["status"] == "FINISHED"]
        values = dict.fromkeys(done["tags.config.key"], math.nan)
        if (objective := f"metrics.{self.sweep.objective}") in done:
            values |= dict(zip(done["tags.config.key"], done[objective], strict=True))
        failed = runs[runs["tags.diverged"] == "True"] if "tags.diverged" in runs else runs[:0]
        return RecordedCells(values, set(failed["tags.config.key"]))

    def begin(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str | None:
        """Open a run in MLflow; return its id, or None if the tracker is out of reach."""
        run_id = None
        try:
            run_id = self._start(name, config, tags)
        except TrackerUnavailable as error:
            self._report_unavailable(error)
        self._open[config.key] = OpenRun(name, run_id)
        return run_id

    def _start(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
        """Create a run in MLflow with its tags and parameters; return its id."""
        to = self.destination()
        role = "trial" if to.sweep_run else "train"
        about = {"role": role, "sweep": self.name, "config.key": config.key} | dict(tags)
        run_id = to.tracker.start(to.experiment, name, about, to.sweep_run)
        to.tracker.params(run_id, config.model_dump(mode="json"))
        return run_id

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
            self.uri, self.name, run.name, sweep.study, sweep.base, sweep.quick, sweep.note, record
        )
        try:
            saved: Path | None = outbox.save_entry(entry)
        except OSError:
            saved = None  # no disk has room: if the tracker fails as well, the driver stops
        try:
            if run_id is None:
                run_id = self._start(run.name, record.config, {})
            self.destination().tracker.finish(run_id, record, outbox.files_folder(saved) if saved else None)
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
        """Mark a run FAILED, with the reason; return its id.

        A failure is not saved in the outbox. If the tracker is out of reach, the next run of the study runs the cell
        again.
        """
        run_id = self._open.pop(key).run_id
        if run_id is not None:
            try:
                self.destination().tracker.tag(run_id, {"diverged": str(failure.diverged)})
                self.destination().tracker.fail(run_id, failure.reason, failure.traceback)
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
        with outbox.locked():  # `vaestudy sync` and drivers do this one after another
            waiting = outbox.waiting_entries(self.uri, self.name, self.sweep.study.name)
            if not waiting:
                return 0
            to = self.destination()
            runs = to.tracker.runs(to.experiment, parent=to.sweep_run)
            for folder, entry in waiting:
                mine = runs[runs["tags.config.key"] == entry.key] if len(runs) else runs
                if not len(mine) or "FINISHED" not in set(mine["status"]):
                    for stale in mine.loc[mine["status"] == "RUNNING", "run_id"] if len(mine) else ():
                        to.tracker.close(stale, "KILLED")  # the run began before the tracker went out of reach
                    to.tracker.finish(
                        self._start(entry.cell, entry.record.config, {}), entry.record, outbox.files_folder(folder)
                    )
                outbox.remove_entry(folder)
        self._up = True
        return len(waiting)

    def waiting_objectives(self) -> dict[str, float]:
        """Return key -> the value to report to Optuna, for each cell whose record waits in the outbox."""
        waiting = outbox.waiting_entries(self.uri, self.name, self.sweep.study.name)
        return {entry.key: entry.record.history[-1][self.sweep.objective] for _, entry in waiting}

    def _report_unavailable(self, error: TrackerUnavailable) -> None:
        """Report that the tracker is out of reach, once until it works again."""
        if self._up:
            self._report(
                f"tracking is out of reach ({error}); results are kept on disk; `vaestudy sync` "
                "or the next run of the study sends them to the tracker"
            )
        self._up = False


def sweep_run(tracker: Tracker, experiment: str, name: str, sweep: Sweep) -> str:
    """Return the id of the sweep run; create it, or set an existing one back to RUNNING.

    Raises:
        BadInput: runs of the sweep were made under another declaration of the study.
    """
    base, factors = sweep.base.model_dump(mode="json"), sorted(sweep.study.factors)
    declared = {"base": json.dumps(base), "factors": json.dumps(factors)}
    found = tracker.runs(experiment, {"role": "study", "sweep": name})
    if found.empty:
        tags = {
            "role": "study",
            "sweep": name,
            "quick": str(sweep.quick),
            "note": sweep.note or "",
            "code.revision": provenance.code_revision().commit,
        }
        parent = tracker.start(experiment, f"{sweep.study.name} {name}", tags | declared)
    else:
        parent = str(found.iloc[0]["run_id"])
        before = {tag: json.loads(found.iloc[0][f"tags.{tag}"]) for tag in declared}
        if before != {"base": base, "factors": factors}:
            _refuse_mixture(tracker, experiment, parent, sweep)
            tracker.tag(parent, declared)
        tracker.reopen(parent)
    tracker.files(parent, {"study.json": sweep.study.model_dump_json().encode()})
    tracker.tag(parent, {DESCRIPTION: experiment_description(sweep.study)})
    return parent


def _refuse_mixture(tracker: Tracker, experiment: str, parent: str, sweep: Sweep) -> None:
    """Raise if finished or failed runs of the sweep differ from the current declaration.

    Only fields that are neither a factor of the study nor the seed are compared.

    Raises:
        BadInput: there are such runs; the message names them and the fields that differ.
    """
    fixed = sweep.base.model_dump(mode="json", exclude={*sweep.study.factors, "seed"})
    # A run that is older than a field has no value of it; it was made with what is now the field's default.
    defaults = RunConfig().model_dump(mode="json")
    differing: dict[str, list[str]] = {}
    runs = tracker.runs(experiment, parent=parent).to_dict("records")
    counted = [row for row in runs if row["status"] in ("FINISHED", "FAILED")]
    for row in counted:
        recorded = {name: row.get(f"params.{name}") for name in fixed}
        recorded = {name: param_text(defaults[name]) if pd.isna(value) else value for name, value in recorded.items()}
        changes = [
            f"{k} (was {recorded[k]}, is {param_text(v)})" for k, v in fixed.items() if recorded[k] != param_text(v)
        ]
        if changes:
            differing.setdefault(", ".join(changes), []).append(str(row["name"]))
    if differing:
        shown = "; ".join(f"{changes} in {_some(names)}" for changes, names in differing.items())
        count = sum(map(len, differing.values()))
        raise BadInput(
            f"study {sweep.study.name}: {count} of its {len(counted)} runs were made under another declaration: "
            f"{shown}; --fresh starts anew and keeps them"
        )


def _some(names: list[str]) -> str:
    """Return the first names as text, and the number of the others."""
    more = f" and {len(names) - CELLS_NAMED} more" if len(names) > CELLS_NAMED else ""
    return " | ".join(names[:CELLS_NAMED]) + more


def experiment_description(study: Study) -> str:
    """Return the text that MLflow shows above a study's runs, in Markdown."""
    body = "\n".join(study.doc.strip().splitlines()[1:]).strip()
    return f"**{study.question}**\n\n`make study-{study.name}`\n\n{body}"


def sync(uri: str | None, report: Callable[[str], None]) -> tuple[int, int]:
    """Publish the records that wait in the outbox. A second call publishes nothing twice.

    Args:
        uri: the address of the tracker whose records are published; None for all trackers.
        report: receives messages for the user, one line each.

    Returns:
        (the number of records published, the number that still wait).
    """
    groups: dict[tuple[str, str, str], outbox.OutboxEntry] = {}
    for _, entry in outbox.waiting_entries(uri):
        groups.setdefault((entry.uri, entry.study.name, entry.sweep), entry)
    published = 0
    for entry in groups.values():
        sweep = Sweep(entry.study, entry.base, {}, entry.quick, entry.note)
        publisher = Publisher(entry.uri, sweep, entry.sweep, report)
        try:
            published += publisher.publish_waiting()
            publisher.close("FINISHED")
        except TrackerUnavailable as error:
            report(f"{entry.uri} is out of reach: {error}")
    return published, len(outbox.waiting_entries(uri))
