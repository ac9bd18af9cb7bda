"""C5: a Gaussian decoder on [0, 1] pixels has a reconstruction loss about 10^9 times the KL, and is hard to train.

On grey pixels the loss depends on the floor under the scale. So the arms have the lowest floor of the study, 10^-6,
which stands for none, and the two parameterisations of the scale: `raw`, which is the article's, and a log-variance.

* «About 10^9 times» is read as within a factor of ten, at the first step: all runs have one, also those that diverge
  later. The ratio is skewed, so it is on a log scale. The last epoch, of runs that survive, is exploratory.
* «Hard to train» is read as: more than half of the runs fail. A run fails if it diverges, or if its mean pictures are
  no better than black ones (a squared error of 0.112, the mean square of MNIST's train pixels: mean 0.1307, standard
  deviation 0.3081). The limits of the share are exact.

The floors of the study are exploratory. Two floors that are never reached give the same runs, which count once.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Exceeds, Within
from vaestudy.claims.measures import Mean, Quantity, Share, metric
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 10
FLOORS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
SCALES = {"raw": "with the article's raw scale", "log-variance": "with a log-variance"}
ARMS = {
    (scale, floor): need(
        "gaussian-floor", SEEDS if floor == FLOORS[0] else 3, decoder_sigma=scale, likelihood_floor=floor
    )
    for scale in SCALES
    for floor in FLOORS
}
BLACK = 0.1307**2 + 0.3081**2
NO_BETTER_THAN_BLACK = Quantity(("test/mse",), lambda error: float(error >= BLACK))
FIRST_STEP = Quantity(("train/first_likelihood_over_kl",), float, early=True)
A_BILLION = Within("times", "«About» is read as within a factor of ten.", 1e8, 1e10)
MOST_FAIL = Exceeds("%", "What fails more often than not is hard to train.", 0.5)


def _parts(scale: str) -> tuple[Part, Part]:
    arm, words = ARMS[scale, FLOORS[0]], SCALES[scale]
    return (
        Part(
            name=f"for the ratio {words}",
            question=f"Is the reconstruction loss about 10^9 times the KL {words}?",
            says=f"{words}, the reconstruction loss is {{value}} the KL at the first step",
            measure=Mean(arm, FIRST_STEP, "log"),
            criterion=A_BILLION,
        ),
        Part(
            name=f"for the training {words}",
            question=f"Do more than half of the runs fail {words}?",
            says=f"{words}, {{value}} of the runs fail",
            measure=Share((arm,), NO_BETTER_THAN_BLACK),
            criterion=MOST_FAIL,
        ),
    )


def _all_floors(scale: str) -> Part:
    return Part(
        name=f"all floors {SCALES[scale]}",
        question=f"Do more than half of the different runs fail {SCALES[scale]}, over all floors?",
        says=f"{SCALES[scale]}, {{value}} of the different runs at all floors fail",
        measure=Share(tuple(ARMS[scale, floor] for floor in FLOORS), NO_BETTER_THAN_BLACK),
        criterion=MOST_FAIL,
        role="exploratory",
    )


def _at_the_end(scale: str) -> Part:
    words = SCALES[scale]
    return Part(
        name=f"the ratio at the end {words}",
        question=f"Is the reconstruction loss about 10^9 times the KL in the last epoch, {words}?",
        says=f"{words}, the reconstruction loss is {{value}} the KL in the last epoch",
        measure=Mean(ARMS[scale, FLOORS[0]], metric("train/likelihood_over_kl"), "log"),
        criterion=A_BILLION,
        role="exploratory",
    )


CLAIM = Claim(
    id="C5",
    words="On [0, 1] pixels a Gaussian's reconstruction loss is about 10^9 times the KL, and it is hard to train.",
    question="How large is a Gaussian's reconstruction loss against the KL, and do its runs fail?",
    parts=(
        *_parts("raw"),
        *_parts("log-variance"),
        _all_floors("raw"),
        _all_floors("log-variance"),
        *map(_at_the_end, SCALES),
    ),
    figure=("gaussian-floor", "arms"),
)
