"""The answers of a driver to its workers: whether a run goes on after an epoch.

A worker of a search whose pruner compares epochs waits after each epoch until the driver has answered. So it depends on
the values alone, and not on the speed of workers, after which epoch a run is pruned.

The driver calls `give` in the worker's process, through Dask.
"""

from __future__ import annotations

import queue
from collections import defaultdict

ANSWER_SECONDS = 120.0
"""How long a worker waits for an answer. A driver that was killed gives none."""

_answers: defaultdict[str, queue.SimpleQueue[tuple[int, bool]]] = defaultdict(queue.SimpleQueue)
"""Key of a run's configuration -> the answers that arrived: (epoch, whether the run ends after it)."""


class NoVerdict(Exception):
    """The driver did not answer, so it is gone."""


def give(key: str, epoch: int, stop: bool) -> None:
    """Give the answer for one epoch of a run of this process."""
    _answers[key].put((epoch, stop))


def wait(key: str, epoch: int, seconds: float | None = None) -> bool:
    """Wait for the answer for an epoch; return whether the run ends after it.

    Answers for earlier epochs are skipped: they are of an execution of the same run that has ended.

    Args:
        key: the key of the run's configuration.
        epoch: the epoch that has ended.
        seconds: how long to wait [default: `ANSWER_SECONDS`].

    Raises:
        NoVerdict: no answer arrived in time.
    """
    while True:
        try:
            answered, stop = _answers[key].get(timeout=ANSWER_SECONDS if seconds is None else seconds)
        except queue.Empty:
            raise NoVerdict(f"the driver did not answer after epoch {epoch}") from None
        if answered == epoch:
            return stop


def forget(key: str) -> None:
    """Remove the answers for a run that has ended."""
    _answers.pop(key, None)
