"""Bounds at equal cost: interpolation by hand, the Pareto set, the loss of one draw, the predicted L, the figures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from vaestudy.cli.study import study_main
from vaestudy.config.registry import STUDY_FIGURES
from vaestudy.config.run_config import RunConfig
from vaestudy.reporting import cost_curves
from vaestudy.reporting.figures import gradient_noise
from vaestudy.reporting.tables import cost
from vaestudy.study.declaration import Level, Study
from vaestudy.study.further_factors import with_factors
from vaestudy.training.gradient_noise import GROUPS, STAGES, best_samples

MILESTONES = (100, 1_000, 10_000)


def study(**changes: object) -> Study:
    fields = {
        "name": "toy",
        "doc": "Is one draw enough?\n\nMinutes: 0",
        "base": RunConfig(dataset="mnist-5k", subset=60, epochs=2, hidden=(16,), iwae=(1, 100), figures=(),
                          milestones=(30, 90), gradient_images=20, gradient_estimators=("stl",)),
        "factors": {"minibatch": (20, 100), "samples": (1, 10), "lr_scaling": ("none", "linear")},
        "leave_out": ({"lr_scaling": "linear", "samples": 10}, {"lr_scaling": "linear", "minibatch": 100}),
        "baseline": {"minibatch": 100, "samples": 1, "lr_scaling": "none"},
        "seeds": 2,
        "tabulate": ("test/elbo", "gradient/end/all/variance", "gradient/end/encoder/snr_draws"),
        "figures": ("m_l_heatmaps", "bound_against_cost", "pareto_front", "step_size", "variance_law"),
        "tables": ("one_draw", "pareto", "predicted_samples", "noise"),
    }  # fmt: skip
    return Study(**(fields | changes))


def elbo(M: int, L: int, scaling: str, seed: int, images: int) -> float:
    """Return an ELBO that rises by 1 nat each time the images seen grow by the factor e.

    More than one draw adds 0.5 nats, M=20 adds 2, the scaling "linear" takes 3 away, and seeds differ by 0.1.
    """
    rise = {"none": 0.0, "linear": -3.0}[scaling]
    return -120 + math.log(images) + 0.5 * (L > 1) + 2 * (M == 20) + rise + 0.1 * seed


def runs() -> pd.DataFrame:
    """Return tidy runs with numbers that can be calculated by hand: 1 ms per image and 0.1 ms per draw."""
    rows = []
    for M, L, scaling in [(20, 1, "none"), (20, 10, "none"), (20, 1, "linear"), (100, 1, "none"), (100, 10, "none")]:
        for seed in (0, 1, 2):
            row = {"run_id": f"{M}-{L}-{scaling}-{seed}", "status": "FINISHED", "minibatch": M, "samples": L,
                   "lr_scaling": scaling, "seed": seed, "params.samples": str(L), "params.subset": "null",
                   "tags.data.name": "toy", "test/elbo": elbo(M, L, scaling, seed, 10_000) - 1}  # fmt: skip
            for m in MILESTONES:
                noise = (1, 1, 5)[seed]  # the third run shared the machine; the median does not change
                row |= {f"along/{m}/elbo": elbo(M, L, scaling, seed, m), f"along/{m}/images": float(m),
                        f"along/{m}/seconds": m * (1e-3 + 1e-4 * L) * noise}  # fmt: skip
            for stage in STAGES:
                for group in GROUPS:
                    row |= {f"gradient/{stage}/{group}/var_x": 2.0, f"gradient/{stage}/{group}/var_eps": 40.0 / L}
            rows.append(row)
    return pd.DataFrame(rows)


def cell(M: int, L: int) -> pd.DataFrame:
    frame = runs()
    return frame[(frame["minibatch"] == M) & (frame["samples"] == L) & (frame["lr_scaling"] == "none")]


def test_costs_and_interpolation() -> None:
    mine = cell(100, 10)
    assert cost_curves.cost_curve(mine, "images").cost.tolist() == list(MILESTONES)
    assert cost_curves.cost_curve(mine, "seconds").cost == pytest.approx([0.2, 2.0, 20.0])
    passes = cost_curves.cost_curve(mine, "passes")
    assert passes.cost.tolist() == [1_000, 10_000, 100_000]
    # Halfway in the logarithm between 1,000 and 10,000 images.
    values = passes.at(10_000 * math.sqrt(10))
    assert values.tolist() == pytest.approx([elbo(100, 10, "none", s, 1_000) + math.log(10) / 2 for s in range(3)])
    assert passes.at(999).isna().all()
    assert passes.at(100_001).isna().all()
    assert passes.at_most(1e9).tolist() == pytest.approx(mine["along/10000/elbo"].tolist())


def test_milestones_that_fall_in_one_step_count_once() -> None:
    mine = cell(100, 1).assign(**{"along/100/images": 1_000.0})
    for m in (100, 1_000):
        mine[f"along/{m}/elbo"] = -115.0
    curve = cost_curves.cost_curve(mine, "images")
    assert curve.cost.tolist() == [1_000, 10_000]
    assert curve.at(1_000).tolist() == [-115.0] * 3


def test_a_milestone_that_one_run_lacks_is_left_out() -> None:
    mine = cell(100, 1)
    mine.loc[mine["seed"] == 2, "along/10000/elbo"] = math.nan
    assert cost_curves.cost_curve(mine, "images").end == 1_000


def test_cost_of_a_step() -> None:
    fixed, each = cost_curves.step_cost([cell(100, 1), cell(100, 10)])
    assert (fixed, each) == pytest.approx((1e-3, 1e-4))


def test_what_one_draw_loses() -> None:
    table = cost.one_draw(runs(), study())
    assert table is not None
    full = table.full.set_index(["split", "equal"])
    # At equal images more draws are half a nat better at every seed, so the interval has no width.
    assert full.loc[("test", "images seen"), "one_loses"] == pytest.approx(0.5)
    assert full.loc[("valid", "images seen"), "cost"] == 10_000
    # At equal passes L=10 has seen a tenth of the images: it loses ln 10 nats and gains 0.5.
    assert full.loc[("valid", "decoder passes"), "cost"] == 10_000
    assert full.loc[("valid", "decoder passes"), "one_loses"] == pytest.approx(0.5 - math.log(10))
    assert full.loc[("valid", "training seconds"), "one_loses"] == pytest.approx(0.5 - math.log(2 / 1.1))
    assert full["excludes_0"].all()
    assert list(table.shown)[-1] == "L=1 loses"
    assert table.shown.iloc[0, -1] == "+0.50 ± 0.00, excludes 0"


def test_an_interval_that_includes_0_says_so() -> None:
    frame = runs()
    worse = (frame["samples"] == 10) & (frame["seed"] == 0)
    frame.loc[worse, "test/elbo"] -= 3
    table = cost.one_draw(frame, study())
    assert table is not None
    assert table.shown.iloc[0, -1].endswith("includes 0")
    assert cost.one_draw(frame[frame["samples"] == 1], study()) is None


def test_pareto_set() -> None:
    table = cost.pareto(runs(), study())
    assert table is not None
    passes = table.full[table.full["kind"] == "passes"].set_index("cost")
    # One draw is best until its runs end after 10,000 passes. They keep their last bound until ten draws exceed it.
    assert (passes.loc[passes.index <= 10_000, "samples"] == 1).all()
    assert passes.loc[50_000.0, "samples"] == 1
    assert passes.loc[100_000.0, "samples"] == 10
    assert (passes["minibatch"] == 20).all()
    assert passes["gain"].to_numpy() == pytest.approx([2.0] * (len(passes) - 1) + [2.5])
    assert table.full["gain_ci95"].isna().all()  # all seeds took part in the choice of the best cell
    assert set(table.shown["fresh seeds"]) == {"0"}
    assert any("The best of 5 cells is chosen with the seeds that all of them have: 0, 1, 2." in n for n in table.notes)


def lucky(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with 3 nats more at (100, 10), a stroke of luck that fresh seeds do not have."""
    chosen = (frame["minibatch"] == 100) & (frame["samples"] == 10)
    return frame.assign(**{f"along/{m}/elbo": frame[f"along/{m}/elbo"] + 3 * chosen for m in MILESTONES})


