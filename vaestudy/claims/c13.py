"""C13: repeated runs give the same latent picture, up to flips and swaps of the axes.

The layout of a run is the position of its ten class means in the plane. Of two seeds, the share of one layout's sum of
squares that the other leaves unexplained after the best flip and swap is their distance (`reporting/procrustes.py`).
«The same» is read as below a tenth: the layouts then correlate by more than 0.95.

The statistic is the median over all pairs of seeds. The pairs share seeds and are not independent, so its interval is
a jackknife over seeds, on the logit scale, as a share lies between 0 and 1.

The claim says «the same», so this part is decisive. The measure that was fixed with the claim also has a comparison
with unrelated pairs: the layouts of the same pair with the classes of one in random order. Two layouts of ten points
agree somewhat by chance, so a claim of sameness needs this too: two seeds are at most half as far from each other. Half
is a factor that a reader sees in a picture. The same after any rotation is exploratory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Below
from vaestudy.claims.measures import Measure, NotMeasured, on_scale
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import Need, need

if TYPE_CHECKING:
    from vaestudy.evidence.estimates import Estimate
    from vaestudy.evidence.evidence import Evidence
    from vaestudy.reporting.procrustes import Array

ARM = need("classes", 10, latent_dim=2)
CLASSES = range(10)
MOVES = {"flips and swaps": "flips and swaps of the axes", "any rotation": "any rotation"}
SAME = Below("%", "Layouts that leave a tenth unexplained correlate by 0.95.", 0.1)


@dataclass(frozen=True)
class LayoutDistance(Measure):
    """The median distance of the layouts of two seeds, over all pairs of seeds."""

    move: str
    """What two layouts may differ in: a key of `procrustes.ALIGNMENTS`."""
    against_unrelated: bool = False
    """Whether each distance is divided by the median distance between unrelated layouts. These are the
    two layouts of the pair with the classes of one permuted."""

    @property
    def needs(self) -> tuple[Need, ...]:
        return (ARM,)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(f"test/class_{c}/mu_{d}" for c in CLASSES for d in (1, 2))

    def estimate(self, evidence: Evidence) -> Estimate:
        from vaestudy.evidence.statistics import jackknife

        layouts = _layouts(evidence, self.metrics)
        distances = _distances(layouts, self.move, self.against_unrelated)

        def median(seeds: Sequence[int]) -> float:
            found = sorted(distances[pair] for pair in itertools.combinations(seeds, 2))
            return (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2

        lost = len(evidence.runs(ARM)) - len(layouts)
        scale = "log" if self.against_unrelated else "logit"
        return on_scale(lambda: jackknife({seed: seed for seed in layouts}, median, scale, lost))


def _layouts(evidence: Evidence, metrics: tuple[str, ...]) -> dict[int, Array]:
    """Return seed -> the positions of the classes, [10, 2].

    Raises:
        NotMeasured: fewer than two runs have all positions.
    """
    runs = evidence.finished(ARM)
    if not len(runs) or any(name not in runs for name in metrics):
        raise NotMeasured(f"no run of {ARM.name} has {metrics[0]}")
    complete = runs.dropna(subset=list(metrics))
    if len(complete) < 2:
        raise NotMeasured(f"fewer than two runs of {ARM.name} have the positions of all classes")
    points = complete[list(metrics)].to_numpy(dtype=float).reshape(len(complete), len(CLASSES), 2)
    return dict(zip(map(int, complete["seed"]), points, strict=True))


def _distances(layouts: dict[int, Array], move: str, against_unrelated: bool) -> dict[tuple[int, int], float]:
    """Return the distance of each pair of seeds."""
    import numpy as np

    from vaestudy.reporting.procrustes import ALIGNMENTS, distance, unrelated

    best, found = ALIGNMENTS[move], {}
    for a, b in itertools.combinations(layouts, 2):
        found[a, b] = distance(layouts[a], layouts[b], best)
        if against_unrelated:
            found[a, b] /= float(np.median(unrelated(layouts[a], layouts[b], best)))
    return found


def _same(move: str, role: Role) -> Part:
    return Part(
        name=f"up to {MOVES[move]}",
        question=f"Is less than a tenth of a layout unexplained by that of another seed, up to {MOVES[move]}?",
        says=f"up to {MOVES[move]}, {{value}} of a layout is unexplained by that of another seed",
        measure=LayoutDistance(move),
        criterion=SAME,
        role=role,
    )


CLAIM = Claim(
    id="C13",
    words="Repeated runs give the same latent picture, up to flips and swaps of the axes.",
    question="Do the classes lie at the same places in the planes of two seeds, up to flips and swaps?",
    parts=(
        _same("flips and swaps", "decisive"),
        _same("any rotation", "exploratory"),
        Part(
            name="against unrelated layouts",
            question="Are two seeds at most half as far from each other as unrelated layouts, up to flips and swaps?",
            says="two seeds have {value} the distance of unrelated layouts",
            measure=LayoutDistance("flips and swaps", against_unrelated=True),
            criterion=Below("times", "A factor of two is what a reader sees in a picture.", 0.5),
        ),
    ),
    figure=("classes", "class_planes"),
)
