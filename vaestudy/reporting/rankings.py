"""Which rankings by a bound are reversed by annealed importance sampling (AIS).

A bound ranks two models by log p(x) minus its own looseness. Where the looseness differs between the models, the
ranking by the bound may be that of the looseness. All models score the same images, so differences are taken image by
image.

A ranking changes if the bound puts one model first, AIS puts the other first, and the 95 % interval of neither mean
difference contains 0. The interval is that of Student's t over the images. It says nothing about other seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vaestudy.reporting.runs_frame import interval

Array = NDArray[np.float64]
AIS = "ais"


@dataclass(frozen=True)
class Scored:
    """A model with its score on each image."""

    name: str
    arm: Hashable
    """What the model is but for D."""
    latent_dim: Hashable
    """D."""
    unit: str
    """The unit of the scores, such as "bits/dim". Scores of different units are not ranked against each other."""
    digits: int
    """Digits of the unit behind the point, for texts."""
    scores: Mapping[str, Array]
    """Bound, or `AIS` -> the score of each image, [N]; higher is better."""
    ais_error: float = math.nan
    """The BDMC gap of simulated images, in the unit of the scores. AIS may be too low by this; nan if unknown."""


@dataclass(frozen=True)
class Difference:
    """The mean over images of the score of the first model minus that of the second."""

    mean: float
    half: float
    """The half-width of its 95 % interval over the images."""

    @property
    def is_clear(self) -> bool:
        """Return whether the interval does not contain 0."""
        return abs(self.mean) > self.half


@dataclass(frozen=True)
class Pair:
    """Two models whose order by a bound is compared with that by AIS."""

    first: Scored
    second: Scored
    bound: str
    by_bound: Difference
    by_ais: Difference

    @property
    def turns(self) -> bool:
        """Return whether the means have the opposite order by AIS."""
        return self.by_bound.mean * self.by_ais.mean < 0

    @property
    def changes(self) -> bool:
        """Return whether the order is the opposite one, and neither interval contains 0."""
        return self.turns and self.by_bound.is_clear and self.by_ais.is_clear

    @property
    def behind(self) -> Scored:
        """Return the model that AIS puts behind."""
        return self.second if self.by_ais.mean > 0 else self.first

    @property
    def is_within_error(self) -> bool:
        """Return whether the order is open: the BDMC gap of the model behind is at least the difference by AIS."""
        return self.behind.ais_error >= abs(self.by_ais.mean)

    def text(self, label: str) -> str:
        """Return the change as a sentence; `label` is the name of the bound."""
        first, second = self.first, self.second

        def ahead(found: Difference) -> str:
            winner, form = (first if found.mean > 0 else second), f".{first.digits}f"
            return f"{winner.name} is better by {abs(found.mean):{form}} ± {found.half:{form}}"

        return (
            f"The ranking of {first.name} and {second.name} changes: by {label} {ahead(self.by_bound)}, "
            f"by AIS {ahead(self.by_ais)} {first.unit}."
        )


def pairs(models: Sequence[Scored], bounds: Iterable[str]) -> list[Pair]:
    """Return each two models that may be ranked, with their differences by each bound and by AIS.

    These are two arms at the same D, and two D of the same arm, with scores of the same unit on the same images.

    Args:
        models: the models.
        bounds: the names of the bounds.
    """
    found = []
    for (first, second), bound in itertools.product(itertools.combinations(models, 2), bounds):
        near = (first.arm == second.arm) != (first.latent_dim == second.latent_dim)
        both = all(name in model.scores for name in (bound, AIS) for model in (first, second))
        if near and both and first.unit == second.unit and len(first.scores[AIS]) == len(second.scores[AIS]):
            found.append(Pair(first, second, bound, *(_difference(first, second, name) for name in (bound, AIS))))
    return found


def _difference(first: Scored, second: Scored, score: str) -> Difference:
    """Return the mean difference of a score."""
    return Difference(*interval(pd.Series(first.scores[score] - second.scores[score])))