def further(frame: pd.DataFrame, cells: list[tuple[int, int]], seeds: int = 2) -> pd.DataFrame:
    """Return runs with seeds 3, 4, ... of some cells; the gain of (100, 10) is 0.5 and 1.5 there."""
    parts = []
    for M, L in cells:
        cell = frame[(frame["minibatch"] == M) & (frame["samples"] == L) & (frame["lr_scaling"] == "none")]
        mine = cell[cell["seed"] < seeds]
        extra = {f"along/{m}/elbo": mine[f"along/{m}/elbo"] + (L > 1) * mine["seed"] for m in MILESTONES}
        parts.append(mine.assign(seed=mine["seed"] + 3, **extra))
    return pd.concat(parts, ignore_index=True)


def test_a_chosen_cell_is_measured_with_fresh_seeds() -> None:
    """The gain of 3.5 by which (100, 10) is chosen is 1.0 ± 6.35 on two fresh seeds: 0.5 and 1.5."""
    fresh = further(runs(), [(100, 10), (100, 1)])
    table = cost.pareto(pd.concat([lucky(runs()), fresh], ignore_index=True), study())
    assert table is not None
    last = table.full[table.full["kind"] == "passes"].iloc[-1]
    assert (last["minibatch"], last["samples"], last["fresh_seeds"]) == (100, 10, 2)
    assert (last["gain"], last["gain_ci95"]) == pytest.approx((1.0, 12.7062 * 0.5), rel=1e-4)
    assert last["elbo"] == pytest.approx(elbo(100, 10, "none", 1, 10_000) + 3)  # the mean of the seeds that chose
    # Cells that were chosen at lower costs have no fresh seeds, and the baseline has no gain over itself.
    others = table.full[table.full["minibatch"] == 20]
    assert others["gain_ci95"].isna().all()


