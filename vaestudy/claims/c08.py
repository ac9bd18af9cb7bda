"""C8: a Bernoulli decoder is simple, fast and stable.

«Simple» is not measured. The rest is read so:

* Fast: none of the alternatives that the article names (a Gaussian with a scale per pixel, a truncated Gaussian, a
  Beta) needs less than 80 % of its time for an epoch. Times are of runs that share a machine, so they are compared as
  ratios on a log scale.
* Stable: fewer than one run in ten diverges, over all Bernoulli runs of the study of D, by exact limits; 36 runs
  without a failure are needed to show it. And seeds agree: the standard deviation of the ELBO over seeds is below half
  a nat, at the article's D=10.
"""

from __future__ import annotations

from vaestudy.claims import c14
from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import HALF_A_NAT, HALF_A_NAT_WHY, QUARTER, QUARTER_WHY, Below, Exceeds
from vaestudy.claims.measures import Contrast, Share, Spread, metric
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 3
BERNOULLI = need("likelihoods", SEEDS, likelihood="bernoulli")
OTHERS = {
    "a Gaussian": need("likelihoods", SEEDS, likelihood="gaussian"),
    "a truncated Gaussian": need("likelihoods", SEEDS, likelihood="truncated-gaussian"),
    "a Beta": need("likelihoods", SEEDS, likelihood="beta", likelihood_parameters="mean-concentration"),
}


def _speed(name: str) -> Part:
    return Part(
        name=f"for speed, against {name}",
        question=f"Does {name} need at least 80 % of the Bernoulli's time?",
        says=f"an epoch with {name} takes {{value}} as long as with a Bernoulli",
        measure=Contrast(OTHERS[name], BERNOULLI, metric("seconds_per_epoch"), "log"),
        criterion=Exceeds("times", QUARTER_WHY, 1 / QUARTER),
    )


CLAIM = Claim(
    id="C8",
    words="A Bernoulli decoder is simple, fast and stable.",
    question="Is a Bernoulli decoder no slower than the others, do its runs end well, and do its seeds agree?",
    parts=(
        *map(_speed, OTHERS),
        Part(
            name="for failures",
            question="Does fewer than one run in ten diverge?",
            says="{value} of the Bernoulli's runs diverge",
            measure=Share(tuple(c14.ARMS.values())),
            criterion=Below("%", "With one failure in ten, nearly half of all studies of six runs lose one.", 0.1),
        ),
        Part(
            name="for the agreement of seeds",
            question="Is the standard deviation of the ELBO over seeds below half a nat?",
            says="at D=10 the standard deviation of the ELBO over seeds is {value}",
            measure=Spread(c14.ARMS[10], metric("test/elbo")),
            criterion=Below("nats", HALF_A_NAT_WHY, HALF_A_NAT),
        ),
    ),
    figure=("likelihoods", "arms"),
)
