"""Writes the objective after each epoch of the open trials to Optuna's storage, in few writes.

Each write to a journal waits for the disk (fsync), and a run may have many short epochs. So the values of a trial are
collected and written together: at most once a second, and at the end of its run. In a journal they are one write.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

SECONDS = 1.0
"""The least time between two writes for one trial while its run is under way."""


class JournalFile(JournalFileBackend):
    """A journal file of Optuna that can write several entries at once.

    Args:
        path: the path of the file. It is created if it does not exist.
    """

    def __init__(self, path: str) -> None:
        # The default lock is a symbolic link, which some file systems lack.
        super().__init__(path, JournalFileOpenLock(path))
        self._path = Path(path)
        self._collected: list[dict[str, Any]] | None = None

    @contextmanager
    def batched(self) -> Iterator[None]:
        """Collect what this process writes to the journal during the block, and write it at the end of the block.

        Raises:
            OSError: they could not be written.
        """
        self._collected = []
        try:
            yield
        finally:
            collected, self._collected = self._collected, None
        if collected:
            self.append_logs(collected)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries, or collect them within `batched`.

        Raises:
            OSError: they could not be written. What was written of them is removed, so that the journal stays readable.
        """
        if self._collected is not None:
            self._collected += logs
            return
        size = self._path.stat().st_size
        try:
            super().append_logs(logs)
        except OSError:
            with suppress(OSError):  # else the next driver repairs the journal
                os.truncate(self._path, size)
            raise


class JournalTrials(JournalStorage):
    """Optuna's storage in a journal file.

    Args:
        path: the path of the file.
    """

    def __init__(self, path: str) -> None:
        self.file = JournalFile(path)
        super().__init__(self.file)


@dataclass
class _OpenTrial:
    """The values of a trial whose run is under way."""

    trial_id: int
    written_at: float
    latest: int = 0
    """The latest epoch that is known. A run that goes on from a checkpoint reports its earlier epochs again."""
    unwritten: dict[int, float] = field(default_factory=dict)


class EpochValues:
    """The objectives after the epochs of the open trials.

    Args:
        storage: Optuna's storage.
        clock: returns the time in seconds.
    """

    def __init__(self, storage: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._open: dict[str, _OpenTrial] = {}

    def begin(self, key: str, trial_id: int) -> None:
        """Begin a trial of the run with a key."""
        self._open[key] = _OpenTrial(trial_id, self._clock())

    def add(self, key: str, epoch: int, value: float) -> None:
        """Add the value after an epoch; write the trial's values if the last write was a while ago.

        Raises:
            OSError, StorageInternalError: they could not be written.
        """
        trial = self._open[key]
        if epoch <= trial.latest:
            return
        trial.latest = epoch
        trial.unwritten[epoch] = value
        if self._clock() - trial.written_at >= SECONDS:
            self._write(trial)

    def end(self, key: str, values: Sequence[float] = ()) -> None:
        """End a trial; write what has not been written.

        Args:
            key: the key of its run.
            values: the values after all epochs, if the run has ended well.

        Raises:
            OSError, StorageInternalError: they could not be written.
        """
        trial = self._open.pop(key)
        trial.unwritten |= {epoch: value for epoch, value in enumerate(values, start=1) if epoch > trial.latest}
        self._write(trial)

    def _write(self, trial: _OpenTrial) -> None:
        """Write the values of a trial that have not been written."""
        with self._storage.file.batched() if isinstance(self._storage, JournalTrials) else nullcontext():
            for epoch, value in trial.unwritten.items():
                self._storage.set_trial_intermediate_value(trial.trial_id, epoch, float(value))
        trial.unwritten.clear()
        trial.written_at = self._clock()
