"""Measures: how the evidence becomes the estimate of one part of a claim. Nothing slow is imported here.

A `Quantity` is a number of one run, made of its metrics. A measure says which arms it compares, and on which scale:

    Mean            the mean of a quantity over the seeds of one arm
    Contrast        the difference of two arms; on the log scale their ratio
    AtEqualCost     the difference of two arms in the bound on valid at an equal cost
    Share           the share of runs of which something is true, such as that they failed
    SeedsAbove      the share of seeds in which one arm is above another by more than an amount
    Spread          the standard deviation of a quantity over seeds
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vaestudy.evidence.needs import Need

if TYPE_CHECKING:
    import pandas as pd

    from vaestudy.evidence.estimates import Estimate
    from vaestudy.evidence.evidence import Evidence


SAME_RUN = "train/elbo"
"""Runs with the same seed are copies of each other if they agree in this metric to the last digit."""


class NotMeasured(Exception):
    """There is no estimate. The message says why, in one line."""


@dataclass(frozen=True)
class Quantity:
    """A number of one run."""

    metrics: tuple[str, ...]
    of: Callable[..., float]
    """Its value from the values of the metrics."""
    early: bool = False
    """Whether its metrics are those of the first step, so that runs that diverged later have a value, too."""


def metric(name: str) -> Quantity:
    """Return the quantity that is the value of one metric."""
    return Quantity((name,), float)


def ratio(one: str, other: str) -> Quantity:
    """Return the ratio of two metrics of the same run."""
    return Quantity((one, other), lambda a, b: a / b)


@dataclass(frozen=True)
class Measure:
    """What a part of a claim measures."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return the arms."""
        raise NotImplementedError

    @property
    def unused_seeds(self) -> int:
        """Return how many of the lowest seeds are not used."""
        return 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that are read from each run; one that ends in "/" stands for all that begin so."""
        raise NotImplementedError

    def estimate(self, evidence: Evidence) -> Estimate:
        """Return the estimate.

        Raises:
            NotMeasured: there is none; the message says why.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class _OfOneArm(Measure):
    """The common base of the measures of a quantity over the seeds of one arm."""

    arm: Need
    quantity: Quantity

    @property
    def needs(self) -> tuple[Need, ...]:
        return (self.arm,)

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.quantity.metrics


@dataclass(frozen=True)
class Mean(_OfOneArm):
    """The mean of a quantity over the seeds of one arm."""

    scale: str = "linear"

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import mean

        values, lost = values_of(evidence, self.arm, self.quantity)
        return on_scale(lambda: mean(values, self.scale, lost))


@dataclass(frozen=True)
class Contrast(Measure):
    """The difference of two arms in a quantity, the first minus the second; on the log scale their ratio."""

    one: Need
    other: Need
    quantity: Quantity
    scale: str = "linear"
    of_other: Quantity | None = None
    """The quantity of the other arm, if it is another one."""
    first_seed: int = 0
    """The first seed that is used. An arm that was chosen among many for its values is measured with fresh seeds, which
    took no part in the choice."""

    @property
    def needs(self) -> tuple[Need, ...]:
        return (self.one, self.other)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (*self.quantity.metrics, *(self.of_other.metrics if self.of_other else ()))

    @property
    def unused_seeds(self) -> int:
        return self.first_seed

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import difference

        a, lost_a = values_of(evidence, self.one, self.quantity, self.first_seed)
        b, lost_b = values_of(evidence, self.other, self.of_other or self.quantity, self.first_seed)
        return on_scale(lambda: difference(a, b, self.scale, lost_a + lost_b))


