"""C3: with M=100, one draw of z per image is already excellent.

«Excellent» is read as: more draws do not gain half a nat. This is a test of non-inferiority and not of a difference,
so that few seeds cannot make it hold. It is asked three times, as more draws cost more:

* At equal images seen (epochs) draws are free. L=20 stands for all larger L: the noise of the draws falls as 1/L, so
  no L of the grid gains more (Var = (Var_x + Var_eps / L) / M).
* At equal decoder passes draws are paid for. L=2 stands for all larger L: the variance for a given number of passes is
  in proportion to L (Var_x + Var_eps / L) = L Var_x + Var_eps, so the smallest L above 1 has the best chance.
* At equal seconds of training a step has a cost that does not depend on L. So it is not known beforehand which L has
  the best chance, and L = 2, 5 and 20 are a part each.

At equal passes and seconds the bound is that on the validation split, which is the one recorded along the training. The
other L are exploratory, and so is the question whether M=100 is a good M, of which the claim says nothing.

Also exploratory: how much better the best cell of the grid is. M=20 with ten draws was chosen among 33 cells by the
seeds 0 to 2, so it is measured with the seeds from 3 on, which took no part in the choice.
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
BEST_OF_33 = need("m-vs-l", 8, minibatch=20, samples=10)
CHOSE = 3
"""The number of seeds that chose it: 0, 1 and 2."""
COSTS = {"passes": "decoder passes", "seconds": "seconds of training"}


def _at_equal_images(L: int, role: Role) -> Part:
    return Part(
        name=f"at equal images seen, against {L} draws",
        question=f"Do {L} draws gain less than half a nat after ten epochs?",
        says=f"after the same epochs, {L} draws end {{higher|lower}} than one draw",
        measure=Contrast(MORE[L], ONE, metric("test/elbo")),
        criterion=NOT_HALF_A_NAT,
        role=role,
    )


def _at_equal_cost(L: int, cost: str, role: Role) -> Part:
    return Part(
        name=f"at equal {COSTS[cost]}, against {L} draws",
        question=f"Do {L} draws gain less than half a nat at equal {COSTS[cost]}?",
        says=f"after the same {COSTS[cost]}, the bound of {L} draws is {{higher|lower}} than that of one draw",
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
        *(_at_equal_cost(L, "seconds", "part") for L in MORE),
        _at_equal_images(2, "exploratory"),
        _at_equal_images(5, "exploratory"),
        _at_equal_cost(5, "passes", "exploratory"),
        Part(
            name="M=20 against M=100",
            question="Does M=20 with one draw gain less than half a nat on M=100 after ten epochs?",
            says="after the same epochs, M=20 ends {higher|lower} than M=100, both with one draw",
            measure=Contrast(need("m-vs-l", SEEDS, minibatch=20), ONE, metric("test/elbo")),
            criterion=NOT_HALF_A_NAT,
            role="exploratory",
        ),
        Part(
            name="the best cell of the grid, with fresh seeds",
            question="Does M=20 with ten draws, the best of 33 cells, gain less than half a nat after ten epochs?",
            says="after the same epochs, M=20 with ten draws, the best of 33 cells, ends {higher|lower} than M=100 with"
            " one, on seeds that did not choose it",
            measure=Contrast(BEST_OF_33, ONE, metric("test/elbo"), first_seed=CHOSE),
            criterion=NOT_HALF_A_NAT,
            role="exploratory",
        ),
    ),
    figure=("m-vs-l", "bound_against_cost"),
)
