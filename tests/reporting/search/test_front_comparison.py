"""The front of a search beside the grid's: hypervolumes and intervals against literal ones, the table, the figure."""

from __future__ import annotations

import hashlib
import itertools
import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from scipy import stats

from tests.support.searches import searched
from tests.support.studies import run_study, toy
from vaestudy.reporting.search import report
from vaestudy.reporting.search.front_comparison import FrontComparison, compare_fronts
from vaestudy.reporting.search.front_figure import rate_distortion_search
from vaestudy.reporting.search.front_table import front_notes, fronts_table
from vaestudy.reporting.search.hypervolume import attained, hypervolume, pareto_front
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.search.trials import study_in_memory
from vaestudy.study.declaration import Study, quick_config
from vaestudy.study.search import Search
from vaestudy.study.search_space import FloatRange, IntRange

BETAS, DS, SEEDS = (0.1, 1.0, 10.0), (2, 20), (0, 1, 2)
SPACE = {"beta": FloatRange(low=0.1, high=10.0, log=True), "latent_dim": IntRange(low=2, high=20, log=True)}
DISTRIBUTIONS = {"beta": FloatDistribution(0.1, 10.0, log=True), "latent_dim": IntDistribution(2, 20, log=True)}
OBJECTIVES = ("valid/kl", "valid/log_likelihood")


def study(**search: Any) -> Study:
    fields = {"space": SPACE, "objectives": OBJECTIVES, "trials": 8, "sampler": "NSGAIISampler"} | search
    return toy(
        base=toy().base.with_changes(likelihood="continuous-bernoulli", pixels="dequantised"),
        factors={"likelihood": ("continuous-bernoulli", "gaussian"), "likelihood_scale": ("per-pixel", "fixed"),
                 "likelihood_sigma": (1.0,), "latent_dim": DS, "beta": BETAS},
        full={},
        leave_out=({"likelihood": "gaussian", "likelihood_scale": "per-pixel"},),
        baseline={"likelihood": "gaussian", "likelihood_scale": "fixed", "likelihood_sigma": 1.0, "latent_dim": 2,
                  "beta": 1.0},
        search=Search(**fields),
    )  # fmt: skip


def place(beta: float, D: int) -> tuple[float, float]:
    """Return a rate and a distortion of beta and D."""
    rate = 10 * D / (1 + 9 * beta)
    return rate, -1000 + 400 / (1 + rate)


def shift(seed: int, D: int) -> tuple[float, float]:
    """Return the residual of a seed."""
    return 0.1 * (seed - 1) * D, 0.3 * (seed - 1) ** 2 * D


def runs(seeds: tuple[int, ...] = SEEDS) -> pd.DataFrame:
    """Return tidy runs of the grid; those of the Gaussian are far better, and must not count."""
    rows = []
    for likelihood, seed, D, beta in itertools.product(("continuous-bernoulli", "gaussian"), seeds, DS, BETAS):
        rate, distortion = np.add(place(beta, D), shift(seed, D)) - (1e4 if likelihood == "gaussian" else 0)
        gaussian = likelihood == "gaussian"
        rows.append({"status": "FINISHED", "seed": seed, "likelihood": likelihood, "latent_dim": D, "beta": beta,
                     "likelihood_scale": "fixed" if gaussian else "per-pixel",
                     "likelihood_sigma": 1.0 if gaussian else None,
                     "valid/kl": rate, "valid/log_likelihood": -distortion})  # fmt: skip
    return pd.DataFrame(rows)


def trials(count: int = 8, better: float = 1.0, diverged: int | None = 3) -> optuna.Study:
    """Return a search whose distortions are below the grid's by `better`; one trial has no value."""
    made = study_in_memory([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE], "search")
    rng = np.random.default_rng(1)
    for number in range(count):
        beta, D = float(10 ** rng.uniform(-1, 1)), int(rng.integers(2, 21))
        rate, distortion = place(beta, D)
        known = number != diverged
        made.add_trial(create_trial(
            state=TrialState.COMPLETE if known else TrialState.FAIL,
            values=[rate, better - distortion] if known else None,
            params={"beta": beta, "latent_dim": D},
            distributions=DISTRIBUTIONS,
            user_attrs={"outcome": "complete" if known else "diverged"},
        ))  # fmt: skip
    return made


def a_search(of: Study | None = None, made: optuna.Study | None = None) -> Searched:
    return searched({"": made or trials()}, of or study())


def compared(frame: pd.DataFrame | None = None, made: optuna.Study | None = None) -> FrontComparison:
    found = compare_fronts(a_search(made=made), runs() if frame is None else frame)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_and_front_agree_with_counting(seed: int) -> None:
    """With whole numbers the area is the number of unit squares whose lower left corner some point dominates."""
    points = np.random.default_rng(seed).integers(0, 12, size=(9, 2)).astype(float)
    reference = np.array([9.0, 10.0])
    squares = itertools.product(range(9), range(10))
    assert hypervolume(points, reference) == sum(any(x <= a and y <= b for x, y in points) for a, b in squares)
    front = {
        (x, y) for x, y in points if not any((a <= x and b <= y) and (a, b) != (x, y) for a, b in points)
    }  # fmt: skip
    assert [tuple(point) for point in pareto_front(points)] == sorted(front)


