"""C3: with M=100, one draw of z per image is already excellent.

«Excellent» is read as: more draws do not gain half a nat. This is a test of non-inferiority and not of a difference,
so that few seeds cannot make it hold. It is asked three times, as more draws cost more:

* At equal images seen (epochs) draws are free. L=20 stands for all larger L: the noise of the draws falls as 1/L, so
  no L of the grid gains more (Var = (Var_x + Var_eps / L) / M).
* At equal decoder passes, and at equal seconds of training, draws are paid for. L=2 stands for all larger L: a draw
  beyond the second costs as much as the second and takes away less noise.

The other L are exploratory, and so is the question whether M=100 is a good M, of which the claim says nothing.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import HALF_A_NAT, HALF_A_NAT_WHY, Below
from vaestudy.claims.measures import AtEqualCost, Contrast, metric
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import need

SEEDS = 10
ONE = need("m-vs-l", SEEDS, samples=1)
MORE = {L: need("m-vs-l", SEEDS, samples=L) for L in (2, 5, 20)}
NOT_HALF_A_NAT = Below("nats", HALF_A_NAT_WHY, HALF_A_NAT)
COSTS = {"passes": "decoder passes", "seconds": "seconds of training"}


def _at_equal_images(L: int, role: Role) -> Part:
    return Part(
        name=f"at equal images seen, against {L} draws",
        question=f"Do {L} draws gain less than half a nat after ten epochs?",
        says=f"after the same epochs {L} draws end at {{signed}} relative to one draw",
        measure=Contrast(MORE[L], ONE, metric("test/elbo")),
        criterion=NOT_HALF_A_NAT,
        role=role,
    )


def _at_equal_cost(L: int, cost: str, role: Role) -> Part:
    return Part(
        name=f"at equal {COSTS[cost]}, against {L} draws",
        question=f"Do {L} draws gain less than half a nat at equal {COSTS[cost]}?",
        says=f"after the same {COSTS[cost]} {L} draws are at {{signed}} relative to one draw",
        measure=AtEqualCost(MORE[L], ONE, cost),
        criterion=NOT_HALF_A_NAT,
        role=role,
    )


CLAIM = Claim(
    id="C3",
    words="With minibatches of 100 images, one draw of z per image is already excellent.",
    question="At M=100, do more draws per image gain less than half a nat?",
    parts=(
        _at_equal_images(20, "part"),
        _at_equal_cost(2, "passes", "part"),
        _at_equal_cost(2, "seconds", "part"),
        _at_equal_images(2, "exploratory"),
        _at_equal_images(5, "exploratory"),
        _at_equal_cost(5, "passes", "exploratory"),
        _at_equal_cost(5, "seconds", "exploratory"),
        Part(
            name="M=20 against M=100",
            question="Does M=20 with one draw gain less than half a nat on M=100 after ten epochs?",
            says="after the same epochs M=20 ends at {signed} relative to M=100, both with one draw",
            measure=Contrast(need("m-vs-l", SEEDS, minibatch=20), ONE, metric("test/elbo")),
            criterion=NOT_HALF_A_NAT,
            role="exploratory",
        ),
    ),
    figure=("m-vs-l", "bound_against_cost"),
)
