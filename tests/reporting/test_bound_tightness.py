"""How loose the bounds are: the numbers, the tables with their notes, and the picture, on runs made by hand."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from tests.support.studies import toy
from vaestudy.reporting.bound_tightness import scored_models, scored_runs, tightness, with_image_scores
from vaestudy.reporting.figures.bound_tightness import bound_tightness as drawn
from vaestudy.reporting.rankings import pairs
from vaestudy.reporting.tables.bound_tightness import bound_gaps, bound_tightness, ranking_notes
from vaestudy.study.declaration import Study

LABEL, SIMULATED = "50x4x4", "50x4x3"
NATS = 6 * math.log(2)
"""Nats of one bit per dimension, of images of 2 x 3 pixels."""
SETTINGS = {"ais_temperatures": "50", "ais_chains": "4", "ais_images": "4", "ais_simulated": "3", "ais_iwae": "[5]"}


def study() -> Study:
    return toy(
        base=toy().base.with_changes(pixels="dequantised"),
        factors={"likelihood": ("bernoulli", "gaussian", "discretised-logistic"), "latent_dim": (2, 3)},
        full={},
        baseline={"likelihood": "bernoulli", "latent_dim": 2},
        tabulate=("test/bits_per_dim",),
        figures=("bound_tightness",),
        tables=("bound_tightness", "bound_gaps"),
    )


def scores(prefix: str, ais: float, looseness: float, gap: float) -> dict[str, float]:
    found = {f"{prefix}ais_{LABEL}": ais, f"{prefix}looseness_elbo_{LABEL}": 2 * looseness,
             f"{prefix}looseness_iwae_5_{LABEL}": looseness, f"{prefix}bdmc_gap_{SIMULATED}": gap,
             f"{prefix}looseness_iwae_1_{LABEL}": 9.0, f"{prefix}ess_ais_{LABEL}": 2.5,
             f"{prefix}ess_iwae_5_{LABEL}": 2.0 if looseness > 5 else 4.0,
             f"{prefix}acceptance_ais_{LABEL}": 0.6}  # fmt: skip
    return {f"test/{name}": value for name, value in found.items()} | {
        f"test/{name}_se": 0.1 for name in found if not name.removeprefix(prefix).startswith("ess_")
    }


def runs() -> pd.DataFrame:
    """Return tidy runs of two seeds.

    log p(x) by AIS is -10 + D (seed 1: one more), of the Bernoulli itself -3, of its density 4. The looseness of the
    Gaussian is 8 nats, that of the others 1; its BDMC gap at D=3 is 2 nats.
    """
    rows = []
    for likelihood in ("bernoulli", "gaussian", "discretised-logistic"):
        for D in (2, 3):
            for seed in (0, 1):
                density = likelihood != "bernoulli"
                log_px, loose = -10.0 + D + seed, 8.0 if likelihood == "gaussian" else 1.0
                gap = 2.0 if (likelihood, D) == ("gaussian", 3) else 0.2
                values = scores("", log_px if density else -3.0, loose, gap)
                values |= {} if density else scores("continuous_bernoulli_", 4.0, 3.0, 0.3)
                ranked = log_px if density else 4.0
                offset = 0.0 if likelihood == "discretised-logistic" else 8.0
                values |= {f"test/bits_per_dim_ais_{LABEL}": offset - ranked / NATS,
                           f"test/bits_per_dim_ais_{LABEL}_se": 0.02,
                           f"test/approximation_gap_{LABEL}": 0.5, f"test/amortisation_gap_{LABEL}": 1.5}  # fmt: skip
                rows.append(values | {
                    "status": "FINISHED", "run_id": f"r{len(rows)}", "seed": seed, "likelihood": likelihood,
                    "latent_dim": D, "params.likelihood": likelihood, "params.latent_dim": str(D),
                    "params.subset": "null", "tags.data.shape": "2 x 3", "tags.data.name": "toy",
                    **{f"params.{name}": value for name, value in SETTINGS.items()},
                })  # fmt: skip
    return pd.DataFrame(rows)


def image_scores(row: pd.Series) -> dict[str, list[float]]:
    """Return scores of four images whose means are those of a run."""
    found = {}
    for prefix in ("", "continuous_bernoulli_"):
        if row.get(f"test/{prefix}ais_{LABEL}") == row.get(f"test/{prefix}ais_{LABEL}"):
            ais = row.get(f"test/{prefix}ais_{LABEL}")
            if ais is None:
                continue
            means = {"ais": ais, "elbo": ais - row[f"test/{prefix}looseness_elbo_{LABEL}"],
                     "iwae_5": ais - row[f"test/{prefix}looseness_iwae_5_{LABEL}"]}  # fmt: skip
            found |= {f"{prefix}{name}": [mean + 5 * shift for shift in (-1, 0, 0, 1)] for name, mean in means.items()}
    return found


def with_images() -> pd.DataFrame:
    frame = runs()
    return with_image_scores(
        frame, {row["run_id"]: json.dumps({"ais_by_image": image_scores(row)}).encode() for _, row in frame.iterrows()}
    )


def test_the_numbers_of_each_cell() -> None:
    found = {row.name: row for row in tightness(runs(), study())}
    assert list(found) == [
        name + f", D={D}"
        for names in (("bernoulli", "bernoulli, as the density it implies"), ("gaussian",), ("discretised-logistic",))
        for D in (2, 3)
        for name in names
    ]
    gaussian = found["gaussian, D=3"]
    assert gaussian.bits["ais"] == pytest.approx(8 - (-6.5) / NATS)  # the mean of -7 and -6
    assert gaussian.bits["elbo"] - gaussian.bits["ais"] == pytest.approx(16 / NATS)
    assert gaussian.bits["iwae_5"] - gaussian.bits["ais"] == pytest.approx(8 / NATS)
    assert gaussian.looseness == {"elbo": (16.0, pytest.approx(0.1)), "iwae_5": (8.0, pytest.approx(0.1))}
    assert (gaussian.gap[0], gaussian.is_loose, gaussian.ess) == (2.0, True, 2.5)
    assert found["bernoulli, D=2"].bits == {}  # its nats are of a kind of their own
    assert found["bernoulli, D=2"].approximation[0] == 0.5
    implied = found["bernoulli, as the density it implies, D=2"]
    assert implied.bits["ais"] == pytest.approx(8 - 4 / NATS)
    assert implied.looseness["elbo"][0] == 6.0
    assert math.isnan(implied.approximation[0])


def test_no_column_ranks_quantities_of_two_kinds() -> None:
    table = bound_tightness(runs(), study())
    assert table is not None
    assert len(table.shown) == 6  # the Bernoulli by the density that it implies alone
    assert list(table.shown) == [
        "likelihood", "latent_dim", "ELBO", "IWAE 5", "ESS 5", "AIS", "ESS of AIS", "accepted", "BDMC gap, nats"
    ]  # fmt: skip
    row = table.shown.set_index(["likelihood", "latent_dim"]).loc[("gaussian", "3")]
    assert row["AIS"] == f"{8 + 6.5 / NATS:.4f} ± 0.0200"
    assert row["BDMC gap, nats"] == "2.00 ± 0.10 (loose)"
    assert (row["ESS 5"], row["ESS of AIS"]) == ("2.0", "2.5")
    assert (
        "ESS 5 is below 2.5 in 2 of 6 rows (gaussian, D=2; gaussian, D=3): there IWAE 5 says more about q(z|x) than "
        "about p(x)."
    ) in table.notes
    gaps = bound_gaps(runs(), study())
    assert gaps is not None
    assert list(gaps.shown) == [
        "arm", "D", "AIS - ELBO", "approximation", "amortisation", "AIS - IWAE 5", "BDMC gap"
    ]  # fmt: skip
    assert len(gaps.shown) == 8


def test_the_note_names_cells_in_which_annealing_is_not_tight() -> None:
    table = bound_tightness(runs(), study())
    assert table is not None
    (line,) = [note for note in table.notes if note.startswith("(loose)")]
    assert "above 1 nat, or a bound is as far above AIS, in 1 of 6 rows (gaussian, D=3)" in line
    tight = runs().query("likelihood != 'gaussian'")
    table = bound_tightness(tight, study())
    assert table is not None
    assert not any("loose)" in note for note in table.notes)
    unknown = runs().drop(columns=[f"test/{p}bdmc_gap_{SIMULATED}" for p in ("", "continuous_bernoulli_")])
    table = bound_tightness(unknown, study())
    assert table is not None
    assert "The error of AIS itself was not measured (--ais-simulated 0)." in table.notes


def test_a_bound_that_is_far_above_annealing_shows_that_this_is_not_tight() -> None:
    """On the test images themselves, whatever the gap is of images that the model draws."""
    frame = runs()
    mine = (frame["likelihood"] == "discretised-logistic") & (frame["latent_dim"] == 2)
    frame.loc[mine, f"test/looseness_iwae_5_{LABEL}"] = -1.5
    assert [row.name for row in tightness(frame, study()) if row.is_loose] == [
        "gaussian, D=3", "discretised-logistic, D=2"
    ]  # fmt: skip


def test_differences_to_the_baseline_are_paired_over_the_images() -> None:
    """A row's images are all better or worse by the same; so the paired difference has no error, unlike the row."""
    table = bound_tightness(with_images(), study())
    assert table is not None
    shown = table.shown.set_index(["likelihood", "latent_dim"])["Δ AIS"]
    assert shown[("bernoulli", "2")] == ""
    assert shown[("gaussian", "3")] == f"{(4 + 6.5) / NATS:+.4f} ± 0.0000"  # log p(x) is -6.5, of the baseline 4
    assert shown[("discretised-logistic", "2")] == f"{-8 + (4 + 7.5) / NATS:+.4f} ± 0.0000"
    row = table.full.set_index(["likelihood", "latent_dim"]).loc[("gaussian", 3)]
    assert row["bits_per_dim_ais_diff"] == pytest.approx(10.5 / NATS)
    assert any("baseline, likelihood=bernoulli, latent_dim=2; ± its standard error, paired" in n for n in table.notes)
    spread = with_images()
    mine = spread.query("likelihood == 'gaussian' and latent_dim == 3").index
    for place in mine:
        spread.at[place, "ais_by_image"] = spread.at[place, "ais_by_image"] | {"ais": [-10.0, -6.0, -6.0, -4.0]}
    table = bound_tightness(spread, study())
    assert table is not None
    d = -(pd.Series([-10.0, -6.0, -6.0, -4.0]) - pd.Series([-1.0, 4.0, 4.0, 9.0])) / NATS
    row = table.full.set_index(["likelihood", "latent_dim"]).loc[("gaussian", 3)]
    assert row["bits_per_dim_ais_diff"] == pytest.approx(d.mean())
    assert row["bits_per_dim_ais_diff_se"] == pytest.approx(d.std() / 2)


