"""The figure of arms: the legend is inside the figure, and each combination of numeric levels has its own colour."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vaestudy.config.run_config import RunConfig
from vaestudy.plotting import PALETTE
from vaestudy.reporting.figures import arms
from vaestudy.study.declaration import Study

FACTORS = {"sigma": ("raw", "abs"), "latent_dim": (2, 10, 20), "learning_rate": (1e-3, 1e-2)}


@pytest.mark.parametrize("metrics", [1, 5])
def test_the_legend_is_within_the_picture(metrics: int) -> None:
    names = tuple(f"test/iwae_{10**i}" for i in range(metrics))
    study = Study(
        name="toy",
        doc="Does it?",
        base=RunConfig(iwae=tuple(10**i for i in range(metrics))),
        factors=FACTORS,
        baseline={"sigma": "raw", "latent_dim": 2, "learning_rate": 1e-3},
        tabulate=names,
    )
    cells = pd.DataFrame(itertools.product(*FACTORS.values()), columns=list(FACTORS))
    runs = pd.concat([cells.assign(seed=seed) for seed in range(2)], ignore_index=True)
    runs = runs.assign(status="FINISHED", **dict.fromkeys(names, runs.index + 1.0))
    runs = runs.assign(**{"tags.data.name": "toy", "params.subset": "null"})
    figure = arms.arms(runs, study)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 6
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1


def test_each_cell_has_a_look_of_its_own() -> None:
    """Levels of the first factor differ in colour and marker, those of the others in filling and line style."""
    cells = list(itertools.product(FACTORS["latent_dim"], FACTORS["learning_rate"]))
    looks = arms._looks(cells)
    assert len({(each.look.colour, each.filled, each.bar) for each in looks}) == len(cells)
    assert [each.look.colour for each in looks] == [colour for colour in PALETTE[:3] for _ in range(2)]
    assert [each.filled for each in looks] == [True, False] * 3
    assert arms._looks([()]) == arms._looks([(2,)])
