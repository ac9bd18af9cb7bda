"""The rule that compares runs with a published number, on made-up runs whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from tests.support.evidence import diverged, evidence, rows
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.reproductions.comparison import Comparison, beyond, compare, comparisons
from vaestudy.reproductions.protocol import Protocol, Published, cell
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.reproductions.table import HEADINGS, markdown, obtained_text, published_text, seeds_text
from vaestudy.reproductions.table import rows as cells_of

NUMBER = Published("NLL", "test/elbo", 100.0, 100.4, 0.5, "so", cell(epochs=3), 1.0, loss=True)
PROTOCOL = Protocol("pytorch-examples", "a paper", "Does it?", (NUMBER,), 3, "other images")
TIGHT = (-0.1, 0.0, 0.1)
"""Three values around a mean. Their interval has the half-width t(2) 0.1 / sqrt(3) = 0.248."""


def judged(values: Sequence[float], lost: int = 0, wanted: int = 3, look: bool = False, **changes: Any) -> Comparison:
    """Return the comparison of losses, one for each seed, with NUMBER, some of whose fields are changed."""
    number = replace(NUMBER, **changes)
    return compare(PROTOCOL, number, {seed: -value for seed, value in enumerate(values)}, lost, wanted, look)


def around(centre: float) -> list[float]:
    return [centre + step for step in TIGHT]


def test_the_interval_is_students_t_over_seeds_with_the_published_sign() -> None:
    found = judged(around(100.2))
    assert found.obtained is not None
    half = float(stats.t.ppf(0.975, 2)) * 0.1 / math.sqrt(3)
    assert (found.obtained.value, found.obtained.high - found.obtained.value) == pytest.approx((100.2, half))
    assert obtained_text(found) == "100.20 ± 0.25"


@pytest.mark.parametrize(
    ("centre", "answer"),
    [(100.2, "yes"), (99.76, "yes"), (99.74, "undecided"), (99.26, "undecided"), (99.24, "no"),
     (100.64, "yes"), (100.66, "undecided"), (101.14, "undecided"), (101.16, "no"), (87.0, "no")],
)  # fmt: skip
def test_inside_outside_and_between(centre: float, answer: str) -> None:
    """The published interval is [99.5, 100.9], and that of the mean reaches 0.248 to both sides."""
    assert judged(around(centre)).answer == answer


def test_a_wide_interval_is_undecided_although_it_overlaps() -> None:
    found = judged([98.0, 100.2, 102.4])
    assert (found.answer, found.why) == ("undecided", "the intervals overlap in part")


def test_one_seed_is_undecided_however_close_it_is() -> None:
    found = judged([100.2], wanted=1)
    assert (found.answer, found.why) == ("undecided", "one seed has no interval")
    assert (obtained_text(found), seeds_text(found)) == ("100.20", "1")


def test_a_diverged_seed_cannot_be_inside_but_outside() -> None:
    found = judged(around(100.2), lost=1, wanted=4)
    assert (found.answer, found.why) == ("undecided", "1 of 4 seeds diverged")
    assert seeds_text(found) == "3 (1 diverged)"
    assert judged(around(87.0), lost=1, wanted=4).answer == "no"
    everything = judged([], lost=3)
    assert (everything.answer, everything.why, obtained_text(everything)) == ("no", "every seed diverged", "")


def test_a_missing_seed_cannot_be_inside_but_outside() -> None:
    found = judged(around(100.2), wanted=5)
    assert (found.answer, found.why, seeds_text(found)) == ("undecided", "2 of 5 seeds are missing", "3 of 5")
    assert judged(around(87.0), wanted=5).answer == "no"
    assert judged([]).answer == "not run"


@pytest.mark.parametrize("centre", [100.2, 87.0])
def test_a_run_that_is_cut_short_or_a_look_has_no_verdict(centre: float) -> None:
    assert judged(around(centre), full_epochs=30).answer == "cut short"
    assert judged(around(centre), look=True).answer == "a look"
    assert judged([], full_epochs=30).answer == judged([], look=True).answer == "not run"


def test_a_limit_is_met_by_all_values_below_it() -> None:
    """A figure whose axis ends says only that a value is below it."""
    limit = {"low": -math.inf, "high": -150.0, "loss": False}
    for centre, answer in {-160.0: "yes", -149.8: "yes", -149.4: "undecided", -149.0: "no"}.items():
        assert judged([-value for value in around(centre)], **limit).answer == answer
    assert published_text(replace(NUMBER, **limit)) == "below -150.00 ± 0.50"


def test_the_difference_is_to_the_nearest_published_value() -> None:
    assert [beyond(v, 100.0, 100.4) for v in (99.0, 100.1, 101.0)] == pytest.approx([-1.0, 0.0, 0.6])
    assert judged(around(101.0)).difference == pytest.approx(0.6)
    assert math.isnan(judged([]).difference)
    assert published_text(NUMBER) == "100.00 to 100.40 ± 0.50"
    assert published_text(replace(NUMBER, high=100.0)) == "100.00 ± 0.50"


EXAMPLES, AEVB = PROTOCOLS["pytorch-examples"], PROTOCOLS["aevb"]


def test_runs_are_found_by_their_cells() -> None:
    """Each number is compared with its own cell, and diverged runs are counted."""
    twenty = next(n for n in AEVB.numbers if n.levels == cell(latent_dim=20, epochs=167))
    ten = next(n for n in AEVB.numbers if n.levels == cell(latent_dim=10, epochs=167))
    runs = evidence(
        rows(AEVB.need(twenty, "mnist"), {"test/elbo": [-104.6, -104.7, -104.8]}),
        diverged(AEVB.need(ten, "mnist"), [0, 2]),
    )
    found = {each.number: each for each in comparisons([AEVB], runs)}
    assert [each.answer for number, each in found.items() if number not in (ten, twenty)] == ["not run"] * 6
    assert (found[twenty].answer, found[twenty].difference) == ("yes", pytest.approx(0.0))
    assert (found[ten].answer, found[ten].lost) == ("no", 2)


def test_other_images_and_mixtures() -> None:
    (number,) = EXAMPLES.numbers
    values = {"test/elbo": [-105.5] * 10}
    (found,) = comparisons(
        [EXAMPLES], evidence(rows(EXAMPLES.need(number, "kmnist"), values, "kmnist"), dataset="kmnist")
    )
    assert found.answer == "a look"
    mixed = rows(EXAMPLES.need(number, "mnist"), values)
    mixed[3]["tags.data.fingerprint"] = "other"
    with pytest.raises(Incomparable, match="different data sets"):
        comparisons([EXAMPLES], evidence(mixed))


def test_the_table_has_all_columns_and_the_reasons() -> None:
    found = [judged(around(100.2)), judged([100.2], wanted=1)]
    first, second = cells_of(found)
    assert len(first) == len(HEADINGS)
    assert first[1:7] == ("NLL", "100.20 ± 0.25", "100.00 to 100.40 ± 0.50", "+0.00", "yes", "3")
    assert (first[-1], second[-1]) == ("other images", "as above")
    text = markdown(found, look=False)
    assert text.count("\n* pytorch-examples, ± 0.50: so.") == 1
    assert "Sources: pytorch-examples: a paper." in text
    assert "not a result" not in text
    assert "not a result" in markdown(found, look=True)
