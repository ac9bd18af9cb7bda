"""Compare the runs of a protocol with a published number.

The mean over seeds has a 95 % interval by Student's t. The published interval is the published value, or range, plus
and minus the stated allowance. The rule:

    inside       the interval of the mean lies within the published interval
    outside      the two have no point in common
    undecided    they overlap in part, or a seed is missing or diverged, or there is only one

An interval that is wide because there are few seeds overlaps almost anything. So an overlap alone is not called inside.
The price is that a protocol needs some seeds to be inside at all.

A seed that diverged has no value. The mean is then one over survivors, and so it is never called inside. It can be
outside. If no seed survived, the number was not reached: this is outside, too.

Two kinds of runs get no verdict. A run that is cut short is not at the end that was published: the answer is
`cut short`. A run on other images, or at the scale of --quick, is `a look`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vaestudy.evidence.estimates import StudentEstimate
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.missing import at_scale
from vaestudy.evidence.statistics import mean
from vaestudy.reproductions.protocol import Protocol, Published, at_quick

PUBLISHED_ON = "mnist"
"""The data set of all published numbers."""
INSIDE, OUTSIDE, UNDECIDED, CUT, LOOK, NO_RUN = "yes", "no", "undecided", "cut short", "a look", "not run"
"""The answers to «inside the stated uncertainty?»."""


@dataclass(frozen=True)
class Comparison:
    """A published number beside what was obtained."""

    protocol: Protocol
    number: Published
    obtained: StudentEstimate | None
    """With the publication's sign; None if no seed has a value."""
    wanted: int
    """The number of seeds that the protocol asks for."""
    lost: int
    """The number of seeds that diverged."""
    answer: str
    why: str
    """Why the answer is undecided; else empty."""

    @property
    def difference(self) -> float:
        """Return obtained minus the nearest published value; 0 within the published range, nan without a value."""
        return math.nan if self.obtained is None else beyond(self.obtained.value, self.number.low, self.number.high)


def beyond(value: float, low: float, high: float) -> float:
    """Return how far a value is above `high` (positive) or below `low` (negative); 0 between them."""
    return max(0.0, value - high) + min(0.0, value - low)


def compare(
    protocol: Protocol, number: Published, values: Mapping[int, float], lost: int, wanted: int, look: bool = False
) -> Comparison:
    """Return a comparison.

    Args:
        protocol: the protocol.
        number: one of its published numbers.
        values: seed -> the value of the metric, with the sign of our metric.
        lost: the number of seeds that diverged.
        wanted: the number of seeds that are asked for.
        look: whether the runs are on other images, or at the scale of --quick.
    """
    in_sign = {seed: number.in_its_sign(value) for seed, value in values.items()}
    obtained = mean(in_sign, lost=lost) if in_sign else None
    if obtained is None and not lost:
        answer, why = NO_RUN, ""
    elif look:
        answer, why = LOOK, ""
    elif number.cut:
        answer, why = CUT, ""
    elif obtained is None:
        answer, why = OUTSIDE, "every seed diverged"
    else:
        answer, why = _judged(number, obtained, wanted)
    return Comparison(protocol, number, obtained, wanted, lost, answer, why)


def _judged(number: Published, obtained: StudentEstimate, wanted: int) -> tuple[str, str]:
    """Return (the answer, why it is undecided) by the rule of this file, for a number of runs that are not quick."""
    low, high = number.low - number.allowance, number.high + number.allowance
    if obtained.n < 2:
        return UNDECIDED, "one seed has no interval"
    if obtained.low > high or obtained.high < low:
        return OUTSIDE, ""
    if not (low <= obtained.low and obtained.high <= high):
        return UNDECIDED, "the intervals overlap in part"
    if obtained.lost:
        return UNDECIDED, f"{obtained.lost} of {obtained.n + obtained.lost} seeds diverged"
    if obtained.n < wanted:
        return UNDECIDED, f"{wanted - obtained.n} of {wanted} seeds are missing"
    return INSIDE, ""


def comparisons(protocols: Iterable[Protocol], evidence: Evidence, seeds: int | None = None) -> list[Comparison]:
    """Return the comparisons of all numbers of some protocols with the runs that are there.

    Args:
        protocols: the protocols.
        evidence: the runs.
        seeds: the number of seeds that are asked for [default: each protocol's].

    Raises:
        Incomparable: runs of one protocol are of different images.
    """
    look = evidence.quick or evidence.dataset != PUBLISHED_ON
    found: list[Comparison] = []
    for protocol in protocols:
        evidence.require_comparable(
            protocol.needs(evidence.dataset, evidence.quick), [number.metric for number in protocol.numbers]
        )
        for declared in protocol.numbers:
            number = at_quick(declared) if evidence.quick else declared
            one = protocol.need(number, evidence.dataset, evidence.quick, seeds)
            runs = evidence.finished(one)
            values = dict(zip(runs["seed"], runs[number.metric], strict=True)) if len(runs) else {}
            lost = len(evidence.runs(one)) - len(runs)
            (scaled,) = at_scale([one], evidence.quick)
            found.append(compare(protocol, number, values, lost, scaled.seeds, look))
    return found
