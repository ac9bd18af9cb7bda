"""C4: M and L can be traded against each other.

A trade is read as: draws replace images without a loss of half a nat (non-inferiority). The two arms put 200 rows
through the decoder in a step: 20 images with ten draws each, or 200 images with one draw each. «The same work» can
mean three things, and each is a part:

    equal steps and rows   2,750 steps of 200 rows: one epoch of M=20, ten of M=200. Work is fixed, and draws replace
                           images. This is the trade that the claim speaks of, so it is decisive.
    equal images seen      ten epochs of both. M=20 with ten draws takes ten times the steps and the rows for it, so
                           this asks which of the two makes more of the data.
    equal seconds          what a user who waits gets.

The pair is set by the 200 rows and the factor of ten, and not chosen among cells by its values.

A fourth part asks the same of the gradient at the start, where all arms have the same weights: its variance at
(20, 10) is at most a quarter above that at (200, 1). By the law Var = (Var_x + Var_eps / L) / M, L divides only one of
the two parts of the variance. Whether the law holds is exploratory.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import HALF_A_NAT, HALF_A_NAT_WHY, QUARTER, QUARTER_WHY, Below, Exceeds, Within
from vaestudy.claims.measures import AtEqualCost, Contrast, metric
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 5
IMAGES = need("m-vs-l", SEEDS, minibatch=200, samples=1)
DRAWS = need("m-vs-l", SEEDS, minibatch=20, samples=10)
DRAWS_ONE_EPOCH = need("m-vs-l", SEEDS, {"epochs": 1}, minibatch=20, samples=10)
NO_LOSS = Exceeds("nats", HALF_A_NAT_WHY, -HALF_A_NAT)
L = 20
LAW = need("m-vs-l", SEEDS, samples=1), need("m-vs-l", SEEDS, samples=L)

CLAIM = Claim(
    id="C4",
    words="The size M of a minibatch and the number L of draws per image can be traded against each other.",
    question="Do 20 images with ten draws each do what 200 images with one draw each do?",
    parts=(
        Part(
            name="at equal steps and decoder rows",
            question="Are 2,750 steps with ten draws of 20 images worth as many with one draw of 200 images?",
            says="after 2,750 steps of 200 rows, M=20 with ten draws ends {higher|lower} than M=200 with one",
            measure=Contrast(DRAWS_ONE_EPOCH, IMAGES, metric("test/elbo")),
            criterion=NO_LOSS,
            role="decisive",
        ),
        Part(
            name="at equal images seen, with ten times the steps",
            question="Does M=20 with ten draws lose nothing in ten epochs?",
            says="after ten epochs, M=20 with ten draws ends {higher|lower} than M=200 with one",
            measure=Contrast(DRAWS, IMAGES, metric("test/elbo")),
            criterion=NO_LOSS,
        ),
        Part(
            name="at equal seconds of training",
            question="Does M=20 with ten draws lose nothing in the same time?",
            says="after the same seconds of training, M=20 with ten draws is {higher|lower} than M=200 with one",
            measure=AtEqualCost(DRAWS, IMAGES, "seconds"),
            criterion=NO_LOSS,
        ),
        Part(
            name="in the variance of the gradient",
            question="Is the gradient's variance at (20, 10) at most a quarter above that at (200, 1)?",
            says="at the start, the gradient of M=20 with ten draws has {value} the variance of M=200 with one",
            measure=Contrast(DRAWS, IMAGES, metric("gradient/start/all/variance"), "log"),
            criterion=Below("times", QUARTER_WHY, QUARTER),
        ),
        Part(
            name="the law of the variance",
            question=f"Do {L} draws have 1/{L} of the noise of one draw?",
            says=f"the noise of {L} draws is {{value}} that of one; the law says {1 / L:g}",
            measure=Contrast(LAW[1], LAW[0], metric("gradient/start/all/var_eps"), "log"),
            criterion=Within("times", QUARTER_WHY, 1 / QUARTER / L, QUARTER / L),
            role="exploratory",
        ),
    ),
    figure=("m-vs-l", "m_l_heatmaps"),
)