def test_hypervolume_of_nothing_below_the_reference_is_0() -> None:
    assert hypervolume(np.array([[3.0, 1.0], [1.0, 3.0]]), np.array([3.0, 3.0])) == 0
    assert hypervolume(np.empty((0, 2)), np.array([3.0, 3.0])) == 0


def test_the_hypervolume_is_the_integral_of_what_is_attained() -> None:
    points = np.array([[1.0, 5.0], [4.0, 2.0], [2.0, 6.0]])
    middles = np.arange(0.005, 6, 0.01)
    values = attained(points, middles, 7.0)
    assert values[0] == 7
    assert [values[150], values[-1]] == [5, 2]
    assert 0.01 * (7 - values).sum() == pytest.approx(hypervolume(points, np.array([6.0, 7.0])))


def test_only_like_cells_count_and_trials_keep_their_order() -> None:
    found = compared()
    assert found.grid.shape == (3, 6, 2)
    assert found.fixed == {"likelihood": "continuous-bernoulli"}
    levels = [{"beta": beta, "latent_dim": float(D)} for beta in BETAS for D in DS]
    assert found.cells == levels
    expected = [[place(b["beta"], int(b["latent_dim"])) for b in levels]] * 3
    moved = [[shift(seed, int(b["latent_dim"])) for b in levels] for seed in SEEDS]
    assert found.grid == pytest.approx(np.array(expected) + moved)
    assert np.isnan(found.trials).any(axis=1).tolist() == [number == 3 for number in range(8)]
    for number, trial in enumerate(trials().trials):
        beta, D = math.log10(trial.params["beta"]) / 2, math.log10(trial.params["latent_dim"])
        far = [math.hypot(beta - math.log10(b["beta"]) / 2, D - math.log10(b["latent_dim"])) for b in levels]
        assert found.nearest[number] == far.index(min(far))
    assert found.equal_trials == 6
    assert len(found.first(6)) == 5  # a diverged trial costs a training, too


def test_a_seed_without_all_cells_is_left_out() -> None:
    frame = runs()
    part = frame.drop(frame.index[(frame["seed"] == 2) & (frame["beta"] == 10)])
    assert compared(part).grid.shape == (2, 6, 2)
    gone = frame.drop(frame.index[(frame["latent_dim"] == 20) & (frame["beta"] == 10)])  # in all seeds
    assert compared(gone).grid.shape == (3, 5, 2)


def test_intervals_over_seeds_agree_with_literal_ones() -> None:
    found = compared()
    t = stats.t.ppf(0.975, 2)
    one = [hypervolume(points, found.reference) for points in found.grid]
    assert found.grid_one_seed() == pytest.approx((np.mean(one), t * np.std(one, ddof=1) / math.sqrt(3)))
    value, half = found.grid_mean()
    left = [hypervolume(found.grid[[a, b]].mean(axis=0), found.reference) for a, b in ((1, 2), (0, 2), (0, 1))]
    assert value == pytest.approx(hypervolume(found.grid.mean(axis=0), found.reference))
    assert half == pytest.approx(t * math.sqrt(2 / 3 * np.sum((left - np.mean(left)) ** 2)))
    # The front of one trial is a rectangle, and its bootstrap has one value for each seed: the spread is exact.
    (rate, distortion), nearest = found.trials[0], found.nearest[0]
    scaled = math.sqrt(3 / 2) * (found.grid[:, nearest] - found.grid[:, nearest].mean(axis=0))
    areas = [(found.reference[0] - rate - a) * (found.reference[1] - distortion - b) for a, b in scaled]
    alone, spread = found.search(1)
    assert alone == pytest.approx((found.reference[0] - rate) * (found.reference[1] - distortion))
    assert spread == pytest.approx(1.96 * np.std(areas), rel=0.15)  # 400 draws: a standard error of 3.5 %
    assert math.isnan(compared(runs((0,))).search(8)[1])


def test_the_gap_is_the_shift_of_a_front() -> None:
    """A search at the grid's own points, 2 nats lower, is 2 nats lower at every rate of the grid's front."""
    made = study_in_memory([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE], "search")
    for D, beta in itertools.product(DS, BETAS):
        rate, distortion = place(beta, D)
        made.add_trial(create_trial(
            state=TrialState.COMPLETE, values=[rate, 2 - distortion], params={"beta": beta, "latent_dim": D},
            distributions=DISTRIBUTIONS, user_attrs={"outcome": "complete"},
        ))  # fmt: skip
    frame = runs((1,))
    found = compared(frame, made)
    gap, half = found.gap(found.search(6), found.grid_one_seed())
    assert gap == pytest.approx(2)
    assert math.isnan(half)
    (note,) = front_notes(a_search(made=made), frame)
    assert "first 6 trainings have a distortion that is 2.00 nats lower" in note
    assert "grid's 6 trainings with one seed" in note