def test_rankings_are_those_of_the_table() -> None:
    """By the ELBO the Bernoulli's density is first of the two densities, and so it is by AIS."""
    frame = with_images()
    assert scored_runs(frame) == frame["run_id"].tolist()
    models = {model.name: model for model in scored_models(frame, study())}
    assert models["gaussian, D=3"].scores["ais"].mean() == pytest.approx(-(8 + 6.5 / NATS))
    assert models["discretised-logistic, D=3"].scores["elbo"].mean() == pytest.approx((-6.5 - 2) / NATS)
    assert models["bernoulli, D=2"].unit == "nats of bernoulli"
    units = {(pair.first.unit, pair.second.unit) for pair in pairs(list(models.values()), ("elbo",))}
    assert units == {("bits/dim",) * 2, ("nats of bernoulli",) * 2}
    assert ranking_notes(frame, study())[0].startswith("No ranking by ELBO or IWAE 5 changes by AIS")
    assert ranking_notes(runs(), study())[0].startswith("Rankings are not compared")


def test_a_ranking_by_looseness_is_found() -> None:
    """By AIS the Gaussian at D=3 is better by a bit than at D=2; its bound is made looser by two."""
    frame = with_images()
    worse = frame["run_id"].isin(frame.query("likelihood == 'gaussian' and latent_dim == 3")["run_id"])
    for row in frame.index[worse]:
        frame.at[row, "ais_by_image"] = frame.at[row, "ais_by_image"] | {"elbo": [-40.0, -40.0, -40.0, -40.5]}
    same = [frame.at[row, "ais_by_image"] for row in frame.index]
    for scores_of_run in same:
        scores_of_run["ais"] = [scores_of_run["ais"][1]] * 4
    lines = ranking_notes(frame, study())
    (line,) = [
        line
        for line in lines
        if line.startswith("The ranking of gaussian, D=2 and gaussian, D=3 changes: by ELBO gaussian, D=2")
    ]
    assert line.endswith("AIS is not tight for gaussian, D=3.")  # it is ahead, and its error would put it further ahead
    frame.loc[(frame["likelihood"] == "gaussian") & (frame["latent_dim"] == 2), f"test/bdmc_gap_{SIMULATED}"] = 1.01
    (line,) = [line for line in ranking_notes(frame, study()) if line.startswith("The ranking of gaussian, D=2 and")]
    assert line.endswith("This is not decided: the BDMC gap of gaussian, D=2 is as large as its difference by AIS.")


def test_nothing_is_made_of_runs_without_annealing() -> None:
    frame = runs().drop(columns=[column for column in runs() if "50x4" in column])
    for make in (bound_tightness, bound_gaps, drawn):
        assert make(frame, study()) is None


def test_the_picture_has_a_panel_for_each_d_and_labels_its_points() -> None:
    figure = drawn(runs(), study())
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["D=2", "D=3"]
    arms = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert arms == ["bernoulli", "bernoulli, as the density it implies", "gaussian", "discretised-logistic"]
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts[:3] == [f"{8 - 4 / NATS:.3f}", f"{8 + 6.5 / NATS:.3f}", f"{6.5 / NATS:.3f}"]
    assert texts[3:] == ["ELBO", "IWAE 5", "AIS", "AIS + gap"]
    left, right = figure.axes[0].get_xlim()
    assert left < -16
    assert right > 2
    assert "hollow: AIS is not tight" in " ".join(figure.get_suptitle().split())