@dataclass(frozen=True)
class AtEqualCost(Measure):
    """The difference of two arms in the bound on valid, where both have had the same cost.

    The cost is the largest that both arms came to (`reporting/cost_curves.py`). Seconds are medians over the seeds of
    an arm; the interval does not contain their noise.
    """

    one: Need
    other: Need
    cost: str
    """The kind of cost: "images", "passes" or "seconds"."""

    @property
    def needs(self) -> tuple[Need, ...]:
        return (self.one, self.other)

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("valid/elbo", "along/")

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import difference
        from vaestudy.reporting.cost_curves import cost_curves

        runs = {arm: evidence.finished(arm) for arm in self.needs}
        cells = {arm: _with_samples(frame, arm) for arm, frame in runs.items() if len(frame)}
        curves = cost_curves(cells, self.cost)
        for arm in self.needs:
            if arm not in curves:
                raise NotMeasured(f"no run of {arm.name} has recorded the bound along the training")
        cost = min(curve.end for curve in curves.values())
        a, b = (dict(curves[arm].at(cost).items()) for arm in self.needs)
        if any(value != value for arm in (a, b) for value in arm.values()):
            raise NotMeasured(f"the curves of {self.one.name} and {self.other.name} have no {self.cost} in common")
        lost = sum(len(evidence.runs(arm)) - len(runs[arm]) for arm in self.needs)
        return difference(a, b, lost=lost)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Share(Measure):
    """The share of runs that diverged, or that meet another condition, among all runs of some arms.

    Runs of several arms that are copies of each other count once: arms that differ in a setting that never comes into
    effect have the same numbers to the last digit.
    """

    arms: tuple[Need, ...]
    also: Quantity | None = None
    """A quantity that is 1 for a finished run that counts, too, and 0 for others."""

    @property
    def needs(self) -> tuple[Need, ...]:
        return self.arms

    @property
    def metrics(self) -> tuple[str, ...]:
        return (SAME_RUN, *(self.also.metrics if self.also else ()))

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import share

        outcomes: dict[tuple[object, ...], bool] = {}
        for arm in self.arms:
            values, _ = values_of(evidence, arm, self.also) if self.also and len(evidence.finished(arm)) else ({}, 0)
            for run in evidence.runs(arm).to_dict("records"):
                counts = run["status"] != "FINISHED" or bool(values.get(run["seed"], 0))
                known = run.get(SAME_RUN, math.nan)
                outcomes[(run["seed"], known) if known == known else (run["run_id"],)] = counts
        if not outcomes:
            raise NotMeasured(f"there is no run of {self.arms[0].name}")
        return share(sum(outcomes.values()), len(outcomes))


@dataclass(frozen=True)
class SeedsAbove(Measure):
    """The share of seeds in which one arm is above another one by more than an amount, with exact limits.

    A run that is far off counts as one seed, whatever its distance.
    """

    one: Need
    other: Need
    quantity: Quantity
    amount: float

    @property
    def needs(self) -> tuple[Need, ...]:
        return (self.one, self.other)

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.quantity.metrics

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import share

        (a, lost_a), (b, lost_b) = (values_of(evidence, arm, self.quantity) for arm in self.needs)
        seeds = set(a) & set(b)
        found = share(sum(a[seed] - b[seed] > self.amount for seed in seeds), len(seeds), "seeds")
        return replace(found, lost=lost_a + lost_b)


@dataclass(frozen=True)
class Spread(_OfOneArm):
    """The standard deviation of a quantity over the seeds of one arm."""

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import spread

        values, lost = values_of(evidence, self.arm, self.quantity)
        return spread(values, lost)


def values_of(evidence: Evidence, arm: Need, quantity: Quantity, first_seed: int = 0) -> tuple[dict[int, float], int]:
    """Return (seed -> the value of a quantity, number of runs without a value), of the seeds from `first_seed` on.

    A run that diverged has a value only if the quantity is one of the first step.

    Raises:
        NotMeasured: there is no run, or none has the metrics.
    """
    everything = evidence.runs(arm)
    everything = everything[everything["seed"] >= first_seed] if len(everything) else everything
    if not len(everything):
        raise NotMeasured(
            f"there is no run of {arm.name}" + (f" with a seed from {first_seed} on" if first_seed else "")
        )
    runs = everything if quantity.early else everything[everything["status"] == "FINISHED"]
    if not len(runs):
        raise NotMeasured(f"no run of {arm.name} has finished: {len(everything)} of {len(everything)} diverged")
    if absent := [name for name in quantity.metrics if name not in runs or runs[name].isna().all()]:
        raise NotMeasured(f"no run of {arm.name} has {absent[0]}")
    complete = runs.dropna(subset=list(quantity.metrics))
    rows = complete[["seed", *dict.fromkeys(quantity.metrics)]].to_dict("records")
    values = {int(row["seed"]): float(quantity.of(*(row[name] for name in quantity.metrics))) for row in rows}
    return values, len(everything) - len(values)


def on_scale(make: Callable[[], Estimate]) -> Estimate:
    """Return the estimate that a function makes.

    Raises:
        NotMeasured: a value is not on the scale.
    """
    try:
        return make()
    except ValueError as error:
        raise NotMeasured(str(error)) from None


def _with_samples(runs: pd.DataFrame, arm: Need) -> pd.DataFrame:
    """Return runs with the number of draws L, which the cost of a step depends on."""
    return runs.assign(**{"params.samples": dict(arm.levels).get("samples", 1)})