@pytest.mark.parametrize(
    ("cells", "seeds"), [([(100, 10)], 2), ([(100, 1)], 2), ([(100, 10), (100, 1)], 1)], ids=["best", "baseline", "one"]
)
def test_too_few_fresh_seeds_give_no_interval(cells: list[tuple[int, int]], seeds: int) -> None:
    table = cost.pareto(pd.concat([lucky(runs()), further(runs(), cells, seeds)], ignore_index=True), study())
    assert table is not None
    last = table.full[table.full["kind"] == "passes"].iloc[-1]
    assert last["gain"] == pytest.approx(3.5)
    assert math.isnan(last["gain_ci95"])


def test_the_baseline_has_no_gain_over_itself() -> None:
    one = runs().query("minibatch == 100 and samples == 1")
    table = cost.pareto(pd.concat([one, further(one, [(100, 1)])], ignore_index=True), study())
    assert table is not None
    assert set(table.full["gain"]) == {0.0}
    assert table.full["gain_ci95"].isna().all()


def test_predicted_samples() -> None:
    table = cost.predicted_samples(runs(), study())
    assert table is not None
    assert table.full["stage"].tolist() == list(STAGES)
    assert table.full["predicted"].to_numpy() == pytest.approx([best_samples(1e-3, 1e-4, 2.0, 40.0)] * 3)
    assert table.full["predicted"].iloc[0] == pytest.approx(math.sqrt(200))


@pytest.mark.parametrize("name", study().figures)
def test_pictures_are_drawn_and_left_out_where_they_have_nothing_to_show(name: str) -> None:
    member = STUDY_FIGURES.load(name)
    figure = member(runs(), study())
    assert figure is not None
    assert all(
        len(ax.lines) + len(ax.images) + len(ax.containers) for ax in figure.axes if ax.get_label() != "<colorbar>"
    )
    nothing = runs().query("minibatch == 100 and samples == 1")
    bare = nothing.drop(columns=[c for c in nothing if c.startswith(("along/", "gradient/"))])
    assert member(bare, study()) is None


def test_the_heatmaps_numbers_stand_in_their_cells() -> None:
    figure = STUDY_FIGURES.load("m_l_heatmaps")(runs(), study())
    assert figure is not None
    grid = np.asarray(figure.axes[0].images[0].get_array())
    expected = [[runs().query(f"minibatch == {M} and samples == {L} and lr_scaling == 'none'")["test/elbo"].mean()
                 for L in (1, 10)] for M in (20, 100)]  # fmt: skip
    assert grid == pytest.approx(np.array(expected))


def test_a_bound_far_below_the_rest_is_a_number_at_the_panels_foot() -> None:
    bounds = {("sgvb-b", 1): -115.0, ("sgvb-b", 5): -114.6, ("stl", 1): -114.9, ("stl", 5): -114.7,
              ("score-function", 1): -300.0, ("score-function", 5): -116.0}  # fmt: skip
    frame = pd.DataFrame([
        {"status": "FINISHED", "estimator": name, "samples": L, "seed": seed, "params.subset": "null",
         "tags.data.name": "toy", **dict.fromkeys(gradient_noise.PANELS, 2.0), "test/elbo": elbo + 0.1 * seed,
         "test/active_units": 10.0 - (elbo == -116)}
        for (name, L), elbo in bounds.items() for seed in (0, 1)
    ])  # fmt: skip
    estimators = study(factors={"estimator": ("sgvb-b", "stl", "score-function"), "samples": (1, 5)}, leave_out=(),
                       baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
    figure = gradient_noise.estimator_panels(frame, estimators)
    assert figure is not None
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts if "▾" in text.get_text()] == ["score-function\n-300 ▾"]
    (note,) = [text for text in ax.texts if "▾" in text.get_text()]
    assert note.get_window_extent().x0 >= ax.bbox.x0  # at the least L, and not over the axis
    assert {"sgvb-b", "stl", "score-function"} <= {text.get_text() for text in ax.texts}  # at the ends of the lines
    assert ax.get_ylim()[0] > -120
    drawn = {lines.get_label(): lines[0].get_ydata().tolist() for lines in ax.containers}
    assert drawn["score-function"] == pytest.approx([-115.95])
    assert drawn["stl"] == pytest.approx([-114.85, -114.65])
    assert not any(
        "▾" in text.get_text() for text in figure.axes[2].texts
    )  # active units: the values are nearly equal, and none is left out


