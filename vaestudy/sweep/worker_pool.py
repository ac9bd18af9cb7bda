"""The workers of a sweep: they get configurations, execute the runs and return their records.

    DaskPool      processes on this machine (a Dask cluster on the loopback interface), or an existing Dask cluster
    InlinePool    this process, one run at a time, for debugging

A worker writes nothing to MLflow or Optuna, so it is safe to execute a run twice. A worker saves checkpoints of its run
on its own disk. The next worker on the same machine that executes the run goes on from the last checkpoint.
"""

from __future__ import annotations

import logging
import queue
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from vaestudy.config import user_parts
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.execute import execute
from vaestudy.run.record import EpochEnd, Record, RunEnd, RunFailure
from vaestudy.runtime import signals
from vaestudy.runtime.paths import cores, mlruns
from vaestudy.scoring.bounds import Metrics
from vaestudy.sweep import verdicts
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.training.checkpoint import CheckpointStore
from vaestudy.training.divergence import NonFiniteLoss
from vaestudy.training.train import OnEpoch, StopTraining

POLL_SECONDS = 0.2
CONNECT_SECONDS = 10
NANNY_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(256 * 2**20),
}


Judge = Callable[[EpochEnd], bool]
"""A function that returns whether a run ends after an epoch. The driver calls it."""


class WorkersLost(Exception):
    """No worker is left: the Dask cluster is gone, or its processes could not be started."""


class WorkerPool(Protocol):
    """A group of workers that execute runs."""

    count: int
    """The number of runs that can be executed at the same time."""

    def submit(self, config: RunConfig, root: Path, judge: Judge | None = None) -> None:
        """Give a run to a worker.

        Args:
            config: the run's configuration.
            root: the folder of the data sets.
            judge: called after each epoch of the run, within `events`; the worker waits for its answer.
        """

    @property
    def busy(self) -> int:
        """Return the number of runs that were submitted and have not ended."""

    def events(self) -> Iterator[EpochEnd | RunEnd]:
        """Wait shortly, then yield the epochs and the ends of runs since the last call; call it only if busy."""

    def close(self) -> None:
        """Stop all work."""


def checkpoint_folder() -> Path:
    """Return the folder of the checkpoints on this machine."""
    return mlruns() / "checkpoints"


def run_safely(config: RunConfig, root: Path, on_epoch: OnEpoch) -> Record | RunFailure:
    """Execute one run; turn an exception into a `RunFailure`, so that it ends this run and no other."""
    try:
        return execute(config, root, on_epoch, checkpoint_store=CheckpointStore(checkpoint_folder(), config.key))
    except NonFiniteLoss as error:
        return RunFailure.of_divergence(error, traceback.format_exc())
    except Exception as error:
        return RunFailure(f"{type(error).__name__}: {error}", traceback.format_exc(), diverged=False)


def _dask_work(config: RunConfig, root: Path, topic: str, judged: bool, parts: tuple[Path, ...]) -> Record | RunFailure:
    """Execute one run in a Dask worker; send its epochs to the driver as events of `topic`.

    If the run is judged, the worker waits after each epoch for the driver's answer. `parts` are the users' files that
    have declared parts in the driver's process.
    """
    from distributed import get_worker

    worker = get_worker()
    task = worker.get_current_task()

    def wanted() -> bool:
        """Return whether the driver still wants this task. Dask marks it if the driver's connection has ended."""
        known = worker.state.tasks.get(task)
        return known is not None and known.state != "cancelled"

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        worker.log_event(topic, (worker.address, config.key, epoch, metrics))
        if judged and verdicts.wait(topic, config.key, epoch, wanted):
            raise StopTraining

    try:
        for path in parts:
            user_parts.load_file(path)
        return run_safely(config, root, on_epoch)
    except BadInput as error:
        return RunFailure(str(error), traceback.format_exc(), diverged=False)
    finally:
        verdicts.forget(topic, config.key)


class InlinePool:
    """This process as the only worker: one run at a time."""

    count = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[RunConfig, Path, Judge | None]] = deque()

    def submit(self, config: RunConfig, root: Path, judge: Judge | None = None) -> None:
        self._waiting.append((config, root, judge))

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def events(self) -> Iterator[EpochEnd | RunEnd]:
        config, root, judge = self._waiting[0]
        epochs: list[EpochEnd] = []

        def on_epoch(epoch: int, metrics: Metrics) -> None:
            signals.raise_if_interrupted()
            epochs.append(EpochEnd(config.key, epoch, metrics))
            if judge is not None and judge(epochs[-1]):
                raise StopTraining

        with signals.interruptible():
            outcome = run_safely(config, root, on_epoch)
        self._waiting.popleft()
        yield from epochs
        yield RunEnd(config.key, outcome)

    def close(self) -> None:
        self._waiting.clear()


