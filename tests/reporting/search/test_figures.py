"""The figures of searches: with few trials, with all outcomes, and with many arms."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta

import pandas as pd
import pytest

from tests.support.searches import SPACE, searched, searched_study, trials
from vaestudy.plotting import to_png
from vaestudy.reporting.search import arm_figures, drawing, field_figures, progress_figures, report
from vaestudy.reporting.search.outcomes import OUTCOMES, counted
from vaestudy.reporting.search.trials import study_in_memory
from vaestudy.study.search import TAKEN_OVER, Search

ALL = ("complete", "pruned", "failed", "complete", "diverged", "infeasible", "repeated", "complete")
OF_ARMS = {"search_best_so_far", "search_expected_best", "search_isolation"}
OF_FRONT = {"search_front"}
ONE = set(report.FIGURES) - OF_ARMS - OF_FRONT
NO_VALUE = {"search_history", "search_timeline", "search_learning_curves"}


@pytest.mark.parametrize(
    ("outcomes", "drawn"),
    [
        ((), set()),
        (("infeasible",), {"search_history", "search_timeline"}),
        (("failed", "pruned"), NO_VALUE),
        (("complete",), ONE - {"search_importances"}),
        (("complete", "complete"), ONE),
        (ALL * 3, ONE),
    ],
)
def test_a_figure_draws_what_there_is(outcomes: tuple[str, ...], drawn: set[str]) -> None:
    """No figure fails or warns, however few trials have a value."""
    some = searched({"": trials(*outcomes)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = {name for name, draw in report.FIGURES.items() if draw(some) is not None}
    assert figures == drawn


def test_two_objectives() -> None:
    study = searched_study(search=Search(space=SPACE, trials=8, objectives=("valid/elbo", "valid/kl")))
    some = searched({"": trials(*ALL, objectives=2)}, study)
    figure = progress_figures.front(some)
    assert figure is not None
    assert "front" in [text.get_text() for text in figure.legends[0].get_texts()][-1]
    figures = {name for name, draw in report.FIGURES.items() if draw(some) is not None}
    assert figures == (ONE | OF_FRONT) - {"search_learning_curves"}


def test_outcomes_differ_by_colour_and_by_marker() -> None:
    looks = OUTCOMES.values()
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == len(OUTCOMES)
    study = trials(*ALL)
    assert counted(study.trials) == "3 complete, 1 repeated, 1 pruned, 1 failed, 1 diverged, 1 infeasible"
    figure = progress_figures.history(searched({"": study}))
    assert figure is not None
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["complete (3)", "repeated (1)", "best so far"]
    rows = [text.get_text() for text in figure.axes[-1].get_yticklabels()]  # trials without a value name their outcome
    assert rows == ["pruned (1)", "failed (1)", "diverged (1)", "infeasible (1)"]


def test_importances_name_their_estimator_and_find_the_learning_rate() -> None:
    some = searched({"": trials(*["complete"] * 20)})
    figure = field_figures.importances(some)
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fANOVA", "PED-ANOVA"]
    assert all(bars.errorbar is not None for bars in figure.axes[0].containers if hasattr(bars, "patches"))
    fanova = field_figures.importances_by(some.studies[""], "fANOVA", errors=False)
    assert fanova.index[0] == "learning_rate"
    # The conditional field is not in all trials: fANOVA leaves it out, and the figure says so.
    assert "init_sigma" not in fanova.index
    assert "init_sigma" in field_figures.importances_by(some.studies[""], "PED-ANOVA", errors=False).index
    assert any(
        text.get_text() == "not by fANOVA: not every trial was asked for init sigma" for text in figure.axes[0].texts
    )


def test_the_range_that_is_drawn_leaves_out_what_is_far_below() -> None:
    values = [-100.0, -101, -102, -103, -104, -105, -106, -900]
    low, high = drawing.visible_range(values, 1.0)
    assert low == pytest.approx(-112.72)  # 4 times the median's distance from the best, and a margin
    assert high > -100
    assert drawing.visible_range([-value for value in values], -1.0) == pytest.approx((-high, -low))
    assert drawing.visible_range(values[-3:], 1.0)[0] < -900


def test_a_figure_that_fails_costs_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(some: object) -> None:
        raise ValueError("no room")

    monkeypatch.setitem(report.FIGURES, "search_slices", broken)  # type: ignore[arg-type]
    notes: list[str] = []
    files = report.search_figures(searched({"": trials("infeasible")}), pd.DataFrame(), notes)
    assert notes == ["figure search_slices could not be made: ValueError: no room"]
    assert {path for path in files if path.endswith(".png")} == {
        "figures/search_history.png",
        "figures/search_timeline.png",
    }


def test_panels_of_many_arms() -> None:
    levels = ("bernoulli", "gaussian", "beta")
    study = searched_study(
        factors={"likelihood": levels, "latent_dim": (2, 10, 20)},
        baseline={"likelihood": "bernoulli", "latent_dim": 2},
        tabulate=("test/bits_per_dim",),
        search=Search(space={"learning_rate": SPACE["learning_rate"]}, trials=4, per_arm=True, sampler="QMCSampler"),
        base=searched_study().base.with_changes(pixels="dequantised"),
    )
    arms = [f"likelihood={name}, latent_dim={D}" for name in levels for D in (2, 10, 20)]
    some = searched({arm: trials("complete", "failed", "complete", seed=i) for i, arm in enumerate(arms)}, study)
    panels = arm_figures.panels_of(some)
    assert [panel.title for panel in panels] == [f"likelihood={name}" for name in levels]
    assert list(panels[0].arms.values()) == ["D=2", "D=10", "D=20"]
    # Nats of a Bernoulli and of densities share no panel, however few arms there are.
    few = searched({f"likelihood={name}": trials("complete", "complete") for name in levels}, study)
    assert [set(panel.arms) for panel in arm_figures.panels_of(few)] == [
        {"likelihood=bernoulli"},
        {"likelihood=gaussian", "likelihood=beta"},
    ]
    for name in OF_ARMS:
        for arm in (some, few):
            figure = report.FIGURES[name](arm)
            assert figure is not None
            assert not figure.legends
            written = {text.get_text() for text in figure.axes[-1].texts}
            assert written == ({"D=2", "D=10", "D=20"} if arm is some else {"gaussian", "beta"})
    assert to_png(figure)


def test_the_best_along_a_range() -> None:
    study = trials(*["complete"] * 12, "pruned")
    axis = drawing.field_axes(study)["learning_rate"]
    points = arm_figures.best_along(study, axis)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert max(y for _, y in points) == study.best_value
    parts = [int(8 * axis.unit(x)) for x, _ in points]
    assert len(set(parts)) == len(parts)
    for part, (_, y) in zip(parts, points, strict=True):
        mine = [t.value for t in study.trials[:-1] if int(8 * axis.unit(t.params["learning_rate"])) == part]
        assert y == max(mine)


def test_the_timeline_leaves_out_a_pause_and_has_a_row_for_each_worker() -> None:
    study = trials(*["complete"] * 6)
    late = study.trials[-1]
    assert late.datetime_start is not None
    late.datetime_start += timedelta(hours=9)
    late.datetime_complete = late.datetime_start + timedelta(minutes=2)
    study = study_in_memory(study.directions, "search")
    study.add_trials([*trials(*["complete"] * 5).trials, late])
    figure = progress_figures.timeline(searched({"": study}))
    assert figure is not None
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["worker 0", "worker 1"]
    assert ax.get_xlim()[1] == pytest.approx(8, rel=0.01)  # five trials take six minutes, the late one two
    assert [line.get_xdata()[0] for line in ax.lines] == [6.0]  # type: ignore[index]


def test_the_slices_say_once_how_many_values_are_beyond_the_axis() -> None:
    study = trials(*["complete"] * 12, shift=0.0)
    low = trials("complete", shift=-5_000.0).trials[0]
    study.add_trial(low)
    figure = field_figures.slices(searched({"": study}))
    assert figure is not None
    assert figure.get_suptitle().count("beyond the axis") == 1
    assert not any(ax.get_title(loc="right") for ax in figure.axes)
    (outside,) = re.findall(r"(\d+)\s+beyond", figure.get_suptitle())
    bottom, top = figure.axes[0].get_ylim()
    assert int(outside) == sum(not bottom <= trial.value <= top for trial in study.trials) >= 1  # type: ignore[operator]


def test_the_timeline_leaves_out_the_pause_of_a_trial_that_a_later_driver_took_over() -> None:
    """Trial 4 began at minute 4 and was killed; the last event before the takeover is the end of trial 3, at 5."""
    whole = trials(*["complete"] * 5).trials
    killed = whole[4]
    assert killed.datetime_start is not None
    again = killed.datetime_start + timedelta(hours=9)
    killed.set_user_attr(TAKEN_OVER, [again.isoformat()])
    killed.datetime_complete = again + timedelta(minutes=2)
    spans = progress_figures.busy_times(whole)
    minute = timedelta(minutes=1)
    assert [end - start for start, end in spans[4]] == [1 * minute, 2 * minute]
    assert all(len(mine) == 1 for index, mine in spans.items() if index != 4)
    study = study_in_memory(trials().directions, "search")
    study.add_trials(whole)
    figure = progress_figures.timeline(searched({"": study}))
    assert figure is not None
    assert figure.axes[0].get_xlim()[1] == pytest.approx(7, rel=0.01)  # five minutes, and two after the pause
