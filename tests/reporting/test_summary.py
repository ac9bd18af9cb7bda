"""The summary: intervals against a textbook, pairing by seed, and the runs that must not share a column."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from vaestudy.config.run_config import RunConfig
from vaestudy.reporting import runs_frame, sweep_page
from vaestudy.reporting.tables import formats, summary
from vaestudy.study.declaration import Study

STUDY = Study(
    name="toy",
    doc="Does it?",
    base=RunConfig(),
    factors={"latent_dim": (2, 10)},
    baseline={"latent_dim": 2},
    tabulate=("test/elbo", "test/kl"),
)


def runs(values: dict[tuple[int, int], float], **changes: str) -> pd.DataFrame:
    """Return runs in the form in which the tracker returns them."""
    rows = [
        {
            "run_id": f"r{D}{seed}",
            "status": "FINISHED",
            "start_time": 10 * D + seed,
            "params.latent_dim": str(D),
            "params.seed": str(seed),
            "params.pixels": "grey",
            "params.subset": "null",
            "params.figures": '["prior_means"]',
            "params.likelihood": "bernoulli",
            "tags.config.key": f"{D}-{seed}",
            "tags.data.fingerprint": "f" * 64,
            "tags.data.name": "toy",
            "tags.data.train": "10",
            "tags.data.valid": "0",
            "tags.data.test": "5",
            "tags.code.revision": "abc",
            "tags.code.state": "clean",
            "metrics.test/elbo": value,
            "metrics.test/kl": 1.0,
            "metrics.seconds/total": 2.0,
            **changes,
        }
        for (D, seed), value in values.items()
    ]
    return pd.DataFrame(rows)


VALUES = {(2, 0): -150.0, (2, 1): -152.0, (2, 2): -151.0, (10, 0): -110.0, (10, 1): -111.0, (10, 2): -112.0}


def test_interval_of_a_textbook() -> None:
    """The interval of three values with mean 2 and standard deviation 1 is 2 ± 4.3027 / sqrt 3."""
    mean, half = runs_frame.interval(pd.Series([1.0, 2.0, 3.0]))
    assert mean == 2
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(runs_frame.interval(pd.Series([1.0]))[1])
    assert math.isnan(runs_frame.interval(pd.Series([], dtype=float))[0])


def test_the_interval_covers_at_its_rate() -> None:
    draws = np.random.default_rng(1).normal(5, 2, size=(4000, 3))
    covered = [abs(m - 5) <= h for m, h in (runs_frame.interval(pd.Series(d)) for d in draws)]
    assert abs(np.mean(covered) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_one_row_a_cell() -> None:
    full = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY).full.set_index("latent_dim")
    assert full["test/elbo"].tolist() == [-151.0, -111.0]
    assert full["seeds"].tolist() == [3, 3]
    assert full["failed"].tolist() == [0, 0]
    assert full.loc[10, "test/elbo_diff"] == 40
    paired = pd.Series([40.0, 41.0, 39.0])
    assert full.loc[10, "test/elbo_diff_ci95"] == pytest.approx(runs_frame.interval(paired)[1])
    assert math.isnan(full.loc[2, "test/elbo_diff"])
    assert full.loc[10, "run_ids"] == "r100 r101 r102"


def test_pairs_only_seeds_that_both_have() -> None:
    values = {k: v for k, v in VALUES.items() if k != (2, 2)}
    full = summary.summarise(runs_frame.tidy_runs(runs(values), STUDY), STUDY).full.set_index("latent_dim")
    assert full.loc[10, "test/elbo_diff"] == 40.5
    assert full["seeds"].tolist() == [2, 3]


def test_failed_runs_are_counted_and_in_no_mean() -> None:
    tracked = runs(VALUES)
    tracked.loc[tracked["run_id"] == "r101", ["status", "metrics.test/elbo"]] = ["FAILED", 1e9]
    table = summary.summarise(runs_frame.tidy_runs(tracked, STUDY), STUDY)
    row = table.full.set_index("latent_dim").loc[10]
    assert (row["seeds"], row["failed"], row["test/elbo"]) == (2, 1, -111.0)
    assert any("1 runs failed" in line for line in table.notes)


def test_a_retried_cell_counts_once() -> None:
    crashed = runs({(10, 0): -999.0})
    crashed["status"], crashed["run_id"] = "FAILED", "old"
    tidy = runs_frame.tidy_runs(pd.concat([crashed, runs(VALUES)]), STUDY)
    assert len(tidy) == 6
    assert "old" not in set(tidy["run_id"])


@pytest.mark.parametrize(
    ("column", "words"),
    [("tags.data.fingerprint", "data sets"), ("params.subset", "subsets"), ("params.pixels", "pixel protocols")],
)
def test_what_may_not_be_mixed(column: str, words: str) -> None:
    table = runs(VALUES)
    table.loc[0, column] = "other"
    with pytest.raises(runs_frame.Incomparable, match=words):
        summary.summarise(runs_frame.tidy_runs(table, STUDY), STUDY)


@pytest.mark.parametrize(
    ("other", "words"), [("gaussian", "bernoulli and density"), ("categorical-256", "bernoulli and mass")]
)
@pytest.mark.parametrize("metric", ["test/elbo", "test/iwae_100", "test/log_likelihood"])
def test_nats_of_two_kinds_of_likelihood_do_not_share_a_column(other: str, words: str, metric: str) -> None:
    table = runs(VALUES)
    table.loc[0, "params.likelihood"] = other
    with pytest.raises(runs_frame.Incomparable, match=words):
        runs_frame.require_comparable(table, ["test/bits_per_dim", metric])
    runs_frame.require_comparable(table, ["test/active_units", "test/bits_per_dim", "test/mse"])


def test_shown_table() -> None:
    shown = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY).shown
    assert list(shown) == ["latent_dim", "ELBO", "Δ ELBO", "KL", "seeds", "failed", "s/run"]
    assert shown.loc[0, "ELBO"] == "-151.00 ± 2.48"
    assert shown.loc[0, "Δ ELBO"] == ""
    assert shown.loc[1, "Δ ELBO"].startswith("+40.00 ± ")


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [(0.12345, 0.01, "0.123 ± 0.01"), (12345.6, 78.91, "12,346 ± 78.9"), (5.6639e9, 1.2176e12, "5.66e9 ± 1.22e12"),
     (-999_999.0, math.nan, "-999,999"), (-4.67e6, 0.0, "-4.67e6 ± 0"), (math.nan, 1.0, "")],
)  # fmt: skip
def test_numbers_of_any_size(mean: float, half: float, text: str) -> None:
    assert formats.three_digits(mean, half) == text


def test_no_heading_breaks_a_markdown_table() -> None:
    assert not [text for text in formats.LABELS.values() if "|" in text]


def test_what_the_test_images_decide_stands_below() -> None:
    metrics = {"test/bits_per_dim": 5.0, "test/bits_per_dim_se": 0.0123, "test/mass_at_0": 0.7,
               "test/mass_at_0_data": 0.8061, "test/elbo_se": 0.3}  # fmt: skip
    table = runs(VALUES, **{f"metrics.{name}": value for name, value in metrics.items()})  # type: ignore[arg-type]
    study = Study(**(vars(STUDY) | {"tabulate": ("test/bits_per_dim", "test/mass_at_0", "test/mass_near_1")}))
    notes = summary.summarise(runs_frame.tidy_runs(table, study), study).notes
    assert "Of the test pixels themselves: 0.806 on level 0." in notes
    assert any("one run's bits/dim over the test images: at most 0.012 (" in line for line in notes)
    assert not any("run's ELBO" in line for line in notes)


def test_the_note_on_the_standard_error_names_the_worst_row() -> None:
    table = runs(VALUES, **{"metrics.test/elbo_se": 0.3})  # type: ignore[arg-type]
    table.loc[table["params.latent_dim"] == "10", "metrics.test/elbo_se"] = [0.5, 0.7, 0.9]
    table.loc[table["params.latent_dim"] == "2", "metrics.test/elbo_se"] = [0.1, 0.1, 1.0]
    notes = summary.summarise(runs_frame.tidy_runs(table, STUDY), STUDY).notes
    assert any("ELBO over the test images: at most 0.70 (latent_dim=10);" in line for line in notes)


class TestEffectiveNumbers:
    """The ESS stands beside each importance-weighted score, and a note says where it is below 10."""

    @staticmethod
    def table(study: Study, frame: pd.DataFrame) -> summary.Table:
        return summary.summarise(runs_frame.tidy_runs(frame, study), study)

    def test_beside_iwae(self) -> None:
        study = STUDY.model_copy(update={"tabulate": ("test/iwae_1", "test/iwae_100", "test/kl")})
        frame = runs(VALUES, **{f"metrics.test/{name}": 1.0 for name in ("iwae_1", "iwae_100", "ess_1")})  # type: ignore[arg-type]
        frame["metrics.test/ess_100"] = [20.0, 22.0, 24.0, 9.0, 9.5, 10.0]  # at D=2, then at D=10
        found = self.table(study, frame)
        assert list(found.shown)[1:6] == ["IWAE 1", "Δ IWAE 1", "IWAE 100", "ESS 100", "KL"]
        assert list(found.shown["ESS 100"]) == ["22.0", "9.5"]
        assert list(found.full["test/iwae_100_ess"]) == [22.0, 9.5]
        low = [line for line in found.notes if "below 10" in line]
        assert low == [
            "ESS 100 is below 10 in 1 of 2 rows (latent_dim=10): there IWAE 100 says more about q(z|x) than about "
            "p(x). `vaestudy evaluate RUN --ais` measures how loose it is."
        ]
        frame["metrics.test/ess_100"] = 10.0
        assert not any("below 10" in line for line in self.table(study, frame).notes)

    @pytest.mark.parametrize(
        ("likelihood", "column"), [("bernoulli", "continuous_bernoulli_ess_50"), ("gaussian", "ess_50")]
    )
    def test_beside_bits_per_dim(self, likelihood: str, column: str) -> None:
        """For a Bernoulli it is the ESS of the density that it implies, and not that of its own weights."""
        metrics = ("bits_per_dim", "mean_matched_bits_per_dim")
        study = STUDY.model_copy(update={"tabulate": tuple(f"test/{name}" for name in metrics)})
        values = {"ess_50": 30.0, "mean_matched_ess_50": 4.0, **dict.fromkeys(metrics, 5.0), column: 3.0}
        changes = {f"metrics.test/{name}": value for name, value in values.items()}
        frame = runs(VALUES, **changes | {"params.likelihood": likelihood, "params.iwae": "[1, 50]"})  # type: ignore[arg-type]
        found = self.table(study, frame)
        assert set(found.shown["ESS of bits/dim"]) == {"3.0"}
        assert set(found.shown["ESS of mean_matched_bits_per_dim"]) == {"4.0"}
        assert any("ESS of bits/dim is below 10 in all rows" in line for line in found.notes)

    def test_runs_of_earlier_versions(self) -> None:
        """Their Bernoulli has no ESS of the density that it implies; its own is not shown in its place."""
        study = STUDY.model_copy(update={"tabulate": ("test/bits_per_dim",)})
        changes = {"metrics.test/bits_per_dim": 5.0, "metrics.test/ess_50": 30.0, "params.iwae": "[1, 50]"}
        found = self.table(study, runs(VALUES, **changes))  # type: ignore[arg-type]
        assert not [column for column in found.shown if "ESS" in column]
        assert not any("ESS" in line for line in found.notes)


def test_a_description_keeps_whole_rows_and_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    table = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY)
    complete = sweep_page.description(STUDY, table, table.notes, False, "0123", ())
    assert "| 10 |" in complete
    monkeypatch.setattr(sweep_page, "LONGEST_DESCRIPTION", len(complete) - 1)
    cut = sweep_page.description(STUDY, table, table.notes, False, "0123", ())
    assert len(cut) < len(complete)
    assert "| 2 |" in cut
    assert "| 10 |" not in cut
    assert "The first 1 of 2 rows" in cut
    assert cut.endswith(complete[-100:])


def test_a_baseline_that_was_not_run() -> None:
    """There is no Δ then, and a line says so; the same for a metric that no run has."""
    others = {key: value for key, value in VALUES.items() if key[0] != 2}
    study = STUDY.model_copy(update={"tabulate": ("test/elbo", "test/iwae_100")})
    table = summary.summarise(runs_frame.tidy_runs(runs(others), study), study)
    assert not [column for column in table.shown if "Δ" in column]
    assert "There is no Δ: no run of the baseline, latent_dim=2, has finished." in table.notes
    assert "Not in the table, as no run has it: test/iwae_100." in table.notes
    assert "Δ: mean difference to latent_dim=2 at the same seed." not in table.notes


def test_five_seeds_give_the_probability_of_a_better_run() -> None:
    """Of the 25 pairs, the row with D=10 has the higher ELBO in 20."""
    values = {(2, seed): -100.0 - seed for seed in range(5)} | {(10, seed): -99.5 - seed for seed in range(4)}
    tidy = runs_frame.tidy_runs(runs(values | {(10, 4): -103.5}), STUDY)
    table = summary.summarise(tidy, STUDY)
    pairs = [(row > base) for row in (-99.5, -100.5, -101.5, -102.5, -103.5) for base in range(-104, -99)]
    assert table.full["improvement"].tolist()[1] == pytest.approx(sum(pairs) / 25)
    first, second = table.shown["P(better)"]
    assert first == ""
    assert re.fullmatch(rf"{sum(pairs) / 25:.2f} \[0\.\d\d, [01]\.\d\d\]", second)
    assert any(note.startswith("P(better): ") for note in table.notes)


def test_fewer_seeds_give_none() -> None:
    table = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY)
    assert "P(better)" not in table.shown


def test_a_run_without_a_value_is_in_no_mean_and_is_named() -> None:
    """The interval is that of the values that are there. Seeds without a value must not make it narrower."""
    tracked = runs(VALUES)
    tracked.loc[tracked["run_id"] == "r101", "metrics.test/elbo"] = math.nan
    table = summary.summarise(runs_frame.tidy_runs(tracked, STUDY), STUDY)
    row = table.full.set_index("latent_dim").loc[10]
    assert row["test/elbo"] == -111
    assert row["test/elbo_ci95"] == pytest.approx(12.706205 * math.sqrt(2) / math.sqrt(2), rel=1e-6)
    assert "No ELBO in 1 of 3 runs of latent_dim=10: its mean is over the other runs." in table.notes


def test_runs_without_seconds_have_a_table() -> None:
    tracked = runs(VALUES).drop(columns="metrics.seconds/total")
    assert summary.summarise(runs_frame.tidy_runs(tracked, STUDY), STUDY).shown["s/run"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-153205151059513496261769702670336.0, "-1.53e32"), (1e9, "1.00e9"), (-123456789.5, "-123456789.50")],
)
def test_a_score_of_any_size_is_short(value: float, text: str) -> None:
    assert formats.number_text(value, ".2f") == text
    assert formats.number_text(abs(value), ".2f", "+") == "+" + text.lstrip("-")
