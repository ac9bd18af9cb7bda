"""The repetition of a tracked run: the same configuration and seed are trained again, and the two records are compared.

Before the training, everything on record that can change the bits is compared with this process: the code's revision,
versions, hardware and data. After it, each metric of the new record is compared with the recorded one. Times are left
out, as they are never the same twice.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaestudy.config.own_dataset import absolute_name, is_own
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import LONGEST_REASON, BadInput, one_line
from vaestudy.run import execute
from vaestudy.run.record import Record
from vaestudy.runtime import provenance
from vaestudy.runtime.provenance import UNKNOWN, CodeRevision
from vaestudy.scoring.bounds import Metrics
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.recorded_run import RecordedRun, read_recorded_run
from vaestudy.training import backend, memory

COMPARED_TAGS = (
    "threads",
    "backend",
    "data.train",
    "data.valid",
    "data.test",
    "version.vaestudy",
    "version.python",
    "version.torch",
    "version.numpy",
    "hardware.cpu",
    "hardware.machine",
    "hardware.system",
)
"""Tags that name what the bits of a result may depend on, beside the code's revision and the data's fingerprint."""

SHOWN = 10
"""Number of differing values that are printed."""

LONGEST_TAG = 4_000
"""The number of characters to which a tag is cut: a tracker refuses a longer one."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of a repeated run with the record of the run that it repeats."""

    run_id: str
    """The id of the run that was repeated."""
    metrics: int
    """Number of metrics that were compared."""
    values: int
    """Number of values that were compared: a metric has one, or one for each epoch or dimension."""
    same_divergence: bool
    """Whether both runs diverged, at the same step with the same values."""
    differing: dict[str, tuple[Any, Any]]
    """What differs -> (on record, now). None stands for a divergence that did not happen."""
    unmatched: tuple[str, ...]
    """Metrics that only one of the two records has, so they could not be compared."""

    @property
    def exact(self) -> bool | None:
        """Whether all that was compared is equal to the bit; None if there was nothing to compare."""
        return not self.differing if self.values or self.same_divergence or self.differing else None

    def lines(self) -> list[str]:
        """Return the result for the user, one line each."""
        if self.exact is None:
            found = [f"run {self.run_id} has no metrics on record, so nothing could be compared"]
        elif self.exact:
            diverged = ", the same divergence" if self.same_divergence else ""
            found = [f"repeats run {self.run_id} exactly ({self.metrics} metrics, {self.values} values{diverged})"]
        else:
            found = [f"does not repeat run {self.run_id}: {len(self.differing)} values differ, {self.values} compared"]
            found += [
                f"  {name}: {_shown(was)} on record, {_shown(now)} now"
                for name, (was, now) in list(self.differing.items())[:SHOWN]
            ]
            found += [f"  and {len(self.differing) - SHOWN} more"] if len(self.differing) > SHOWN else []
        if self.unmatched:
            more = f" and {len(self.unmatched) - SHOWN} more" if len(self.unmatched) > SHOWN else ""
            names = ", ".join(self.unmatched[:SHOWN]) + more
            found.append(f"in only one of the two records, so not compared: {names}")
        return found

    @property
    def tags(self) -> dict[str, str]:
        """The tag of the new run that says whether it repeats the recorded one exactly."""
        return {} if self.exact is None else {"repeats.exact": str(self.exact)}

    def to_json(self) -> dict[str, Any]:
        """Return the result for programs. A value that is not finite becomes None."""
        differing = {name: [_finite(was), _finite(now)] for name, (was, now) in self.differing.items()}
        return {"repeats": self.run_id, "exact": self.exact, "compared_values": self.values, "differing": differing}


