"""Two pieces of work timed in turn, their ratios, and the rows of the table that is made of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

LONG, FEW = 15.0, 5


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    wanted: str
    met: bool | None
    """None where nothing is wanted."""

    def __str__(self) -> str:
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        return f"| {self.what} | {self.measured} | {self.wanted} | {verdict} |"


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles about it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(low, median, high)

    def show(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


def alternate(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """Seconds of each work in each round, after one round that does not count: of this thread, its waits left out.

    No new round begins after LONG seconds, if there were FEW.
    """
    for work in works:
        work()
    began = time.perf_counter()
    times: list[list[float]] = []
    while len(times) < min(rounds, FEW) or (len(times) < rounds and time.perf_counter() - began < LONG):
        times.append([seconds(work, time.thread_time) for work in works])
    return [list(column) for column in zip(*times, strict=True)]


def ratios(above: list[float], below: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])