def with_sigma(frame: pd.DataFrame, declared: Study) -> tuple[pd.DataFrame, Study]:
    """Return runs and a study with the further factor sigma, whose second level has other numbers everywhere."""
    other = frame.assign(sigma="raw", run_id=[f"raw-{index}" for index in frame.index])
    numbers = [c for c in frame if c.startswith(("along/", "gradient/", "test/"))]
    other[numbers] = other[numbers] * 2
    levels: dict[str, tuple[Level, ...]] = {"sigma": ("log-variance", "raw")}
    return pd.concat([frame.assign(sigma="log-variance"), other], ignore_index=True), with_factors(
        declared, declared.base, levels
    )


def drawn_points(figure: Figure | None) -> str:
    """Return the points of every line and the numbers of every heatmap as text, in which nan is equal to nan."""
    assert figure is not None
    lines = [[[float(x), float(y)] for x, y in line.get_xydata()] for ax in figure.axes for line in ax.lines]
    return repr(lines) + repr([np.asarray(image.get_array()).tolist() for ax in figure.axes for image in ax.images])


@pytest.mark.parametrize("name", [name for name in study().figures if name != "pareto_front"])
def test_a_further_factor_is_at_its_baseline(name: str) -> None:
    """What is drawn over M and L does not mix the levels of another factor; the Pareto front is of all cells."""
    member = STUDY_FIGURES.load(name)
    assert drawn_points(member(*with_sigma(runs(), study()))) == drawn_points(member(runs(), study()))


def test_the_tables_over_m_and_l_are_at_the_baseline_of_a_further_factor() -> None:
    for member in (cost.one_draw, cost.predicted_samples):
        narrow, wide = member(runs(), study()), member(*with_sigma(runs(), study()))
        assert narrow is not None
        assert wide is not None
        pd.testing.assert_frame_equal(wide.full, narrow.full)


def test_the_estimators_are_compared_at_the_baseline_of_a_further_factor() -> None:
    frame = pd.DataFrame([
        {"run_id": f"{name}-{L}-{seed}", "status": "FINISHED", "estimator": name, "samples": L, "seed": seed,
         "params.subset": "null", "tags.data.name": "toy",
         **dict.fromkeys(gradient_noise.PANELS, 2.0 + L), "test/elbo": -100.0 - L - 0.1 * seed}
        for name in ("sgvb-b", "stl") for L in (1, 5) for seed in (0, 1)
    ])  # fmt: skip
    declared = study(factors={"estimator": ("sgvb-b", "stl"), "samples": (1, 5)}, leave_out=(),
                     baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
    wide = gradient_noise.estimator_panels(*with_sigma(frame, declared))
    assert drawn_points(wide) == drawn_points(gradient_noise.estimator_panels(frame, declared))


@pytest.mark.slow
def test_a_study_of_m_and_l_end_to_end(mlruns: Path) -> None:
    toy = study(factors={"minibatch": (20, 60), "samples": (1, 3), "lr_scaling": ("none", "linear")},
                leave_out=({"lr_scaling": "linear", "samples": 3}, {"lr_scaling": "linear", "minibatch": 60}),
                baseline={"minibatch": 60, "samples": 1, "lr_scaling": "none"})  # fmt: skip
    assert study_main(toy, ["--workers", "0"]) == 0
    folder = mlruns / "tables" / "toy"
    for name in ("one_draw", "pareto", "predicted_samples", "noise"):
        for ending in ("csv", "md", "tex", "html"):
            assert (folder / f"{name}.{ending}").stat().st_size > 100
    for name in toy.figures:
        assert (folder / f"{name}.png").stat().st_size > 10_000
    table = pd.read_csv(folder / "table.csv")
    assert len(table) == 5
    noise = pd.read_csv(folder / "noise.csv")
    assert set(noise["estimator"]) == {"stl"}
    written = pd.read_csv(folder / "runs.csv")
    assert (written["along/120/images"] == 120).all()  # the end of training is a milestone
    assert written["along/120/seconds"].to_numpy() == pytest.approx(written["seconds/train"].to_numpy(), abs=0.1)
