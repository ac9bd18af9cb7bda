"""C14: more latent dimensions reconstruct better.

The measure is the reconstruction term on test, E_q[log p(x|z)], of which the claim speaks; the bound is another
question and exploratory. «Better» names no amount, so each step from one D to the next asks for a gain above 0, and
the claim holds only if every step gains. It is the steps that are tested, and not D=2 against D=50: the claim says
that more is better, and it would not follow if a first large gain hid a later loss.

Whether the bound is saturated is an equivalence: its change from D=20 to 50 lies within half a nat.
"""

from __future__ import annotations

import itertools

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Exceeds, exceeds_half_a_nat, within_half_a_nat
from vaestudy.claims.measures import Contrast, Mean, metric
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 10
DIMENSIONS = (2, 3, 5, 10, 20, 50)
ARMS = {D: need("latent-dims", SEEDS, latent_dim=D) for D in DIMENSIONS}
GAINS = Exceeds("nats", "The claim says better, by whatever amount.", 0.0)


def _step(low: int, high: int) -> Part:
    return Part(
        name=f"from D={low} to {high}",
        question=f"Does D={high} reconstruct better than D={low}?",
        says=f"at D={high}, the reconstruction term is {{higher|lower}} than at D={low}",
        measure=Contrast(ARMS[high], ARMS[low], metric("test/log_likelihood")),
        criterion=GAINS,
    )


CLAIM = Claim(
    id="C14",
    words="More latent dimensions reconstruct better.",
    question="Does the reconstruction term rise with each step in D, from 2 to 50?",
    parts=(
        *(_step(low, high) for low, high in itertools.pairwise(DIMENSIONS)),
        Part(
            name="the bound from D=20 to 50",
            question="Is the bound at D=50 within half a nat of that at D=20?",
            says="at D=50, the ELBO is {higher|lower} than at D=20",
            measure=Contrast(ARMS[50], ARMS[20], metric("test/elbo")),
            criterion=within_half_a_nat(),
            role="exploratory",
        ),
        Part(
            name="the bound from D=10 to 20",
            question="Does the bound gain more than half a nat from D=10 to 20?",
            says="at D=20, the ELBO is {higher|lower} than at D=10",
            measure=Contrast(ARMS[20], ARMS[10], metric("test/elbo")),
            criterion=exceeds_half_a_nat(),
            role="exploratory",
        ),
        Part(
            name="the units in use at D=50",
            question="Are all of 50 dimensions used?",
            says="of 50 dimensions {value} are active",
            measure=Mean(ARMS[50], metric("test/active_units")),
            criterion=Exceeds("units", "All dimensions are used if 49.5 or more are, rounded.", 49.5),
            role="exploratory",
        ),
    ),
    figure=("latent-dims", "bound_and_parts"),
)
