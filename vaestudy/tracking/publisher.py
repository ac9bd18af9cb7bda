"""The way of a sweep's runs to the tracker. While that is out of reach, results wait in the spool and nothing stops.

The order is what makes it safe to be killed anywhere: a record is in the spool before delivery begins; its run is
marked FINISHED last of all; then the spool's copy goes. Whoever comes next sees a finished run or a spooled record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.record import Epoch, Failure, Record
from vaestudy.runtime import provenance
from vaestudy.study.declaration import Study
from vaestudy.study.sweep import Sweep
from vaestudy.tracking import outbox
from vaestudy.tracking.mlflow_tracker import NOTE, TROUBLE, Tracker, as_param

SINGLE = ""  # in place of a sweep's name: runs on their own, under no sweep's run
CELLS_NAMED = 4  # in a message


class Delivery:
    """One sweep's runs, from their begin to their end, in MLflow."""

    def __init__(self, uri: str, sweep: Sweep, name: str, say: Callable[[str], None]) -> None:
        self.uri, self.sweep, self.name, self._say = uri, sweep, name, say
        self._home: tuple[Tracker, str, str] | None = None
        self._open: dict[str, tuple[str, str | None]] = {}
        self._up = True

    def home(self) -> tuple[Tracker, str, str]:
        """(tracker, experiment, the sweep's own run, empty for single runs), made if need be.

        Raises:
            TROUBLE: the tracker is out of reach.
            BadInput: runs of the sweep were made under another declaration.
        """
        if self._home is None:
            tracker = Tracker(self.uri)
            experiment = tracker.experiment(self.sweep.study.name, experiment_note(self.sweep.study))
            parent = "" if self.name == SINGLE else sweep_run(tracker, experiment, self.name, self.sweep)
            self._home = tracker, experiment, parent
        return self._home

    def known(self) -> tuple[dict[str, float], set[str]] | None:
        """(what Optuna is to be told of each finished cell, the diverged cells); None if the tracker is out of reach.

        Runs that a driver left RUNNING are marked KILLED: the caller holds the sweep, so that driver is gone.
        """
        try:
            self.deliver_spooled()
            tracker, experiment, parent = self.home()
            runs = tracker.runs(experiment, parent=parent)
            if runs.empty:
                return {}, set()
            for run_id in runs.loc[runs["status"] == "RUNNING", "run_id"]:
                tracker.close(run_id, "KILLED")
        except TROUBLE as error:
            self._trouble(error)
            return None
        done = runs[runs["status"] == "FINISHED"]
        values = dict.fromkeys(done["tags.config.key"], math.nan)
        if (objective := f"metrics.{self.sweep.objective}") in done:
            values |= dict(zip(done["tags.config.key"], done[objective], strict=True))
        failed = runs[runs["tags.diverged"] == "True"] if "tags.diverged" in runs else runs[:0]
        return values, set(failed["tags.config.key"])

    def begin(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str | None:
        """Open a run; None while the tracker is out of reach."""
        run_id = None
        try:
            run_id = self._start(name, config, tags)
        except TROUBLE as error:
            self._trouble(error)
        self._open[config.key] = name, run_id
        return run_id

    def _start(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
        tracker, experiment, parent = self.home()
        role = "trial" if parent else "train"
        about = {"role": role, "sweep": self.name, "config.key": config.key} | dict(tags)
        run_id = tracker.start(experiment, name, about, parent)
        tracker.params(run_id, config.model_dump(mode="json"))
        return run_id

    def epoch(self, event: Epoch) -> None:
        """Live curves: let go while the tracker is out of reach, as the record holds them too."""
        _, run_id = self._open[event.key]
        if run_id is not None and self._up:
            try:
                self.home()[0].epoch(run_id, event.epoch, event.metrics)
            except TROUBLE as error:
                self._trouble(error)

    def finish(self, key: str, record: Record) -> str | None:
        """Keep a record, deliver it, drop what was kept; its run's id, or None if it waits in the spool.

        Raises:
            TROUBLE: neither a disk nor the tracker takes it.
        """
        name, run_id = self._open.pop(key)
        sweep = self.sweep
        entry = outbox.Entry(self.uri, self.name, name, sweep.study, sweep.base, sweep.quick, sweep.note, record)
        try:
            kept: Path | None = outbox.keep(entry)
        except OSError:
            kept = None  # no disk takes it: the tracker must, or the driver stops
        try:
            if run_id is None:
                run_id = self._start(name, record.config, {})
            self.home()[0].finish(run_id, record, outbox.files(kept) if kept else None)
        except TROUBLE as error:
            if kept is None:
                raise
            self._trouble(error)
            return None
        self._up = True
        if kept is not None:
            outbox.drop(kept)
        return run_id

    def fail(self, key: str, failure: Failure) -> str | None:
        """Mark a run FAILED, with why; its id. A failure that cannot be tracked is not kept: its cell is run again."""
        _, run_id = self._open.pop(key)
        if run_id is not None:
            try:
                self.home()[0].tag(run_id, {"diverged": str(failure.diverged)})
                self.home()[0].fail(run_id, failure.reason, failure.traceback)
            except TROUBLE as error:
                self._trouble(error)
        return run_id

    def close(self, status: str) -> None:
        """Deliver what still waits if the work is done, then close what is open, as KILLED, and the sweep's own run."""
        try:
            if status == "FINISHED":
                self.deliver_spooled()
            for _, run_id in self._open.values():
                if run_id is not None:
                    self.home()[0].close(run_id, "KILLED")
            if self._home is not None and (parent := self._home[2]):
                self._home[0].close(parent, status)
        except TROUBLE as error:
            self._trouble(error)
        self._open.clear()

    def deliver_spooled(self) -> int:
        """Deliver this sweep's waiting results; how many there were.

        Raises:
            TROUBLE: the tracker is out of reach.
        """
        with outbox.held():  # a sync and a driver, or two syncs, deliver one after the other
            waiting = outbox.waiting(self.uri, self.name, self.sweep.study.name)
            if not waiting:
                return 0
            tracker, experiment, parent = self.home()
            runs = tracker.runs(experiment, parent=parent)
            for folder, entry in waiting:
                mine = runs[runs["tags.config.key"] == entry.key] if len(runs) else runs
                if not len(mine) or "FINISHED" not in set(mine["status"]):
                    for stale in mine.loc[mine["status"] == "RUNNING", "run_id"] if len(mine) else ():
                        tracker.close(stale, "KILLED")  # begun before the tracker went out of reach
                    tracker.finish(self._start(entry.cell, entry.record.config, {}), entry.record, outbox.files(folder))
                outbox.drop(folder)
        self._up = True
        return len(waiting)

    def spooled(self) -> dict[str, float]:
        """What Optuna is to be told of each cell whose result waits."""
        waiting = outbox.waiting(self.uri, self.name, self.sweep.study.name)
        return {entry.key: entry.record.history[-1][self.sweep.objective] for _, entry in waiting}

    def _trouble(self, error: BaseException) -> None:
        if self._up:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self._say(
                f"tracking is out of reach ({reason}); results are kept on disk, and `vaestudy sync` "
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
            "code.revision": provenance.code_revision()[0],
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
    tracker.tag(parent, {NOTE: experiment_note(sweep.study)})
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
        held = {name: as_param(defaults[name]) if pd.isna(value) else value for name, value in held.items()}
        changes = [f"{k} (was {held[k]}, is {as_param(v)})" for k, v in fixed.items() if held[k] != as_param(v)]
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


def experiment_note(study: Study) -> str:
    """What MLflow shows above a study's runs."""
    body = "\n".join(study.doc.strip().splitlines()[1:]).strip()
    return f"**{study.question}**\n\n`make study-{study.name}`\n\n{body}"


def sync(uri: str | None, say: Callable[[str], None]) -> tuple[int, int]:
    """Deliver every waiting result, or one tracker's: (delivered, still waiting). Doing it twice does no more."""
    groups: dict[tuple[str, str, str], outbox.Entry] = {}
    for _, entry in outbox.waiting(uri):
        groups.setdefault((entry.uri, entry.study.name, entry.sweep), entry)
    delivered = 0
    for entry in groups.values():
        sweep = Sweep(entry.study, entry.base, {}, entry.quick, entry.note, False)
        delivery = Delivery(entry.uri, sweep, entry.sweep, say)
        try:
            delivered += delivery.deliver_spooled()
            delivery.close("FINISHED")
        except TROUBLE as error:
            say(f"{entry.uri} is out of reach: {(str(error).splitlines() or [''])[0]}")
    return delivered, len(outbox.waiting(uri))
