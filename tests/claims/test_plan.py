"""The plan of the article and the looks: what is missing, what it takes, and what is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evidence import evidence, rows
from vaestudy.claims.family import judge_family
from vaestudy.claims.looks import LOOKS, Looks
from vaestudy.claims.plan import planned
from vaestudy.claims.registry import CLAIMS
from vaestudy.errors import BadInput
from vaestudy.evidence.evidence import SOURCE
from vaestudy.evidence.needs import need

D2, D10 = (need("latent-dims", 4, latent_dim=D) for D in (2, 10))
C14 = CLAIMS["C14"]


def test_a_claim_says_what_is_tracked_committed_and_missing() -> None:
    parts = rows(D2, {"test/log_likelihood": [-1.0, -2.0]}), rows(D10, {"test/log_likelihood": [-1.0]}, **{SOURCE: "x"})
    found = planned(C14, C14.needs, evidence(*parts))
    assert (found.runs.tracked, found.runs.committed, found.runs.missing) == (2, 1, 57)
    assert found.more == ""


def test_an_undecided_claim_says_what_would_decide_it() -> None:
    values = {D: [-160.0 + 5 * i + 0.3 * (seed % 3) for seed in range(10)] for i, D in enumerate((2, 3, 5, 10, 20, 50))}
    values[50] = [value + 0.2 * (-1) ** seed for seed, value in enumerate(values[20])]
    values[50] = [value + 0.1 for value in values[50]]
    parts = [rows(need("latent-dims", 10, latent_dim=D), {"test/log_likelihood": values[D]}) for D in values]
    found = planned(C14, C14.needs, evidence(*parts))
    assert (found.verdict.verdict, found.runs.missing) == ("undecided", 0)
    more = [part.decision.more_seeds for part in found.verdict.deciding]
    assert more[0] is not None
    assert f"from D=20 to 50: about {more[0]} more seeds would decide it ({2 * more[0]} runs)" == found.more


def test_looks_are_written_and_read_again(tmp_path: Path) -> None:
    looks = Looks()
    looks.add(C14, [C14.needs[0].with_seeds(12), C14.needs[0].with_seeds(14)])
    looks.write(tmp_path / "a" / "looks.json")
    again = Looks.read(tmp_path / "a" / "looks.json", tmp_path / "absent.json")
    assert again.counts == {"C14": LOOKS}
    assert again.left(C14) == LOOKS - 2
    assert again.left(CLAIMS["C3"]) == LOOKS - 1
    assert [one.seeds for one in again.needs(C14)] == [14, *(one.seeds for one in C14.needs[1:])]
    again.add(C14, [C14.needs[0].with_seeds(20)])
    again.write(tmp_path / "later.json")
    assert Looks.read(tmp_path / "later.json", tmp_path / "a" / "looks.json").needs(C14)[0].seeds == 20
    assert again.left(C14) == 0


@pytest.mark.parametrize("text", ["[]", "{", '{"C1": [{"arm": "many"}]}', '{"C1": 3}'])
def test_a_damaged_file_of_looks_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "looks.json").write_text(text)
    with pytest.raises(BadInput, match=r"looks\.json: must be"):
        Looks.read(tmp_path / "looks.json")


def test_looks_count_in_the_family() -> None:
    """A claim with three looks enters Holm's correction with three times its p-value, 42 times as the smallest."""
    values = {D: [-160.0 + 5 * i + 3.0 * (seed % 3) for seed in range(10)] for i, D in enumerate((2, 3, 5, 10, 20, 50))}
    parts = [
        rows(need("latent-dims", 10, latent_dim=D), {"test/log_likelihood": values[D][i:] + values[D][:i]})
        for i, D in enumerate(values)
    ]
    found = {each.alone.claim.id: each for each in judge_family(CLAIMS.values(), evidence(*parts), {"C14": 3})}
    assert found["C14"].p_corrected == pytest.approx(min(1.0, 3 * 14 * found["C14"].alone.p))
    assert found["C14"].alone.p < 0.01
