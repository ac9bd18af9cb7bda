"""The front of rate and distortion: points and intervals by hand, collapse, the table, and what the picture shows."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from tests.support.studies import run_study, toy
from vaestudy.reporting.figures.rate_distortion import rate_distortion
from vaestudy.reporting.rate_distortion import fronts, is_collapsed
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.rate_distortion import front
from vaestudy.reporting.tables.summary import summarise
from vaestudy.study.declaration import Study

BETAS, DS = (0.1, 1.0, 10.0), (2, 20)


def study(**changes: object) -> Study:
    fields = {
        "base": toy().base.with_changes(pixels="dequantised"),
        "factors": {"likelihood": ("continuous-bernoulli", "gaussian"), "likelihood_scale": ("per-pixel", "fixed"),
                    "likelihood_sigma": (1.0,), "latent_dim": DS, "beta": BETAS},
        "full": {},
        "leave_out": ({"likelihood": "gaussian", "likelihood_scale": "per-pixel"},),
        "baseline": {"likelihood": "gaussian", "likelihood_scale": "fixed", "likelihood_sigma": 1.0, "latent_dim": 2,
                     "beta": 1.0},
        "tabulate": ("test/elbo", "test/kl", "test/log_likelihood", "test/active_units"),
        "figures": ("rate_distortion",),
        "tables": ("front",),
    }  # fmt: skip
    return toy(**(fields | changes))


def runs() -> pd.DataFrame:
    """Return tidy runs on a known front: rate 10 D / (1 + 9 beta), distortion 700 + 400 / (1 + rate).

    Seeds differ by 0.5 nats in both. The Gaussian's runs at beta = 10 are collapsed, at D=2 in one of two seeds.
    """
    rows = []
    for likelihood, scale, sigma in (("continuous-bernoulli", "per-pixel", None), ("gaussian", "fixed", 1.0)):
        for D in DS:
            for beta in BETAS:
                for seed in (0, 1):
                    gone = likelihood == "gaussian" and beta == 10 and (D == 20 or seed == 0)
                    rate = 0.001 if gone else 10 * D / (1 + 9 * beta) + 0.5 * seed
                    distortion = 700 + 400 / (1 + rate) + 0.5 * seed
                    rows.append({
                        "status": "FINISHED", "run_id": f"r{len(rows)}", "seed": seed, "likelihood": likelihood,
                        "likelihood_scale": scale, "likelihood_sigma": sigma, "latent_dim": D, "beta": beta,
                        "test/kl": rate, "test/log_likelihood": -distortion, "test/elbo": -distortion - rate,
                        "test/active_units": 0.0 if gone else float(D), "params.subset": "null",
                        "params.likelihood": likelihood, "params.pixels": "dequantised", "tags.data.name": "toy",
                        "tags.data.fingerprint": "f" * 64, "seconds/total": 1.0, "tags.code.revision": "r",
                        "tags.code.state": "clean", **{f"tags.data.{part}": "9" for part in ("train", "valid", "test")},
                    })  # fmt: skip
    return pd.DataFrame(rows)


def test_points_and_intervals() -> None:
    found = fronts(runs(), study())
    assert {
        label: {D: [p.beta for p in points] for D, points in curves.items()} for label, curves in found.items()
    } == {label: {D: list(BETAS) for D in DS} for label in ("continuous-bernoulli", "gaussian, fixed, σ=1")}
    point = found["continuous-bernoulli"][2][1]
    rates = pd.Series([2.0, 2.5])
    distortions = pd.Series([700 + 400 / 3, 700.5 + 400 / 3.5])
    assert point.rate == pytest.approx(interval(rates))
    assert point.distortion == pytest.approx(interval(distortions))
    assert point.elbo == pytest.approx(-(rates + distortions).mean())
    assert point.active == (2.0, 0.0)
    collapsed = {(D, p.beta): p.collapsed for D, curve in found["gaussian, fixed, σ=1"].items() for p in curve}
    assert {key: count for key, count in collapsed.items() if count} == {(2, 10.0): 1, (20, 10.0): 2}


@pytest.mark.parametrize(("active", "rate", "expected"), [(0, 0.05, True), (0, 0.5, False), (1, 0.05, False)])
def test_collapsed_is_no_active_unit_and_no_rate(active: float, rate: float, expected: bool) -> None:
    frame = pd.DataFrame({"test/active_units": [active], "test/kl": [rate]})
    assert is_collapsed(frame).tolist() == [expected]


def test_the_table_names_the_best_beta_and_the_collapse() -> None:
    table = front(runs(), study())
    assert table is not None
    full = table.full.set_index(["arm", "latent_dim"])
    assert full["best_beta"].to_dict() == {
        ("continuous-bernoulli", 2): 0.1,
        ("continuous-bernoulli", 20): 1.0,
        ("gaussian, fixed, σ=1", 2): 0.1,
        ("gaussian, fixed, σ=1", 20): 1.0,
    }
    best = full.loc[("gaussian, fixed, σ=1", 2)]
    frame = runs().query("likelihood == 'gaussian' and latent_dim == 2").set_index(["beta", "seed"])["test/elbo"]
    assert best["gain"] == pytest.approx((frame[0.1] - frame[1.0]).mean())
    assert math.isnan(best["gain_ci95"])  # the two seeds chose it
    assert best["rate"] == pytest.approx(20 / 1.9 + 0.25)
    assert math.isnan(full.loc[("gaussian, fixed, σ=1", 20)]["gain"])
    shown = table.shown.set_index(["arm", "D"])
    assert shown["best beta"].tolist() == ["0.1 (edge)", "1", "0.1 (edge)", "1"]
    assert shown["collapsed at beta"].tolist() == ["none", "none", "10 (1 of 2)", "10"]


def drawn(frame: pd.DataFrame, of: Study | None = None) -> Figure:
    figure = rate_distortion(frame, of or study())
    assert figure is not None
    return figure


def texts(figure: Figure, panel: int) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def test_the_picture_has_a_curve_for_each_d_and_lines_of_equal_elbo() -> None:
    """The first row of panels has the fronts, the second the active units."""
    figure = drawn(runs())
    assert [ax.get_title() for ax in figure.axes] == ["continuous-bernoulli", "gaussian, fixed, σ=1", "", ""]
    for ax in figure.axes[:2]:
        curves = {container.get_label(): container[0] for container in ax.containers}
        assert list(curves) == ["D=2", "D=20"]
        errors = [line for container in ax.containers for line in container[2]]
        assert len(errors) == 4  # in both directions for each curve
        lines = [line for line in ax.lines if len(line.get_xdata()) == 2]
        totals = [line.get_xdata() + line.get_ydata() for line in lines]
        assert len(totals) >= 3
        assert all(total[0] == pytest.approx(total[1]) for total in totals)
        written = {text.get_text() for text in ax.texts if text.get_text().startswith("ELBO")}
        assert written
        assert written <= {f"ELBO {-total[0]:g}".replace("-", "−") for total in totals}
    x = figure.axes[1].containers[0][0].get_xdata()
    assert x == pytest.approx([20 / 1.9 + 0.25, 2.25, (0.001 + 20 / 91 + 0.5) / 2])
    assert figure.axes[2].get_ylim()[0] > -3


def test_points_are_labelled_by_beta_and_labels_do_not_overlap() -> None:
    figure = drawn(runs())
    figure.draw_without_rendering()
    for panel in (0, 1):
        assert {"0.1", "1", "10"} <= set(texts(figure, panel))
        shown = [t for t in figure.axes[panel].texts if not t.get_text().startswith("ELBO")]
        boxes = [t.get_window_extent() for t in shown]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_collapsed_points_have_a_ring() -> None:
    figure = drawn(runs())
    rings = [sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)) for ax in figure.axes]
    assert rings == [0, 2, 0, 2]
    (legend,) = figure.legends
    assert "posterior collapse" in legend.get_texts()[0].get_text()
    none = drawn(runs().query("beta < 10"))
    assert not any("collapse" in text.get_text() for text in none.legends[0].get_texts())


def test_one_panel_where_beta_is_the_only_factor() -> None:
    frame = runs().query("likelihood == 'gaussian' and latent_dim == 2")
    alone = study(factors={"beta": BETAS}, baseline={"beta": 1.0}, leave_out=(),
                  base=toy().base.with_changes(pixels="dequantised", likelihood="gaussian", latent_dim=2))  # fmt: skip
    figure = drawn(frame.drop(columns="latent_dim"), alone)
    assert [ax.get_title() for ax in figure.axes] == ["gaussian", ""]
    assert [c.get_label() for c in figure.axes[0].containers] == ["D=2"]


def test_a_likelihood_without_an_option_keeps_its_rows() -> None:
    """Its level of the option is None, which pandas reads as nan."""
    table = summarise(runs(), study()).full
    assert len(table) == 2 * len(DS) * len(BETAS)
    assert table["likelihood"].value_counts().to_dict() == {"continuous-bernoulli": 6, "gaussian": 6}


def test_a_study_of_beta_end_to_end(mlruns: Path) -> None:
    small = study(
        factors={"likelihood": ("continuous-bernoulli", "gaussian"), "likelihood_scale": ("per-pixel", "fixed"),
                 "likelihood_sigma": (1.0,), "beta": (10.0,)},
        baseline={"likelihood": "gaussian", "likelihood_scale": "fixed", "likelihood_sigma": 1.0, "beta": 10.0},
    )  # fmt: skip
    assert run_study(small, "--seeds", "1") == 0
    folder = mlruns / "tables" / "toy"
    assert (folder / "rate_distortion.png").stat().st_size > 10_000
    assert pd.read_csv(folder / "table.csv")["beta"].tolist() == [10.0, 10.0]
    assert "every score is at beta = 1" in (folder / "table.md").read_text()
    assert pd.read_csv(folder / "front.csv")["arm"].tolist() == ["continuous-bernoulli", "gaussian, fixed, σ=1"]


def test_the_gain_of_the_best_beta_has_an_interval_on_fresh_seeds_only() -> None:
    """Two more seeds of the two betas that the row compares took no part in the choice."""
    fresh = runs().query("likelihood == 'gaussian' and latent_dim == 2 and beta < 10")
    fresh = fresh.assign(seed=fresh["seed"] + 2, run_id="fresh")
    fresh.loc[fresh["beta"] == 0.1, "test/elbo"] += 1.0 + fresh["seed"]
    table = front(pd.concat([runs(), fresh], ignore_index=True), study())
    assert table is not None
    full = table.full.set_index(["arm", "latent_dim"])
    best, other = full.loc[("gaussian, fixed, σ=1", 2)], full.loc[("continuous-bernoulli", 2)]
    elbos = fresh.set_index(["beta", "seed"])["test/elbo"]
    assert (best["gain"], best["gain_ci95"]) == pytest.approx(interval(elbos[0.1] - elbos[1.0]))
    assert (best["fresh_seeds"], other["fresh_seeds"]) == (2, 0)
    assert math.isnan(best["elbo_ci95"])
    assert any("the seeds that all of them have: 0, 1." in line for line in table.notes)
