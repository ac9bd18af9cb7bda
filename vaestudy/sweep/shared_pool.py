"""One group of workers for several sweeps, one after another: starting worker processes takes seconds each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vaestudy.config.run_config import RunConfig
from vaestudy.run.record import EpochEnd, RunEnd
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.sweep.worker_pool import Judge, WorkerPool, make_pool


class SharedPool:
    """The workers that the sweeps of one command share. They are started when the first sweep needs them.

    Args:
        runs: the number of runs of all sweeps; no more workers are started.
    """

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._workers: WorkerPool | None = None

    def lend(self, options: SweepOptions, runs: int) -> WorkerPool:
        """Return the workers for a sweep; `run_sweep` takes this function in place of `make_pool`.

        Raises:
            BadInput: no Dask scheduler answers at the given address.
            WorkersLost: no worker could be started.
        """
        if self._workers is None:
            self._workers = make_pool(options, self._runs)
        return _Lent(self, self._workers)

    def close(self) -> None:
        """Stop the workers. The next sweep starts new ones."""
        if self._workers is not None:
            workers, self._workers = self._workers, None
            workers.close()


class _Lent:
    """The shared workers, as one sweep sees them. Closing them while none is busy leaves them to the next."""

    def __init__(self, owner: SharedPool, workers: WorkerPool) -> None:
        self._owner, self._workers = owner, workers
        self.count = workers.count

    def submit(self, config: RunConfig, root: Path, judge: Judge | None = None) -> None:
        self._workers.submit(config, root, judge)

    @property
    def busy(self) -> int:
        return self._workers.busy

    def events(self) -> Iterator[EpochEnd | RunEnd]:
        return self._workers.events()

    def close(self) -> None:
        if self._workers.busy:  # the sweep was stopped, or the workers are lost
            self._owner.close()
