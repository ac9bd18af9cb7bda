"""Workers that several sweeps share: started once, stopped at the end, and not used again after a sweep was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaestudy.config.run_config import RunConfig
from vaestudy.sweep import shared_pool
from vaestudy.sweep.shared_pool import SharedPool
from vaestudy.sweep.sweep_options import SweepOptions
from vaestudy.sweep.worker_pool import InlinePool

OPTIONS = SweepOptions(workers=0)


class Workers(InlinePool):
    """Workers that know whether they were stopped."""

    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Workers, int]]:
    """Return the list of the workers that are started, each with the number of runs."""
    found: list[tuple[Workers, int]] = []

    def make(options: SweepOptions, runs: int) -> Workers:
        found.append((Workers(), runs))
        return found[-1][0]

    monkeypatch.setattr(shared_pool, "make_pool", make)
    return found


def test_sweeps_share_their_workers(started: list[tuple[Workers, int]]) -> None:
    shared = SharedPool(10)
    assert started == []
    for runs in (2, 8):
        shared.lend(OPTIONS, runs).close()
    ((workers, runs),) = started
    assert (runs, workers.closed) == (10, False)
    shared.close()
    assert workers.closed
    shared.close()


def test_a_sweep_that_was_stopped_stops_them(started: list[tuple[Workers, int]]) -> None:
    shared = SharedPool(10)
    lent = shared.lend(OPTIONS, 2)
    lent.submit(RunConfig(), Path())
    assert (lent.busy, lent.count) == (1, 1)
    lent.close()
    assert started[0][0].closed
    shared.lend(OPTIONS, 2)
    assert len(started) == 2
    assert not started[1][0].closed