class DaskPool:
    """The workers of a Dask cluster: of a new one on this machine's loopback interface, or of an existing one.

    Args:
        count: the number of worker processes of a new cluster; not used for an existing one.
        options: the address of an existing cluster's scheduler and its TLS files, if there is one.

    Raises:
        BadInput: no scheduler answers at the given address.
        WorkersLost: no process could be started; also raised by `submit` and `events` if the scheduler is gone.
    """

    def __init__(self, count: int, options: SweepOptions | None = None) -> None:
        import dask
        from distributed import Client, LocalCluster

        for name in ("distributed", "distributed.client"):  # a lost cluster is reported in one line, by `WorkersLost`
            logging.getLogger(name).setLevel(logging.CRITICAL)
        address = None if options is None else options.scheduler
        if address is None:  # our own workers need none of the user's settings for other clusters
            dask.config.refresh(paths=[], env={})
        dask.config.set(
            {
                # Dask must not repeat a task whose worker died: the driver counts the crashes and decides.
                "distributed.scheduler.allowed-failures": 0,
                # Dask's default returns every freed block to the system at once; a training step would then spend
                # more time on page faults than on arithmetic (measured: 2.3 times as long).
                "distributed.nanny.pre-spawn-environ": NANNY_ENVIRONMENT,
                "distributed.admin.tick.limit": "1h",
                "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
                # A worker's event loop shares the interpreter and the core with the training. So monitoring that
                # nobody looks at is switched off or made rare, also the scheduler's (measured: it takes a tenth of a
                # step).
                "distributed.admin.tick.interval": "2s",
                "distributed.admin.system-monitor.interval": "10s",
                "distributed.worker.profile.enabled": False,
                "distributed.scheduler.work-stealing": False,
                "distributed.scheduler.active-memory-manager.start": False,
            }
        )
        self._cluster: Any = None
        if options is None or address is None:
            try:
                self._cluster = LocalCluster(
                    n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
                    memory_limit=0, silence_logs=logging.CRITICAL, preload=[signals.__name__],
                )  # fmt: skip
            except RuntimeError as error:
                raise WorkersLost(f"the workers could not be started: {error}") from error
            self._client = Client(self._cluster, set_as_default=False)
        else:
            try:
                self._client = Client(address, security=_security(options), set_as_default=False,
                                      timeout=CONNECT_SECONDS)  # fmt: skip
            except (OSError, ValueError) as error:
                raise BadInput(f"--scheduler {address}: no scheduler answers there ({error})") from None
            count = max(1, sum(self._client.nthreads().values()))
        self.count = count
        self._topic = f"vaestudy-{uuid.uuid4().hex}"
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._futures: dict[str, Any] = {}
        self._judges: dict[str, Judge] = {}
        self._client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))

    def submit(self, config: RunConfig, root: Path, judge: Judge | None = None) -> None:
        name = f"vaestudy-{config.key}-{uuid.uuid4().hex[:8]}"
        self._require_scheduler()
        judged = judge is not None
        if judge is not None:
            self._judges[config.key] = judge
        future = self._client.submit(
            _dask_work, config, root, self._topic, judged, user_parts.files(), key=name, pure=False
        )
        self._futures[config.key] = future
        future.add_done_callback(lambda _, key=config.key: self._events.put(key))

    @property
    def busy(self) -> int:
        return len(self._futures)

    def events(self) -> Iterator[EpochEnd | RunEnd]:
        timeout = POLL_SECONDS
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                return
            finally:
                self._require_scheduler()
            timeout = 0.0
            if isinstance(event, tuple):
                address, epoch = event[0], EpochEnd(*event[1:])
                if epoch.key in self._futures:  # else the run has ended; its record contains the epoch
                    self._answer(address, epoch)
                    yield epoch
            elif (future := self._futures.pop(event, None)) is not None:
                self._judges.pop(event, None)
                yield RunEnd(event, _outcome(future))

    def _answer(self, address: str, epoch: EpochEnd) -> None:
        """Ask the judge of a run, and send the answer to the worker that waits for it."""
        if (judge := self._judges.get(epoch.key)) is None:
            return
        # A worker that has died in the meantime needs no answer; its run ends by an event of its own.
        answer = (self._topic, epoch.key, epoch.epoch, judge(epoch))
        self._client.run(verdicts.give, *answer, workers=[address], nanny=False, on_error="ignore")

    def _require_scheduler(self) -> None:
        """Raise `WorkersLost` unless the scheduler is connected."""
        if self._client.status != "running":
            raise WorkersLost("the scheduler of the Dask cluster is gone")

    def close(self) -> None:
        """Kill the processes of our own cluster; of an existing cluster, only cancel our tasks."""
        if self._cluster is None:
            if self._client.status == "running":
                self._client.cancel(list(self._futures.values()), force=True)
        else:
            for nanny in list(self._cluster.workers.values()):
                if (process := getattr(nanny.process, "process", None)) is not None:
                    process._process.kill()  # Dask's own way of closing waits for tasks under way
        self._futures.clear()
        self._judges.clear()
        self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=5)


def _outcome(future: Any) -> Record | RunFailure:
    """Return a task's result, or a `RunFailure` if its worker process died."""
    try:
        result: Record | RunFailure = future.result(timeout=CONNECT_SECONDS)
    except Exception as error:
        return RunFailure(
            f"the worker was lost: {type(error).__name__}: {error}", traceback.format_exc(), diverged=False
        )
    return result


def _security(options: SweepOptions) -> Any:
    """Return Dask's TLS settings for a tls:// scheduler; None for tcp://."""
    from distributed.security import Security

    if not str(options.scheduler).startswith("tls://"):
        return None
    return Security(
        tls_ca_file=options.tls_ca,
        tls_client_cert=options.tls_cert,
        tls_client_key=options.tls_key,
        require_encryption=True,
    )


def make_pool(options: SweepOptions, runs: int) -> WorkerPool:
    """Return the workers for `runs` runs: this process, new processes on this machine, or an existing Dask cluster."""
    if options.workers == 0 and options.scheduler is None:
        return InlinePool()
    count = cores() if options.workers is None else options.workers
    return DaskPool(min(count, runs), options)
