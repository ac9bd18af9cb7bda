"""Sends the records in the outbox to MLflow: the records of one sweep, or all records (`vaestudy sync`)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.runtime.addresses import public_address
from vaestudy.runtime.credentials import has_credentials
from vaestudy.study.sweep import NO_SWEEP, Sweep
from vaestudy.tracking import outbox
from vaestudy.tracking.destination import Destination, find_destination, with_record
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.outbox import OutboxEntry
from vaestudy.tracking.unavailable import RecordRefused

Waiting = tuple[Path, OutboxEntry]


def publish_entries(to: Destination, waiting: Iterable[Waiting], report: Callable[[str], None]) -> list[Path]:
    """Publish entries; return the folders of the published entries. The caller deletes these folders.

    The caller holds the lock of the entries' owner. A record that MLflow refuses is left out, and the next one is
    published.

    Args:
        to: where the runs are recorded.
        waiting: the entries and their folders.
        report: receives a line about each record that MLflow refuses.

    Raises:
        TrackerUnavailable: the tracker is out of reach; the other entries stay.
    """
    published = []
    for folder, entry in waiting:
        try:
            _publish(to, folder, entry)
        except RecordRefused as error:
            report(f"MLflow refuses the result of {entry.cell}, which stays in {folder}: {error}")
            continue
        published.append(folder)
    return published


def _publish(to: Destination, folder: Path, entry: OutboxEntry) -> None:
    """Publish one entry as a new run. If MLflow already has the record, publish nothing."""
    role = entry.record.facts.get("role")
    runs = to.cell_runs({"config.key": entry.key}, role=role)
    # A sweep has one run for each cell. Single runs of one configuration are told apart by the name of the record,
    # which entries of earlier revisions do not have.
    by_key = entry.sweep != NO_SWEEP or not entry.id
    if len(runs):
        mine = with_record(runs)
        if not by_key:
            mine &= (runs["tags.record.id"] == entry.id) if "tags.record.id" in runs else False
        if mine.any():
            return
        stale = runs["status"] == "RUNNING"
        if not by_key:
            stale &= runs["run_id"] == entry.run_id
        for run_id in runs.loc[stale, "run_id"]:
            to.tracker.close(run_id, "KILLED")  # the run began before the tracker went out of reach
    tags = {"sweep": entry.sweep} | ({"role": role} if role else {})
    run_id = to.start_run(entry.cell, entry.record.config, tags)
    to.tracker.finish(run_id, entry.record, outbox.files_folder(folder), entry.id)


def sync(uri: str | None, report: Callable[[str], None]) -> tuple[int, int]:
    """Publish the records that wait in the outbox. A second call publishes nothing twice.

    What cannot be published is reported in one line and stays; all other records are published.

    Args:
        uri: the address of the tracker whose records are published; None for all trackers.
        report: receives messages for the user, one line each.

    Returns:
        (the number of records published, the number that still wait).
    """
    outbox.discard_leftovers()
    groups: dict[tuple[str, str, str, str], list[Waiting]] = defaultdict(list)
    for folder, entry in outbox.waiting_entries(report, uri):
        groups[entry.uri, entry.study.name, entry.sweep, entry.owner].append((folder, entry))
    trackers = _Trackers(uri)
    published = 0
    for (address, study, sweep, owner), waiting in groups.items():
        shown = f"{study} {sweep}".strip()
        try:
            with outbox.owned(owner, single=sweep == NO_SWEEP):
                published += _publish_group(trackers, waiting, report)
        except outbox.OwnedElsewhere:
            report(f"{shown} is being run; {len(waiting)} of its results are delivered by that process")
        except (TrackerUnavailable, BadInput) as error:
            report(f"{shown}: {len(waiting)} results wait for {address}: {error}")
    return published, sum(folder.exists() for waiting in groups.values() for folder, _ in waiting)


def _publish_group(trackers: _Trackers, waiting: list[Waiting], report: Callable[[str], None]) -> int:
    """Publish the entries of one owner; return how many there were.

    Raises:
        TrackerUnavailable: the tracker is out of reach.
        BadInput: the experiment was deleted in MLflow, or the address of the tracker is not complete.
    """
    waiting = [(folder, entry) for folder, entry in waiting if folder.exists()]  # else its owner has published it
    if not waiting:
        return 0
    first = waiting[0][1]
    sweep = Sweep(first.study, first.base, {}, first.quick, first.note)
    to, is_open = find_destination(trackers.get(first), first.sweep, sweep)
    published = publish_entries(to, waiting, report)
    if is_open:  # before the entries are removed: after a kill, the next call finds them and closes it
        to.tracker.close(to.sweep_run, "FINISHED")
    for folder in published:
        outbox.remove_entry(folder)
    return len(published)


class _Trackers:
    """The trackers of waiting entries, each opened once. One that cannot be used is not tried again.

    Args:
        given: the address that the user gave, if there is one.
    """

    def __init__(self, given: str | None) -> None:
        named = (given, os.environ.get("MLFLOW_TRACKING_URI"))
        self._complete = {public_address(uri): uri for uri in reversed(named) if uri and has_credentials(uri)}
        self._opened: dict[str, Tracker | TrackerUnavailable] = {}

    def get(self, entry: OutboxEntry) -> Tracker:
        """Return the tracker of an entry. Its user and password come from the address that the user gave.

        Raises:
            TrackerUnavailable: the tracker cannot be used.
            BadInput: the tracker needs a user and password, and the user has not given its address.
        """
        if entry.has_credentials and entry.uri not in self._complete:
            raise BadInput("its address has a user and password, which are not stored; give it by --tracking-uri")
        if entry.uri not in self._opened:
            try:
                self._opened[entry.uri] = Tracker(self._complete.get(entry.uri, entry.uri))
            except TrackerUnavailable as error:
                self._opened[entry.uri] = error
        opened = self._opened[entry.uri]
        if isinstance(opened, TrackerUnavailable):
            raise opened
        return opened
