"""C9: a negative sigma behaves like a positive one.

With the same weights this is exact: if the signs of the head and of the noise are changed, z is the same, and the
changed noise is as likely (`tests/model/test_sigma.py`). What is open is the training. So the article's raw sigma, of
either sign, is compared with its absolute value, which is the same map without a negative sigma. Both have the
article's guard of 10^-8 inside the logarithms. «Like» is an equivalence: the ELBO within half a nat, at the article's
two values of D.

A log-variance is another map, not another sign. It is exploratory, and so are the runs without a guard. A softplus, a
third map without a sign, is compared in the study `sigma`.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Exceeds, within_half_a_nat
from vaestudy.claims.measures import Contrast, Mean, metric
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import Need, need

SEEDS = 10
GUARDS = {1e-8: "with the article's guard", 0.0: "without a guard"}


def _arm(sigma: str, D: int, guard: float) -> Need:
    return need("sigma-signs", SEEDS, sigma=sigma, latent_dim=D, log_guard=guard)


def _same(other: str, D: int, guard: float, role: Role = "part") -> Part:
    words = {"abs": "its absolute value", "log-variance": "a log-variance"}[other]
    return Part(
        name=f"against {words} at D={D}, {GUARDS[guard]}",
        question=f"Does a sigma of either sign end within half a nat of {words}, at D={D}, {GUARDS[guard]}?",
        says=f"at D={D}, {GUARDS[guard]}, the ELBO with a sigma of either sign is {{higher|lower}} than with {words}",
        measure=Contrast(_arm("raw", D, guard), _arm(other, D, guard), metric("test/elbo")),
        criterion=within_half_a_nat(),
        role=role,
    )


CLAIM = Claim(
    id="C9",
    words="A negative sigma behaves like a positive one.",
    question="Does a sigma of either sign reach the same bound as its absolute value?",
    parts=(
        _same("abs", 10, 1e-8),
        _same("abs", 2, 1e-8),
        *(_same("log-variance", D, guard, "exploratory") for guard in GUARDS for D in (10, 2)),
        _same("abs", 10, 0.0, "exploratory"),
        _same("abs", 2, 0.0, "exploratory"),
        Part(
            name="how many units are negative",
            question="Is more than one unit of ten negative on most images?",
            says="at D=10 {value} are negative on most images",
            measure=Mean(_arm("raw", 10, 1e-8), metric("test/negative_sigma_units")),
            criterion=Exceeds("units", "With none, nothing about a negative sigma would be tested.", 1.0),
            role="exploratory",
        ),
    ),
    figure=("sigma-signs", "arms"),
)
