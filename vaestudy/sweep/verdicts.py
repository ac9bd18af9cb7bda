"""The answers of a driver to its workers: whether a run goes on after an epoch.

A worker of a search whose pruner compares epochs waits after each epoch until the driver has answered. So it depends on
the values alone, and not on the speed of workers, after which epoch a run is pruned.

The driver calls `give` in the worker's process, through Dask.
"""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable

ANSWER_SECONDS = 600.0
"""How long a worker waits for an answer. A driver whose tracker is slow may need minutes; one that is gone is noticed
sooner, as Dask then drops its tasks."""
LOOK_SECONDS = 1.0
"""How often a worker that waits looks whether the driver is gone."""

_answers: defaultdict[tuple[str, str], queue.SimpleQueue[tuple[int, bool]]] = defaultdict(queue.SimpleQueue)
"""(name of the driver, key of a run's configuration) -> the answers that arrived: (epoch, whether the run ends)."""


class NoVerdict(Exception):
    """The driver did not answer, so it is gone."""


def give(driver: str, key: str, epoch: int, stop: bool) -> None:
    """Give the answer for one epoch of a run of this process."""
    _answers[driver, key].put((epoch, stop))


def wait(driver: str, key: str, epoch: int, wanted: Callable[[], bool], seconds: float | None = None) -> bool:
    """Wait for the answer for an epoch; return whether the run ends after it.

    Answers for earlier epochs are skipped: they are of an execution of the same run that has ended.

    Args:
        driver: the name of the driver. After a kill, the same run may go on in this process for the next driver.
        key: the key of the run's configuration.
        epoch: the epoch that has ended.
        wanted: returns whether the driver still wants the run.
        seconds: how long to wait [default: `ANSWER_SECONDS`].

    Raises:
        NoVerdict: no answer arrived in time, or the driver is gone.
    """
    deadline = time.monotonic() + (ANSWER_SECONDS if seconds is None else seconds)
    while wanted() and (left := deadline - time.monotonic()) > 0:
        try:
            answered, stop = _answers[driver, key].get(timeout=min(left, LOOK_SECONDS))
        except queue.Empty:
            continue
        if answered == epoch:
            return stop
    raise NoVerdict(f"the driver did not answer after epoch {epoch}")


def forget(driver: str, key: str) -> None:
    """Remove the answers for a run that has ended."""
    _answers.pop((driver, key), None)