def test_the_table_compares_equal_trainings() -> None:
    table = fronts_table(a_search(), runs())
    assert table is not None
    full = table.full
    assert full["front"].tolist() == [
        "grid, one seed", "search, first 6 trials", "grid, mean of 3 seeds", "search, all trials",
    ]  # fmt: skip
    assert full["trainings"].tolist() == [6, 6, 18, 8]
    found = compared()
    assert full["hypervolume"].tolist() == pytest.approx(
        [found.grid_one_seed()[0], found.search(6)[0], found.grid_mean()[0], found.search(8)[0]]
    )
    assert full["gap"][3] == pytest.approx((full["hypervolume"][3] - full["hypervolume"][2]) / found.width)
    assert any(f"rate {found.reference[0]:.2f}, distortion {found.reference[1]:.2f}" in note for note in table.notes)
    few = fronts_table(a_search(made=trials(3, diverged=None)), runs((0,)))
    assert few is not None
    assert few.full["front"].tolist() == ["grid, one seed", "search, all trials"]
    assert "no row compares equal numbers of trainings" in few.notes[-1]
    assert front_notes(a_search(made=trials(3, diverged=None)), runs()) == []


def test_the_figure_shows_the_points_and_both_fronts() -> None:
    figure = rate_distortion_search(a_search(), runs())
    assert figure is not None
    front, difference, by_trainings = figure.axes
    found = compared()
    grid, search = front.containers
    assert np.column_stack(grid[0].get_data()) == pytest.approx(found.mean)
    assert np.column_stack(search[0].get_data()) == pytest.approx(found.first(8))
    steps = [line for line in front.lines if line.get_drawstyle() == "steps-post"]
    for line, points in zip(steps, (found.mean, found.first(8)), strict=True):
        assert np.column_stack(line.get_data())[:-1] == pytest.approx(pareto_front(points))
    assert any(text.get_text().startswith("ELBO") for text in front.texts)
    assert len(difference.lines) == 3 + 1 + 1  # each seed, their mean, and 0
    curve = next(line for line in by_trainings.lines if line.get_drawstyle() == "steps-post")
    assert curve.get_ydata()[-1] == pytest.approx(found.search(8)[0])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    fronts = [len(pareto_front(points)) for points in (found.mean, found.first(8))]
    assert labels == [
        f"grid: 6 cells, mean of 3 seeds (18 trainings), {fronts[0]} on its front",
        f"search: 7 trials (8 trainings), {fronts[1]} on its front",
    ]


def test_nothing_is_compared_that_differs() -> None:
    one = study(objectives=("valid/kl", "valid/elbo"))
    other = study(space={"beta": SPACE["beta"], "learning_rate": FloatRange(low=1e-4, high=1e-2)})
    assert compare_fronts(a_search(one), runs()) is None
    assert compare_fronts(a_search(other), runs()) is None
    assert compare_fronts(a_search(), runs().query("likelihood == 'gaussian'")) is None
    assert compare_fronts(a_search(made=trials(1, diverged=0)), runs()) is None
    assert fronts_table(a_search(one), runs()) is None
    assert rate_distortion_search(a_search(one), runs()) is None


def test_a_study_with_grid_and_search_end_to_end(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--quick` of a small study: the grid, the search, and both fronts in a table and a figure."""
    monkeypatch.setattr(report, "FIGURES", {})  # the figures of the search alone have tests of their own
    small = study(trials=2).model_copy(update={"figures": ()})
    flags = ["--quick", "--subset", "60", "--epochs", "1", "--seeds", "1", "--trials", "2"]
    levels = ["--likelihood", "continuous-bernoulli", "--latent-dim", "2", "--beta", "0.1", "10"]
    assert run_study(small, *flags, *levels) == 0
    folder = mlruns / "tables" / "toy"
    table = pd.read_csv(folder / "search_fronts.csv")
    assert table["trainings"].tolist() == [2, 2]
    assert table["quick"].all()
    assert (folder / "rate_distortion_search.png").stat().st_size > 10_000
    assert "Fronts by the validation images" in (folder / "table.md").read_text()


def test_the_studys_grid_has_the_configurations_that_were_run() -> None:
    """A sweep is resumed by the keys of its configurations, so the search and its likelihood may not change them."""
    declared = runpy.run_path(str(Path(__file__).parents[3] / "studies" / "rate_distortion.py"))["STUDY"]
    cells = declared.cells_to_run(declared.base, declared.levels_to_run(full=False, quick=False, given={}), 3)
    keys = "\n".join(sorted(cell.config.key for cell in cells))
    assert len(cells) == 60
    assert hashlib.sha256(keys.encode()).hexdigest().startswith("f479d3c19aeafb61")  # those of docs/rate-distortion.md
    assert declared.search.families(declared.base) == ["density"]


def test_quick_scores_no_more_bounds_than_the_study() -> None:
    base = toy().base
    assert quick_config(base.with_changes(iwae=(1, 10))).iwae == (1, 10)
    assert quick_config(base.with_changes(iwae=(1, 5000))).iwae == (1, 10, 100)
