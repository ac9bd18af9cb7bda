"""Estimates as text: rounded by their uncertainty, with words in place of signs, and criteria in the same words."""

from __future__ import annotations

import math

import pytest

from vaestudy.claims.criterion import Below, Criterion, Exceeds, Within
from vaestudy.claims.wording import asked_text, compared_text, interval_text, part_sentence
from vaestudy.evidence.estimates import StudentEstimate
from vaestudy.evidence.statistics import mean


def made(value: float, low: float, high: float, scale: str = "linear", lost: int = 0) -> StudentEstimate:
    """Return an estimate of ten seeds with these numbers; a text needs no others."""
    return StudentEstimate(value, low, high, 10, "seeds", "one arm", scale, lost, math.nan, math.nan, math.nan, 9)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((5.024, 4.567, 5.481), "5.02 nats (95 %: 4.57 to 5.48)"),
        ((0.672, 0.397, 0.947), "0.67 nats (95 %: 0.40 to 0.95)"),  # two digits of the half-width
        ((14.443, 13.51, 15.38), "14.4 nats (95 %: 13.5 to 15.4)"),  # three digits of the numbers
        ((1.1214, 1.1184, 1.1244), "1.121 nats (95 %: 1.118 to 1.124)"),  # one digit of the half-width
        ((-4.818, -4.912, -4.725), "-4.82 nats (95 %: -4.91 to -4.72)"),
        ((179_086.0, 164_749.0, 194_672.0), "179,000 nats (95 %: 165,000 to 195,000)"),
        ((16_432.0, 15_560.0, 17_352.0), "16,400 nats (95 %: 15,600 to 17,400)"),
        ((747.0, -377.0, 1871.0), "750 nats (95 %: -380 to 1,870)"),
        ((-12.0, -19.0, -5.0), "-12.0 nats (95 %: -19.0 to -5.0)"),
        ((100.0, 50.0, 150.0), "100 nats (95 %: 50 to 150)"),
        ((-0.001, -0.5, 0.5), "0.00 nats (95 %: -0.50 to 0.50)"),  # no «-0.00»
        ((2e8, 1e8, 4e8), "2.0e8 nats (95 %: 1.0e8 to 4.0e8)"),
        ((1e-9, -1e-9, 3e-9), "0.000000 nats (95 %: 0.000000 to 0.000000)"),
    ],
)
def test_numbers_are_rounded_by_their_uncertainty(numbers: tuple[float, float, float], text: str) -> None:
    assert interval_text(made(*numbers), "nats") == text


def test_a_wide_interval_of_a_ratio_does_not_end_at_zero() -> None:
    assert interval_text(made(0.334, 0.0399, 2.79, "log"), "times") == "0.33 times (95 %: 0.040 to 2.8)"
    assert interval_text(made(2.9, 1.28, 6.57, "log"), "times") == "2.9 times (95 %: 1.3 to 6.6)"


def test_shares_and_singular_units() -> None:
    assert interval_text(made(0.2912, 0.0212, 0.881, "logit"), "%") == "29 % (95 %: 2 to 88)"
    assert interval_text(made(1.0, -20.0, 22.0), "nats") == "1 nat (95 %: -20 to 22)"
    assert interval_text(made(1.0, -20.0, 22.0), "nats", bare=True) == "1 nat (-20 to 22)"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((5.024, 4.567, 5.481), "5.02 nats higher (95 %: 4.57 to 5.48)"),
        ((-5.024, -5.481, -4.567), "5.02 nats lower (95 %: 4.57 to 5.48)"),  # the smaller amount first
        ((0.171, -0.089, 0.432), "0.17 nats higher (95 %: 0.09 lower to 0.43 higher)"),
        ((-0.008, -0.53, 0.52), "0.01 nats lower (95 %: 0.53 lower to 0.52 higher)"),
    ],
)
def test_words_take_the_place_of_signs(numbers: tuple[float, float, float], text: str) -> None:
    assert compared_text(made(*numbers), "nats", "higher", "lower") == text
    assert compared_text(made(*numbers), "nats", "higher", "lower", bare=True) == text.replace("95 %: ", "")


def test_without_an_interval() -> None:
    assert interval_text(mean({0: 3.0}), "nats") == "3 nats, one seed"
    assert compared_text(mean({0: -3.0}), "nats", "higher", "lower") == "3 nats lower, one seed"
    assert compared_text(mean({0: 3.0, 1: 3.0}), "nats", "higher", "lower") == "3 nats higher, the same for each seed"


def test_sentences_of_parts() -> None:
    found = made(-5.024, -5.481, -4.567, lost=2)
    says = "A ends {higher|lower} than B"
    assert part_sentence(says, "nats", found, 12) == (
        "A ends 5.02 nats lower (95 %: 4.57 to 5.48) than B; 2 of 12 runs did not survive"
    )
    assert part_sentence("it is {value}", "nats", made(5.024, 4.567, 5.481), 10, bare=True) == (
        "it is 5.02 nats (4.57 to 5.48)"
    )


@pytest.mark.parametrize(
    ("criterion", "text"),
    [
        (Exceeds("nats", "", 0.5), "more than 0.5 nats higher"),
        (Exceeds("nats", "", 0.0), "higher"),
        (Exceeds("nats", "", -0.5), "less than 0.5 nats lower"),
        (Below("nats", "", 0.5), "less than 0.5 nats higher"),
        (Below("nats", "", 0.0), "lower"),
        (Below("nats", "", -0.5), "more than 0.5 nats lower"),
        (Within("nats", "", -0.5, 0.5), "less than 0.5 nats higher or lower"),
        (Within("nats", "", -0.5, 1.0), "between -0.5 and 1 nat"),
    ],
)
def test_what_is_asked_is_said_in_the_same_words(criterion: Criterion, text: str) -> None:
    assert asked_text(criterion, "A ends {higher|lower} than B") == text
    assert asked_text(criterion, "it is {value}") == criterion.words
