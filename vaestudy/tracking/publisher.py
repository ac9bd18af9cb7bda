"""The way of a sweep's runs to the tracker. While that is out of reach, results wait in the spool and nothing stops.

The order is what makes it safe to be killed anywhere: a record is in the spool before delivery begins; its run is
marked FINISHED last of all; then the spool's copy goes. Whoever comes next sees a finished run or a spooled record.
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

NO_SWEEP = ""  # in place of a sweep's name: runs on their own, under no sweep's run
CELLS_NAMED = 4  # in a message


@dataclass(frozen=True)
class Destination:
    """Where a sweep's runs go."""

    tracker: Tracker
    experiment: str
    """The experiment's id."""
    sweep_run: str
    """The id of the sweep's own run, under which its runs are nested; empty for single runs."""


@dataclass(frozen=True)
class RecordedCells:
    """What the tracker holds of a sweep, by the keys of the runs' configurations."""

    objectives: dict[str, float] = field(default_factory=dict)
    """The value that Optuna is told of each finished run; nan where the run has none."""
    diverged: set[str] = field(default_factory=set)
    known: bool = True
    """Whether the tracker could be asked."""


@dataclass(frozen=True)
class OpenRun:
    """A run under way."""

    name: str
    run_id: str | None
    """None while the tracker cannot be used."""


class Publisher:
    """One sweep's runs, from their begin to their end, in MLflow."""

    def __init__(self, uri: str, sweep: Sweep, name: str, report: Callable[[str], None]) -> None:
        self.uri, self.sweep, self.name, self._report = uri, sweep, name, report
        self._destination: Destination | None = None
        self._open: dict[str, OpenRun] = {}
        self._up = True

    def destination(self) -> Destination:
        """Return where the runs go; the experiment and the sweep's run are made at the first call.

        Raises:
            TrackerUnavailable: the tracker is out of reach.
            BadInput: runs of the sweep were made under another declaration.
        """
        if self._destination is None:
            tracker = Tracker(self.uri)
            experiment = tracker.experiment(self.sweep.study.name, experiment_description(self.sweep.study))
            parent = "" if self.name == NO_SWEEP else sweep_run(tracker, experiment, self.name, self.sweep)
            self._destination = Destination(tracker, experiment, parent)
        return self._destination

    def recorded_cells(self) -> RecordedCells:
        """Return what the tracker holds of the sweep.

        Runs that a driver left RUNNING are marked KILLED: the caller holds the sweep, so that driver is gone.
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
        """Open a run; None while the tracker is out of reach."""
        run_id = None
        try:
            run_id = self._start(name, config, tags)
        except TrackerUnavailable as error:
            self._report_unavailable(error)
        self._open[config.key] = OpenRun(name, run_id)
        return run_id

    def _start(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
        to = self.destination()
        role = "trial" if to.sweep_run else "train"
        about = {"role": role, "sweep": self.name, "config.key": config.key} | dict(tags)
        run_id = to.tracker.start(to.experiment, name, about, to.sweep_run)
        to.tracker.params(run_id, config.model_dump(mode="json"))
        return run_id

    def epoch(self, event: EpochEnd) -> None:
        """Live curves: let go while the tracker is out of reach, as the record holds them too."""
        run_id = self._open[event.key].run_id
        if run_id is not None and self._up:
            try:
                self.destination().tracker.epoch(run_id, event.epoch, event.metrics)
            except TrackerUnavailable as error:
                self._report_unavailable(error)

    def finish(self, key: str, record: Record) -> str | None:
        """Keep a record, deliver it, drop what was kept; its run's id, or None if it waits in the spool.

        Raises:
            TrackerUnavailable: neither a disk nor the tracker takes it.
        """
        run, sweep = self._open.pop(key), self.sweep
        run_id = run.run_id
        entry = outbox.OutboxEntry(
            self.uri, self.name, run.name, sweep.study, sweep.base, sweep.quick, sweep.note, record
        )
        try:
            kept: Path | None = outbox.save_entry(entry)
        except OSError:
            kept = None  # no disk takes it: the tracker must, or the driver stops
        try:
            if run_id is None:
                run_id = self._start(run.name, record.config, {})
            self.destination().tracker.finish(run_id, record, outbox.files_folder(kept) if kept else None)
        except TrackerUnavailable as error:
            if kept is None:
                raise
            self._report_unavailable(error)
            return None
        self._up = True
        if kept is not None:
            outbox.remove_entry(kept)
        return run_id

    def fail(self, key: str, failure: RunFailure) -> str | None:
        """Mark a run FAILED, with why; its id. A failure that cannot be tracked is not kept: its cell is run again."""
        run_id = self._open.pop(key).run_id
        if run_id is not None:
            try:
                self.destination().tracker.tag(run_id, {"diverged": str(failure.diverged)})
                self.destination().tracker.fail(run_id, failure.reason, failure.traceback)
            except TrackerUnavailable as error:
                self._report_unavailable(error)
        return run_id

    def close(self, status: str) -> None:
        """Deliver what still waits if the work is done, then close what is open, as KILLED, and the sweep's own run."""
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
        """Deliver this sweep's waiting results; how many there were.

        Raises:
            TrackerUnavailable: the tracker is out of reach.
        """
        with outbox.locked():  # a sync and a driver, or two syncs, deliver one after the other
            waiting = outbox.waiting_entries(self.uri, self.name, self.sweep.study.name)
            if not waiting:
                return 0
            to = self.destination()
            runs = to.tracker.runs(to.experiment, parent=to.sweep_run)
            for folder, entry in waiting:
                mine = runs[runs["tags.config.key"] == entry.key] if len(runs) else runs
                if not len(mine) or "FINISHED" not in set(mine["status"]):
                    for stale in mine.loc[mine["status"] == "RUNNING", "run_id"] if len(mine) else ():
                        to.tracker.close(stale, "KILLED")  # begun before the tracker went out of reach
                    to.tracker.finish(
                        self._start(entry.cell, entry.record.config, {}), entry.record, outbox.files_folder(folder)
                    )
                outbox.remove_entry(folder)
        self._up = True
        return len(waiting)

    def waiting_objectives(self) -> dict[str, float]:
        """What Optuna is to be told of each cell whose result waits."""
        waiting = outbox.waiting_entries(self.uri, self.name, self.sweep.study.name)
        return {entry.key: entry.record.history[-1][self.sweep.objective] for _, entry in waiting}

    def _report_unavailable(self, error: TrackerUnavailable) -> None:
        if self._up:
            self._report(
                f"tracking is out of reach ({error}); results are kept on disk, and `vaestudy sync` "
                "or the next run of the study delivers them"
            )
        self._up = False


