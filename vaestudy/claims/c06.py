"""C6: truncating the Gaussian puts unreasonable density at the borders.

There are two ways to truncate. The mass beyond [0, 1] goes to the two border values (`clipped-gaussian`, the
article's), or the density is normalised on [0, 1] (`truncated-gaussian`). The share of level 0, and of the levels 250
to 255, among pixels that are drawn from p(x|z) is compared with the share in the test images of the same run. At D=20,
the study's baseline.

«Unreasonable» is read as odds over a quarter larger than those of the data. The odds of a share s are s / (1 - s). The
shares themselves would not do: four of five pixels of MNIST are black, and no share can be a quarter more than 0.81. At
white, where shares are small, the two are nearly the same.
"""

from __future__ import annotations

import math

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import a_quarter_more
from vaestudy.claims.measures import Mean, Quantity
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need

SEEDS = 3
WAYS = {
    "clipped-gaussian": "with the mass beyond [0, 1] at the borders",
    "truncated-gaussian": "with the density normalised on [0, 1]",
}
BORDERS = {"mass_at_0": "black (level 0)", "mass_near_1": "white (levels 250 to 255)"}


def odds_ratio(drawn: float, data: float) -> float:
    """Return the odds of one share divided by those of another; infinite if the first is 1.

    Args:
        drawn: a share of the pixels that are drawn, from 0 to 1.
        data: the share in the data, above 0 and below 1.
    """
    return drawn / (1 - drawn) / (data / (1 - data)) if drawn < 1 else math.inf


def _part(likelihood: str, border: str) -> Part:
    way, colour = WAYS[likelihood], BORDERS[border]
    return Part(
        name=f"{way}, for {colour}",
        question=f"Are the odds of {colour} over a quarter larger in drawn pixels than in the data, {way}?",
        says=f"{way}, the odds that a drawn pixel is {colour} are {{value}} those in the data",
        measure=Mean(
            need("likelihoods", SEEDS, likelihood=likelihood),
            Quantity((f"test/{border}", f"test/{border}_data"), odds_ratio),
            "log",
        ),
        criterion=a_quarter_more(),
    )


CLAIM = Claim(
    id="C6",
    words="Truncating the Gaussian to [0, 1] puts unreasonable density at the borders.",
    question="Does a truncated Gaussian draw black or white pixels at odds a quarter too large?",
    parts=tuple(_part(likelihood, border) for likelihood in WAYS for border in BORDERS),
    figure=("likelihoods", "arms"),
)
