"""Tables of differences: each is that of `statistics.difference`, and each row is compared with the right cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import pytest

from tests.reporting.test_summary import runs
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.evidence import statistics
from vaestudy.evidence.differences import difference_table, recorded_names
from vaestudy.reporting import runs_frame
from vaestudy.study.declaration import Study
from vaestudy.study.difference_request import DifferenceRequest, require_recorded

STUDY = Study(
    name="toy",
    doc="Does it?",
    base=RunConfig(),
    factors={"latent_dim": (2, 10, 20), "sigma": ("raw", "abs")},
    baseline={"latent_dim": 2, "sigma": "raw"},
    tabulate=("test/elbo", "test/kl"),
)
ONE = STUDY.model_copy(update={"factors": {"latent_dim": (2, 10, 20)}, "baseline": {"latent_dim": 2}})
PAIRED = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
NEAR = [0.9, 2.1, 2.8, 3.9, 5.2, 5.8]
APART = [0.0, 9.0, 3.0, 1.0, 7.0, 2.0]


def tidy(values: Mapping[tuple[int, str], list[float]], study: Study = STUDY, **columns: str) -> pd.DataFrame:
    """Return the tidy runs of some cells: (latent_dim, sigma) -> the ELBO of each seed."""
    frames = []
    for (D, sigma), elbos in values.items():
        frame = runs({(D, seed): elbo for seed, elbo in enumerate(elbos)}, **columns)
        frame["params.sigma"] = sigma
        frame["tags.config.key"] += sigma
        frame["run_id"] += sigma
        frames.append(frame)
    return runs_frame.tidy_runs(pd.concat(frames), study)


THREE = {(2, "raw"): PAIRED, (10, "raw"): NEAR, (20, "raw"): APART}


def request(against: str, *cells: str, columns: tuple[str, ...] = ("test/elbo",)) -> DifferenceRequest:
    def levels(text: str) -> tuple[tuple[str, str], ...]:
        return tuple((part.split("=")[0], part.split("=")[1]) for part in text.split(","))

    return DifferenceRequest(levels(against), tuple(map(levels, cells)), columns)


def test_each_difference_is_that_of_the_rule() -> None:
    table = difference_table(tidy(THREE, ONE), ONE, request("latent_dim=2"))
    full = table.full.set_index("latent_dim")
    assert list(full.index) == [10, 20]
    for D, values in ((10, NEAR), (20, APART)):
        expected = statistics.difference(dict(enumerate(values)), dict(enumerate(PAIRED)))
        assert full.loc[D, "test/elbo_diff"] == pytest.approx(expected.value)
        assert full.loc[D, "test/elbo_diff_ci95"] == pytest.approx(expected.high - expected.value)
        assert full.loc[D, "test/elbo_diff_how"] == expected.how
    assert full["test/elbo_diff_how"].tolist() == ["paired by seed", "pooled"]
    assert list(table.shown) == ["latent_dim", "Δ ELBO", "seeds"]
    mean, half = full.loc[20, "test/elbo_diff"], full.loc[20, "test/elbo_diff_ci95"]
    assert table.shown["Δ ELBO"][1] == f"{mean:+.2f} ± {half:.2f}"
    notes = "\n".join(table.notes)
    assert "Δ: the mean of a row minus that of latent_dim=2." in notes
    assert "interval of the difference over seeds" in notes
    assert "Paired here: ELBO of latent_dim=10." in notes
    own = statistics.mean(dict(enumerate(PAIRED)))
    assert f"latent_dim=2 itself, 6 seeds: ELBO {own.value:.2f} ± {own.high - own.value:.2f}." in notes
    assert "There is no Δ" not in notes


def test_the_other_way_round_has_the_other_sign() -> None:
    there = difference_table(tidy(THREE, ONE), ONE, request("latent_dim=2", "latent_dim=20")).full.iloc[0]
    back = difference_table(tidy(THREE, ONE), ONE, request("latent_dim=20", "latent_dim=2")).full.iloc[0]
    assert there["test/elbo_diff"] == pytest.approx(-back["test/elbo_diff"])
    assert there["test/elbo_diff_ci95"] == pytest.approx(back["test/elbo_diff_ci95"])


def test_a_factor_that_is_not_named_has_the_level_of_the_row() -> None:
    frame = tidy(THREE | {(2, "abs"): [5.0, 6.0, 9.0], (10, "abs"): [1.0, 1.5, 1.0]})
    table = difference_table(frame, STUDY, request("latent_dim=10", columns=()))
    pairs = list(zip(table.full["latent_dim"], table.full["sigma"], strict=True))
    assert pairs == [(2, "raw"), (2, "abs"), (20, "raw")]
    assert table.full["against_latent_dim"].tolist() == [10, 10, 10]
    assert table.full["against_sigma"].tolist() == ["raw", "abs", "raw"]
    assert table.full["test/elbo_diff"][1] == pytest.approx(20 / 3 - 3.5 / 3)
    assert list(table.shown) == ["latent_dim", "sigma", "Δ ELBO", "Δ KL", "seeds"]
    assert "minus that of latent_dim=10 and the row's own sigma." in "\n".join(table.notes)
    one = difference_table(frame, STUDY, request("latent_dim=2,sigma=raw"))
    assert len(one.full) == 4  # all cells but the one
    (row,) = difference_table(frame, STUDY, request("latent_dim=2,sigma=raw", "latent_dim=10,sigma=abs")).full.to_dict(
        "records"
    )
    assert row["run_ids"].split() == ["r100abs", "r101abs", "r102abs"]


def test_too_few_seeds_have_no_interval_and_runs_without_a_value_are_counted() -> None:
    table = difference_table(tidy({(2, "raw"): [1.0], (10, "raw"): [3.0]}, ONE), ONE, request("latent_dim=2"))
    assert table.shown["Δ ELBO"].tolist() == ["+2.00"]
    assert math.isnan(table.full["test/elbo_diff_ci95"][0])
    frame = tidy({(2, "raw"): [1.0, 2.0, math.nan], (10, "raw"): [3.0, 4.0, 5.0]}, ONE)
    table = difference_table(frame, ONE, request("latent_dim=2"))
    assert table.full["test/elbo_diff"][0] == 2.5
    assert "Up to 1 finished runs of a difference have no value of its metric." in table.notes


def test_numbers_that_may_not_be_ranked_are_never_in_one_column() -> None:
    frame = tidy(THREE, ONE)
    frame.loc[frame["latent_dim"] == 20, "params.likelihood"] = "gaussian"
    with pytest.raises(BadInput, match=r"nats of bernoulli and density .*--cells LEVELS limits the rows"):
        difference_table(frame, ONE, request("latent_dim=2"))
    assert len(difference_table(frame, ONE, request("latent_dim=2", "latent_dim=10")).full) == 1
    frame["test/bits_per_dim"] = 2.0
    assert len(difference_table(frame, ONE, request("latent_dim=2", columns=("test/bits_per_dim",))).full) == 2
    frame.loc[frame["latent_dim"] == 20, "tags.data.fingerprint"] = "another"
    with pytest.raises(BadInput, match="data sets"):
        difference_table(frame, ONE, request("latent_dim=2", columns=("test/bits_per_dim",)))


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (request("latent_dim=11"), ["--against", "level of latent_dim '11'", "choose from: 2, 10, 20"]),
        (request("latent_dim=2", "latent_dim=30"), ["--cells", "'30'"]),
        (request("samples=1"), ["factor of toy 'samples'", "choose from: latent_dim"]),
        (request("latent_dim=2", columns=("test/iwae_7",)), ["--columns", "'test/iwae_7'", "test/elbo"]),
        (request("latent_dim=2", "latent_dim=2"), ["no other cell"]),
    ],
)
def test_what_is_not_on_record(asked: DifferenceRequest, parts: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        require_recorded(asked, recorded_names(tidy(THREE, ONE), ONE))
    for part in parts:
        assert part in str(error.value)


def test_levels_that_were_not_run_together() -> None:
    frame = tidy(THREE | {(2, "abs"): [5.0, 6.0]})
    with pytest.raises(BadInput, match="latent_dim=10,sigma=abs: no finished run has these levels together"):
        require_recorded(request("latent_dim=10,sigma=abs"), recorded_names(frame, STUDY))
    with pytest.raises(BadInput, match="no row has such a cell beside it"):
        difference_table(frame, STUDY, request("latent_dim=10", "sigma=abs"))