def sweep_run(tracker: Tracker, experiment: str, name: str, sweep: Sweep) -> str:
    """The run of the whole sweep, begun or taken up again.

    Raises:
        BadInput: runs of the sweep were made under another declaration.
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
    """Refuse a sweep some of whose runs differ from what is declared now in more than a factor or the seed.

    Raises:
        BadInput: there are such runs; the message says which, and in what.
    """
    fixed = sweep.base.model_dump(mode="json", exclude={*sweep.study.factors, "seed"})
    defaults = RunConfig().model_dump(mode="json")  # what a run has of a field that came after it
    differing: dict[str, list[str]] = {}
    runs = tracker.runs(experiment, parent=parent).to_dict("records")
    counted = [row for row in runs if row["status"] in ("FINISHED", "FAILED")]
    for row in counted:
        held = {name: row.get(f"params.{name}") for name in fixed}
        held = {name: param_text(defaults[name]) if pd.isna(value) else value for name, value in held.items()}
        changes = [f"{k} (was {held[k]}, is {param_text(v)})" for k, v in fixed.items() if held[k] != param_text(v)]
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
    more = f" and {len(names) - CELLS_NAMED} more" if len(names) > CELLS_NAMED else ""
    return " | ".join(names[:CELLS_NAMED]) + more


def experiment_description(study: Study) -> str:
    """What MLflow shows above a study's runs."""
    body = "\n".join(study.doc.strip().splitlines()[1:]).strip()
    return f"**{study.question}**\n\n`make study-{study.name}`\n\n{body}"


def sync(uri: str | None, report: Callable[[str], None]) -> tuple[int, int]:
    """Deliver every waiting result, or one tracker's: (delivered, still waiting). Doing it twice does no more."""
    groups: dict[tuple[str, str, str], outbox.OutboxEntry] = {}
    for _, entry in outbox.waiting_entries(uri):
        groups.setdefault((entry.uri, entry.study.name, entry.sweep), entry)
    delivered = 0
    for entry in groups.values():
        sweep = Sweep(entry.study, entry.base, {}, entry.quick, entry.note)
        publisher = Publisher(entry.uri, sweep, entry.sweep, report)
        try:
            delivered += publisher.publish_waiting()
            publisher.close("FINISHED")
        except TrackerUnavailable as error:
            report(f"{entry.uri} is out of reach: {error}")
    return delivered, len(outbox.waiting_entries(uri))
