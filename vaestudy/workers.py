"""Workers: a configuration in, a record out, in processes of their own. They write nothing and know no tracker."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from vaestudy.config import RunConfig
from vaestudy.run import Record, execute
from vaestudy.train import Metrics, NonFiniteLoss

POLL_SECONDS = 0.2
_events: Queue[Any] | None = None


@dataclass(frozen=True)
class Failure:
    """How a run ended without a record."""

    reason: str
    traceback: str
    diverged: bool
    """The loss became non-finite: an outcome of the configuration, which would come again."""


@dataclass(frozen=True)
class Epoch:
    """News of a run under way."""

    key: str
    epoch: int
    metrics: Metrics


@dataclass(frozen=True)
class Done:
    """A run's end."""

    key: str
    outcome: Record | Failure


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work(config: RunConfig, root: Path) -> Record | Failure:
    """Execute one run; an exception becomes a `Failure`, so that it ends this run and no other."""

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        if _events is not None:
            _events.put(Epoch(config.key, epoch, metrics))

    try:
        return execute(config, root, on_epoch)
    except NonFiniteLoss as error:
        return Failure(str(error), traceback.format_exc(), diverged=True)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc(), diverged=False)


def _enter(events: Queue[Any]) -> None:
    """Set up a worker: where its news goes, and that it ends when the driver does, however that ended."""
    global _events
    _events = events
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    if (driver := multiprocessing.parent_process()) is not None:
        driver.join()
        os._exit(1)


class Pool:
    """Processes that run configurations; `news` tells of epochs and ends as they come."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self._events: Queue[Any] = context.Queue()
        self._pool = ProcessPoolExecutor(count, context, initializer=_enter, initargs=(self._events,))
        self._futures: dict[Future[Record | Failure], str] = {}
        self.count = count

    def submit(self, config: RunConfig, root: Path) -> None:
        self._futures[self._pool.submit(work, config, root)] = config.key

    @property
    def busy(self) -> int:
        return len(self._futures)

    def news(self) -> Iterator[Epoch | Done]:
        """What happened since the last call, waiting a little for the first."""
        done, _ = wait(self._futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        yield from self._epochs()
        for future in done:
            key = self._futures.pop(future)
            error = future.exception()
            if error is None:
                yield Done(key, future.result())
            else:  # the process itself died: out of memory, killed
                reason = f"the worker process died: {error or type(error).__name__}"
                yield Done(key, Failure(reason, "".join(traceback.format_exception(error)), diverged=False))

    def _epochs(self) -> Sequence[Epoch]:
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(5)
