"""The figure of arms: the legend is inside the figure, and each combination of numeric levels has its own colour."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaestudy.config.run_config import RunConfig
from vaestudy.plotting import PALETTE, WIDEST
from vaestudy.reporting.figures import arms
from vaestudy.study.declaration import Study

FACTORS: dict[str, tuple[Any, ...]] = {
    "sigma": ("raw", "abs"),
    "latent_dim": (2, 10, 20),
    "learning_rate": (1e-3, 1e-2),
}


SIGMAS = ("raw", "abs", "softplus", "squareplus", "bounded")


def drawn(metrics: int, factors: dict[str, tuple[Any, ...]]) -> Figure:
    """Return the figure of some metrics of all cells."""
    names = tuple(f"test/iwae_{10**i}" for i in range(metrics))
    study = Study(
        name="toy",
        doc="Does it?",
        base=RunConfig(iwae=tuple(10**i for i in range(metrics))),
        factors=factors,
        baseline={name: levels[0] for name, levels in factors.items()},
        tabulate=names,
    )
    cells = pd.DataFrame(itertools.product(*factors.values()), columns=list(factors))
    runs = pd.concat([cells.assign(seed=seed) for seed in range(2)], ignore_index=True)
    runs = runs.assign(status="FINISHED", **dict.fromkeys(names, runs.index + 1.0))
    runs = runs.assign(**{"tags.data.name": "toy", "params.subset": "null"})
    figure = arms.arms(runs, study)
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize("metrics", [1, 5])
def test_the_legend_is_within_the_picture(metrics: int) -> None:
    figure = drawn(metrics, FACTORS | {"sigma": SIGMAS})
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 6
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1


@pytest.mark.parametrize("metrics", [1, 5])
def test_with_few_arms_the_cells_are_named_at_their_marks(metrics: int) -> None:
    """Each name is at the height of its mark in the first arm, right of the last panel of the first line."""
    figure = drawn(metrics, FACTORS)
    assert not figure.legends
    (ax,) = [ax for ax in figure.axes if ax.texts]
    texts = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert list(texts) == [f"D={D}, learning rate={rate:g}" for D in (2, 10, 20) for rate in (1e-3, 1e-2)]
    for index, box in enumerate(texts.values()):
        assert ax.bbox.x1 < box.x0 < box.x1 <= figure.bbox.x1
        mark = ax.transData.transform((0, arms._shift(index, 6)))[1]
        assert (box.y0 + box.y1) / 2 == pytest.approx(mark, abs=0.2 * box.height)
    assert figure.get_figwidth() <= WIDEST


def test_each_cell_has_a_look_of_its_own() -> None:
    """Levels of the first factor differ in colour and marker, those of the others in filling and line style."""
    cells = list(itertools.product(FACTORS["latent_dim"], FACTORS["learning_rate"]))
    looks = arms._looks(cells)
    assert len({(each.look.colour, each.filled, each.bar) for each in looks}) == len(cells)
    assert [each.look.colour for each in looks] == [colour for colour in PALETTE[:3] for _ in range(2)]
    assert [each.filled for each in looks] == [True, False] * 3
    assert arms._looks([()]) == arms._looks([(2,)])