@dataclass(frozen=True)
class Repetition:
    """A run that is about to be repeated, after the checks."""

    recorded: RecordedRun
    differences: tuple[str, ...]
    """What this process and the record do not have in common, one line each."""
    remarks: tuple[str, ...]
    """What the user should know about the record, one line each."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What the user should know before the training, one line each."""
        return self.differences + self.remarks

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the new run that name the repeated run and the differences."""
        differs = {"repeats.differs": "; ".join(self.differences)[:LONGEST_TAG]} if self.differences else {}
        return {"repeats": self.recorded.run_id} | differs

    def compare(self, record: Record) -> Comparison:
        """Return the comparison of a complete new record with the recorded one."""
        known = {name: value for name, value in record.metrics.items() if value == value}  # nan is not recorded
        return self._compare(record.history, known, record.kl_per_dimension, (self.recorded.divergence, None))

    def compare_divergence(self, reason: str, history: Sequence[Metrics]) -> Comparison:
        """Return the comparison of a run that diverged, for this reason and after these epochs, with the record."""
        recorded = self.recorded
        # A run that was killed or crashed has no record of its last epochs. So it is not compared with the divergence.
        ended = recorded.divergence is not None or recorded.status == "FINISHED"
        return self._compare(history, {}, (), (recorded.divergence, reason if ended else None))

    def _compare(
        self,
        history: Sequence[Metrics],
        metrics: Metrics,
        kl_per_dimension: Sequence[float],
        divergences: tuple[str | None, str | None],
    ) -> Comparison:
        """Return the comparison of everything that has the same bits each time.

        Args:
            history: the metrics of each epoch.
            metrics: the metrics of the end of the run.
            kl_per_dimension: the KL of each latent dimension.
            divergences: why the recorded run diverged and why the new one did; None where it did not.
        """
        was_diverged, is_diverged = divergences
        differing: dict[str, tuple[Any, Any]] = {} if was_diverged == is_diverged else {"divergence": divergences}
        measured: set[str] = set()
        compared: set[str] = set()
        values = 0
        for name, label, was, now in self._pairs(history, metrics, kl_per_dimension):
            measured.add(name)
            if was is not None:
                compared.add(name)
                values += 1
                if not same_bits(was, now):
                    differing[label] = (was, now)
        unmatched: set[str] = set()
        if self.recorded.is_complete and is_diverged is None:  # else one of the records ends early
            unmatched = measured - compared | {name for name in self.recorded.metrics if is_repeatable(name)} - measured
        same_divergence = was_diverged is not None and was_diverged == is_diverged
        run_id = self.recorded.run_id
        return Comparison(run_id, len(compared), values, same_divergence, differing, tuple(sorted(unmatched)))

    def _pairs(
        self, history: Sequence[Metrics], metrics: Metrics, kl_per_dimension: Sequence[float]
    ) -> Iterator[tuple[str, str, float | None, float]]:
        """Yield (name, name with its step, recorded value or None, new value), in the order of time."""
        curves = self.recorded.curves
        for epoch, values in enumerate(history, start=1):
            for name, now in values.items():
                if is_repeatable(name):
                    yield name, f"{name}, epoch {epoch}", curves.get(name, {}).get(epoch), now
        for name, now in metrics.items():
            if is_repeatable(name):
                yield name, name, self.recorded.metrics.get(name), now
        name = "test/kl_per_dimension"
        for d, now in enumerate(kl_per_dimension):
            yield name, f"{name}, dimension {d}", curves.get(name, {}).get(d), now


def is_repeatable(metric: str) -> bool:
    """Return whether a repetition gives a metric the same bits: all but measured times."""
    return not metric.startswith("seconds") and not metric.endswith("/seconds")


def same_bits(recorded: float, now: float) -> bool:
    """Return whether a recorded value is the one that was computed now.

    The tracker stores an infinite value as the largest finite number, and does not keep the sign of zero.
    """
    limit = sys.float_info.max
    return recorded == min(max(now, -limit), limit) or recorded == now or (math.isnan(recorded) and math.isnan(now))


def prepare_repetition(
    tracker: Tracker, run: str, root: Path, any_revision: bool, dataset: str | None = None
) -> Repetition:
    """Read the record of a run and check, before the training, what the bits of its repetition depend on.

    Args:
        tracker: the tracker that has the run.
        run: the run's id, or its first digits.
        root: the folder of the data sets.
        any_revision: whether another code revision than the recorded one is reported and not refused.
        dataset: where the run's own data lies now, if it has moved.

    Raises:
        BadInput: there is no such run; its configuration cannot be read, or is not possible on this machine; the code
            or the data are not those of the record.
    """
    recorded = read_recorded_run(tracker, tracker.full_run_id(run))
    if dataset is not None:
        recorded = replace(recorded, config=_moved(recorded, dataset))
    differences = code_differences(recorded, any_revision)
    config = recorded.config
    try:
        execute.require_device(config.device)
        if config.device == "cpu":
            memory.require_memory([config])
        datasets.verify(config, root)
    except BadInput as error:
        raise BadInput(f"run {recorded.run_id} cannot be repeated here: {error}") from None
    data = datasets.load_splits(config, root)
    fingerprint = recorded.tags.get("data.fingerprint")
    if fingerprint not in (None, data.fingerprint):
        raise BadInput(f"run {recorded.run_id} was made from other images than {config.dataset} under {root} holds")
    now = execute.origin_tags() | execute.run_tags(config, data, backend.configure(config, data.shape))
    differences += [
        f"{tag}: {recorded.tags[tag]} on record, {now[tag]} now"
        for tag in COMPARED_TAGS
        if recorded.tags.get(tag, now[tag]) != now[tag]
    ]
    return Repetition(recorded, tuple(differences), tuple(_remarks(recorded)))


def _moved(recorded: RecordedRun, dataset: str) -> RunConfig:
    """Return the configuration of a run whose own data lies elsewhere now. It has the same key.

    Raises:
        BadInput: the run is not of own data.
    """
    if not is_own(dataset) or not recorded.config.data_digest:
        reason = f"run {recorded.run_id} is of {recorded.config.dataset}; beside --from it says where own data lies now"
        raise BadInput(f"--dataset {dataset}: {reason}")
    return recorded.config.with_changes(dataset=absolute_name(dataset))


def code_differences(recorded: RecordedRun, any_revision: bool) -> list[str]:
    """Return a line if this code cannot be shown to be that of the record, an empty list else.

    Raises:
        BadInput: it cannot be shown, and `any_revision` is False.
    """
    was = CodeRevision(recorded.tags.get("code.revision", UNKNOWN), recorded.tags.get("code.state", "not on record"))
    now = provenance.code_revision()
    why = _why_not_the_same(was, now)
    if why is None:
        return []
    line = f"code.revision: {was} on record, {now} now: {why}"
    if any_revision:
        return [line]
    raise BadInput(f"run {recorded.run_id}: {line}; --any-revision repeats the run with this code")


def _why_not_the_same(was: CodeRevision, now: CodeRevision) -> str | None:
    """Return why the code of two revisions is not, or may not be, the same; None if it is the same."""
    if UNKNOWN in (was.commit, now.commit):
        return "without both commits the code cannot be compared"
    if was.state == "dirty":
        return "changes that were not committed are lost, so the run cannot be repeated exactly"
    if was.commit != now.commit:
        return "another revision may give other numbers"
    if now.state == "dirty":
        return "this checkout has changes that are not committed"
    if was.state != "clean" or now.state != "clean":
        return "git could not tell whether all changes were committed"
    return None


def _remarks(recorded: RecordedRun) -> list[str]:
    """Return what the user should know about a record that is not complete."""
    tags, run_id = recorded.tags, recorded.run_id
    found = []
    if not recorded.is_complete:
        failure = f" ({one_line(tags['failure'], LONGEST_REASON)})" if "failure" in tags else ""
        found.append(
            f"run {run_id} is {recorded.status}{failure} with {recorded.epochs} of {recorded.config.epochs} epochs on "
            "record; all epochs are trained, and what is on record is compared"
        )
    if lacking := [tag for tag in ("data.fingerprint", *COMPARED_TAGS) if tag not in tags]:
        found.append(f"not on record of run {run_id}, so not compared: {', '.join(lacking)}")
    return found


def _shown(value: float | str | None) -> str:
    """Return a value with all its digits; None is a divergence that did not happen."""
    return "none" if value is None else one_line(value, LONGEST_REASON) if isinstance(value, str) else repr(value)


def _finite(value: float | str | None) -> float | str | None:
    """Return `value`, or None if it is a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
