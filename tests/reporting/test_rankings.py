"""Rankings that change between a bound and annealed importance sampling, on scores made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vaestudy.reporting.rankings import Pair, Scored, pairs
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.bound_tightness import ranking_lines

HARD = np.linspace(-50, 50, 40)
"""How hard each of 40 images is, the same for all models: it makes the intervals of single models wide."""


def model(arm: str, D: int, elbo: float, ais: float, unit: str = "bits/dim", noise: float = 0.0) -> Scored:
    """Return a model whose mean scores are these. Images differ by `HARD`, and by +-noise in turn."""
    turns = noise * (-1.0) ** np.arange(40)
    return Scored(f"{arm}, D={D}", arm, D, unit, 4, {"elbo": HARD + elbo + turns, "ais": HARD + ais - turns})


def changed(*models: Scored) -> list[Pair]:
    return [pair for pair in pairs(models, ("elbo",)) if pair.changes]


def test_a_ranking_that_changes_is_named_with_both_differences() -> None:
    a, b = model("beta", 2, elbo=1.0, ais=2.0, noise=0.1), model("gaussian", 2, elbo=0.5, ais=3.0)
    (found,) = changed(a, b)
    expected = interval(pd.Series(a.scores["elbo"] - b.scores["elbo"]))
    assert (found.by_bound.mean, found.by_bound.half) == pytest.approx(expected)
    assert expected[1] == pytest.approx(2.0227 * 0.1 * np.sqrt(40 / 39) / np.sqrt(40), rel=1e-3)
    assert found.text("ELBO") == (
        "The ranking of beta, D=2 and gaussian, D=2 changes: by ELBO beta, D=2 is better by 0.5000 ± 0.0324, "
        "by AIS gaussian, D=2 is better by 1.0000 ± 0.0324 bits/dim."
    )


def test_the_interval_is_of_the_paired_difference() -> None:
    """Between images the scores differ by a hundred, and the difference of 0.5 is still clear; with noise it is not."""
    one = model("beta", 2, elbo=1.0, ais=2.0)
    assert len(changed(one, model("gaussian", 2, elbo=0.5, ais=2.5))) == 1
    noisy = model("gaussian", 2, elbo=0.5, ais=2.5, noise=5)
    assert changed(one, noisy) == []
    (pair,) = pairs([one, noisy], ("elbo",))
    assert pair.turns


def test_an_order_that_stays_is_no_change() -> None:
    (pair,) = pairs([model("a", 2, 1.0, 2.0), model("b", 2, 0.5, 1.9)], ("elbo",))
    assert not pair.turns
    assert not pair.changes


def test_only_what_may_be_ranked_is_paired() -> None:
    """Two arms of one D, two D of one arm; neither another unit, nor a difference in both, nor other images."""
    models = [model("a", 2, 0, 0), model("b", 2, 0, 0), model("a", 10, 0, 0), model("c", 2, 0, 0, unit="nats")]
    few = model("d", 2, 0, 0)
    models.append(Scored(few.name, few.arm, 2, few.unit, 4, {name: v[:20] for name, v in few.scores.items()}))
    names = {(pair.first.name, pair.second.name) for pair in pairs(models, ("elbo",))}
    assert names == {("a, D=2", "b, D=2"), ("a, D=2", "a, D=10")}


def test_the_lines_of_a_table() -> None:
    a, b, c = model("a", 2, 1.0, 2.0), model("b", 2, 0.5, 3.0), model("c", 2, 0.0, 1.0)
    lines = ranking_lines(pairs([a, b, c], ("elbo",)), loose={"b, D=2"})
    scope = "(3 pairs: two arms of one D, or two D of one arm; paired over 40 images)"
    assert lines[0].startswith("The ranking of a, D=2 and b, D=2 changes: by ELBO a, D=2 is better by 0.5000")
    assert lines[0].endswith("AIS is not tight for b, D=2.")
    assert lines[1:] == [f"1 ranking by ELBO changes by AIS beyond its 95 % intervals {scope}."]
    none = ranking_lines(pairs([a, c], ("elbo",)), set())
    assert none == [f"No ranking by ELBO changes by AIS beyond its interval {scope.replace('3 pairs', '1 pair')}."]
    within = ranking_lines(pairs([a, model("d", 2, 0.9, 2.1, noise=5)], ("elbo",)), set())
    assert within[1:] == ["1 ranking is reversed, but not beyond the intervals."]
    assert ranking_lines([], set()) == ["No two rows may be ranked: none share D or the arm, and the unit."]


def test_many_changes_are_counted() -> None:
    models = [model(f"m{i}", 2, elbo=i, ais=-i) for i in range(5)]
    lines = ranking_lines(pairs(models, ("elbo",)), set())
    assert lines[8:] == [
        "... and 2 more rankings change beyond their intervals.",
        "10 rankings by ELBO change by AIS beyond their 95 % intervals "
        "(10 pairs: two arms of one D, or two D of one arm; paired over 40 images).",
    ]
