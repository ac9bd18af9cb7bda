"""C6: truncating the Gaussian puts unreasonable density at the borders.

There are two ways to truncate. The mass beyond [0, 1] goes to the two border values (`clipped-gaussian`, the
article's), or the density is normalised on [0, 1] (`truncated-gaussian`). «Unreasonable» is read as over a quarter
more pixels at a border than the data has. The share among pixels that are drawn from p(x|z) is compared with the share
in the test images, on level 0 and on the levels 250 to 255, in the same run. At D=20, the study's baseline.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import a_quarter_more
from vaestudy.claims.measures import Mean, ratio
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 3
WAYS = {"clipped-gaussian": "with the mass beyond at the borders", "truncated-gaussian": "normalised on [0, 1]"}
BORDERS = {"mass_at_0": "on level 0", "mass_near_1": "on levels 250 to 255"}


def _part(likelihood: str, border: str) -> Part:
    where = f"{WAYS[likelihood]}, {BORDERS[border]}"
    return Part(
        name=where,
        question=f"Does the truncated Gaussian draw over a quarter more pixels than the data has, {where}?",
        says=f"{where}, it draws {{value}} as many pixels as the data has",
        measure=Mean(
            need("likelihoods", SEEDS, likelihood=likelihood), ratio(f"test/{border}", f"test/{border}_data"), "log"
        ),
        criterion=a_quarter_more(),
    )


CLAIM = Claim(
    id="C6",
    words="Truncating the Gaussian to [0, 1] puts unreasonable density at the borders.",
    question="Does a truncated Gaussian put over a quarter too many pixels at black or at white?",
    parts=tuple(_part(likelihood, border) for likelihood in WAYS for border in BORDERS),
    figure=("likelihoods", "arms"),
)
