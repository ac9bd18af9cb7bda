"""C2: the KL term is best used in closed form (estimator B) and not estimated with the rest (estimator A).

«Best» is asked of three things, with one draw per image:

* the noise of the gradient in the encoder, and of the objective's value: B is best if A has more than a quarter more
  variance. Both are measured at the same weights, those of the runs trained by B, at the start, after an epoch and at
  the end. Theory says that the stage matters: where q is the posterior, A has no variance and B has.
* the bound that is reached: B is best if it ends more than half a nat above A. Here `fails` is informative: it says
  that a gain of half a nat was shown to be absent.

The noise is a ratio within a run, and no comparison of two arms. With fifty draws the questions are exploratory.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import a_quarter_more, exceeds_half_a_nat, within_half_a_nat
from vaestudy.claims.measures import Contrast, Mean, metric, ratio
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import need

SEEDS = 10
A, B = (need("estimators", SEEDS, estimator=name, samples=1) for name in ("sgvb-a", "sgvb-b"))
A50, B50 = (need("estimators", 3, estimator=name, samples=50) for name in ("sgvb-a", "sgvb-b"))
STAGES = {"start": "at the start", "epoch_1": "after an epoch", "end": "at the end"}
GROUPS = {"encoder": "the encoder's gradient", "value": "the objective's value"}


def _noise(stage: str, group: str, role: Role = "part") -> Part:
    a, b = (f"gradient/{stage}/{name}/{group}/var_eps" for name in ("sgvb-a", "sgvb-b"))
    return Part(
        name=f"for the noise of {GROUPS[group]} {STAGES[stage]}",
        question=f"Does A have over a quarter more noise in {GROUPS[group]} {STAGES[stage]}?",
        says=f"A has {{value}} the noise of B in {GROUPS[group]} {STAGES[stage]}",
        measure=Mean(B, ratio(a, b), "log"),
        criterion=a_quarter_more(),
        role=role,
    )


CLAIM = Claim(
    id="C2",
    words="The KL term is best used in closed form: estimator B is better than A.",
    question="Does the KL in closed form give less noise and a better bound than its estimate by draws?",
    parts=(
        *(_noise(stage, "encoder") for stage in STAGES),
        *(_noise(stage, "value") for stage in STAGES),
        Part(
            name="for the bound that is reached",
            question="Does training by B end more than half a nat above training by A?",
            says="trained by B, the ELBO ends {higher|lower} than trained by A",
            measure=Contrast(B, A, metric("test/elbo")),
            criterion=exceeds_half_a_nat(),
        ),
        Part(
            name="whether A and B reach the same bound",
            question="Do A and B end within half a nat of each other?",
            says="trained by B, the ELBO ends {higher|lower} than trained by A",
            measure=Contrast(B, A, metric("test/elbo")),
            criterion=within_half_a_nat(),
            role="exploratory",
        ),
        Part(
            name="the bound with fifty draws",
            question="Does training by B with fifty draws end more than half a nat above A?",
            says="with fifty draws, the ELBO of B ends {higher|lower} than that of A",
            measure=Contrast(B50, A50, metric("test/elbo")),
            criterion=exceeds_half_a_nat(),
            role="exploratory",
        ),
    ),
    figure=("estimators", "estimator_panels"),
)
