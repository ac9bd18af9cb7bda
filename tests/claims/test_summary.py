"""The short sentence of a claim names the part that decides, whatever the others say."""

from __future__ import annotations

import pytest

from vaestudy.claims.criterion import Decision, Exceeds
from vaestudy.claims.measures import Measure
from vaestudy.claims.part import Part, PartVerdict, Role
from vaestudy.claims.summary import summary_sentence
from vaestudy.evidence.statistics import mean

HALF = Exceeds("nats", "", 0.5)


def found(name: str, p_holds: float, p_fails: float, role: Role = "part") -> PartVerdict:
    """Return a part with these p-values; its sentence has its name, and 2 nats that are the same for each seed."""
    answer = "holds" if p_holds < 0.025 else "fails" if p_fails < 0.025 else "undecided"
    part = Part(name, f"{name}?", f"{name} is {{higher|lower}}", Measure(), HALF, role)
    return PartVerdict(part, mean({0: 2.0, 1: 2.0}), Decision(answer, p_holds, p_fails, None), ("a", "b"), ())  # type: ignore[arg-type]


def said(name: str) -> str:
    return f"{name} is 2 nats higher, the same for each seed"


ASKED = "(asked: more than 0.5 nats higher)"
CASES = [
    ("holds", [found("a", 0.01, 1)], f"{said('a')} {ASKED}"),
    ("holds", [found("a", 0.01, 1), found("b", 0.02, 1)], f"all 2 parts hold; the least clear: {said('b')} {ASKED}"),
    ("fails", [found("a", 1, 0.02), found("b", 1, 0.01)], f"all 2 parts fail; the clearest: {said('b')} {ASKED}"),
    (
        "fails",
        [found("a", 0.001, 1), found("b", 1, 0.01, "decisive"), found("c", 0.5, 0.5), found("d", 1, 0.001)],
        f"{said('b')} {ASKED}; of the 3 other parts 1 holds, 1 fails and 1 is open",
    ),
    (
        "depends",
        [found("a", 0.01, 1), found("b", 0.001, 1), found("c", 1, 0.002), found("d", 0.5, 0.5)],
        f"yes in 2 of 4 parts: {said('b')}; no in 1: {said('c')} {ASKED}; 1 open",
    ),
    ("undecided", [found("a", 0.3, 0.7), found("b", 0.01, 1)], f"{said('a')} {ASKED}; the other part holds"),
    (
        "undecided",
        [found("a", 0.1, 0.9), found("b", 0.4, 0.6), found("c", 0.03, 0.97, "decisive")],
        f"{said('c')} {ASKED}; the 2 other parts are open",
    ),
    ("undecided", [found("a", 0.1, 0.9), found("b", 0.4, 0.6)], f"{said('b')} {ASKED}; the other part is open"),
    (
        "undecided",
        [found("a", 0.02, 1), found("b", 1, 0.02)],
        f"the parts differ, but not clearly enough; yes in 1 of 2 parts: {said('a')}; no in 1: {said('b')} {ASKED}",
    ),
]


@pytest.mark.parametrize(("verdict", "parts", "text"), CASES)
def test_the_part_that_decides_is_named(verdict: str, parts: list[PartVerdict], text: str) -> None:
    assert summary_sentence(verdict, parts) == text
    assert summary_sentence(verdict, [found("no part", 0.0, 1, "exploratory"), *parts]) == text
