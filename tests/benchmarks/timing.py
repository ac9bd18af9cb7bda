"""Tools to time several functions in turn, to take the ratios of their times, and to print them as rows of a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

LONG = 15.0  # seconds
FEW = 5  # rounds


@dataclass(frozen=True)
class Row:
    """One line of a table of benchmarks."""

    what: str
    measured: str
    wanted: str
    met: bool | None
    """Whether the measured value is as wanted; None if nothing is wanted."""

    def __str__(self) -> str:
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        return f"| {self.what} | {self.measured} | {self.wanted} | {verdict} |"


@dataclass(frozen=True)
class Spread:
    """The median of some values, with their lower and upper quartiles."""

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


def alternate(
    rounds: int, *works: Callable[[], object], clock: Callable[[], float] = time.thread_time
) -> list[list[float]]:
    """Time each work in each round, in turn, after one uncounted round.

    Times are seconds of processor time of this thread, or of another clock, so waiting does not count. After LONG
    seconds no new round begins, provided that there were at least FEW rounds.

    Returns:
        for each work, its seconds in each round.
    """
    for work in works:
        work()
    began = time.perf_counter()
    times: list[list[float]] = []
    while len(times) < min(rounds, FEW) or (len(times) < rounds and time.perf_counter() - began < LONG):
        times.append([seconds(work, clock) for work in works])
    return [list(column) for column in zip(*times, strict=True)]


def ratios(above: list[float], below: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])
