"""C7: a Bernoulli cannot model intermediate grey; a Beta fits better.

Two measures were fixed with the claim, and each is a part. All are on dequantised pixels and at D=20, the study's
baseline.

* Bits per pixel: the Beta takes fewer than the Bernoulli, by more than 0.01, the last digit that papers print. A
  Bernoulli is no density, so its decoder must be read as one. There are two readings, and the claim asks for both: the
  continuous Bernoulli with the decoder's p as its parameter, which is what such a decoder is trained as when the
  normaliser is forgotten; and the continuous Bernoulli whose *mean* is p, which keeps the picture that it predicts.
* The histogram of pixels drawn from p(x|z): the Beta's is closer to the data's, by more than 0.01 (one pixel in 100).

That a Bernoulli draws no intermediate grey is its definition; the share is exploratory, as is the Beta's other
parameterisation.
"""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.criterion import Exceeds
from vaestudy.claims.measures import Contrast, Mean, Measure, Quantity, metric
from vaestudy.claims.part import Part, Role
from vaestudy.evidence.needs import need

SEEDS = 3
BERNOULLI = need("likelihoods", SEEDS, likelihood="bernoulli")
BETA, ALPHA_BETA = (
    need("likelihoods", SEEDS, likelihood="beta", likelihood_parameters=name)
    for name in ("mean-concentration", "alpha-beta")
)
BITS = Exceeds("bits a pixel", "Papers print bits per dimension to two decimals.", 0.01)
CLOSER = Exceeds("points", "One pixel in a hundred.", 0.01)
HISTOGRAM = metric("test/histogram_distance")


def _histogram(beta: object, words: str, role: Role = "part") -> Part:
    return Part(
        name=f"by the histogram of drawn pixels{words}",
        question=f"Is the histogram of pixels drawn from the Beta{words} closer to the data's?",
        says=f"the Bernoulli's histogram differs from the data's by {{more|less}} than the Beta's{words}",
        measure=Contrast(BERNOULLI, beta, HISTOGRAM),  # type: ignore[arg-type]
        criterion=CLOSER,
        role=role,
    )


def _bits(words: str, measure: Measure, role: Role = "part") -> Part:
    return Part(
        name=f"by bits per pixel, {words}",
        question=f"Does the Beta take fewer bits per pixel than the Bernoulli, {words}?",
        says=f"{words}, the Bernoulli takes {{more|less}} than the Beta",
        measure=measure,
        criterion=BITS,
        role=role,
    )


CLAIM = Claim(
    id="C7",
    words="A Bernoulli cannot model intermediate grey values; a Beta fits better.",
    question="Does a Beta take fewer bits per pixel than a Bernoulli, and draw pixels more like the data's?",
    parts=(
        _bits("with p as the parameter", Contrast(BERNOULLI, BETA, metric("test/bits_per_dim"))),
        _bits(
            "with p as the mean",
            Contrast(BERNOULLI, BETA, metric("test/mean_matched_bits_per_dim"), of_other=metric("test/bits_per_dim")),
        ),
        _histogram(BETA, ""),
        _bits("with alpha and beta", Contrast(BERNOULLI, ALPHA_BETA, metric("test/bits_per_dim")), "exploratory"),
        _histogram(ALPHA_BETA, " from alpha and beta", "exploratory"),
        Part(
            name="the intermediate grey of the Beta",
            question="Does the Beta draw more intermediate grey than the data has?",
            says="the share of intermediate grey that the Beta draws is {larger|smaller} than that of the data",
            measure=Mean(
                BETA,
                Quantity(
                    ("test/mass_at_0_data", "test/mass_near_1_data", "test/mass_at_0", "test/mass_near_1"),
                    lambda black, white, drawn_black, drawn_white: (black + white) - (drawn_black + drawn_white),
                ),
            ),
            criterion=CLOSER,
            role="exploratory",
        ),
    ),
    figure=("likelihoods", "arms"),
)
