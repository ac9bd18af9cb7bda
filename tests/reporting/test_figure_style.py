"""The style of figures: colours, looks, labels, limits, units, and the files for papers."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from vaestudy.config.run_config import RunConfig
from vaestudy.evidence.needs import declared_study
from vaestudy.plotting import GRID, INK, PALETTE, STYLE, balanced, figure_files, house_style, look, text_colour
from vaestudy.reporting.figures.arms import arms
from vaestudy.reporting.figures.axis_texts import field_label, levels_label, unit_label
from vaestudy.reporting.figures.bound import bound_and_parts
from vaestudy.reporting.figures.intervals import draw_means, value_limits
from vaestudy.reporting.figures.labels import apart, pushed_apart
from vaestudy.reporting.figures.style import figure_title
from vaestudy.study.declaration import Study

METRICS = ("test/elbo", "test/iwae_100", "test/kl", "test/active_units")


def made(factors: dict[str, tuple[Any, ...]], seeds: int = 2, spread: float = 1.0) -> tuple[pd.DataFrame, Study]:
    """Return runs of all cells and their study; values differ little between cells, so that labels lie close."""
    study = Study(
        name="toy", doc="Does it?", base=RunConfig(iwae=(1, 100)), factors=factors,
        baseline={name: levels[0] for name, levels in factors.items()}, tabulate=METRICS,
    )  # fmt: skip
    cells = pd.DataFrame(itertools.product(*factors.values()), columns=list(factors))
    runs = pd.concat([cells.assign(seed=seed) for seed in range(seeds)], ignore_index=True)
    values = np.random.default_rng(0).normal(0, spread, (len(runs), len(METRICS)))
    runs[list(METRICS)] = values + np.array([-110, -105, 25, 10])
    return runs.assign(status="FINISHED", **{"tags.data.name": "toy", "params.subset": "null"}), study


def is_grey(colour: Any) -> bool:
    red, green, blue = to_rgb(colour)
    return red == green == blue


@pytest.mark.parametrize("factors", [
    {"latent_dim": (2, 5, 10, 20, 50)},
    {"latent_dim": (2, 10), "sigma": ("raw", "abs", "softplus")},
    {"sigma": ("raw", "abs", "softplus")},
    {"latent_dim": (2, 10, 20), "learning_rate": (1e-3, 1e-2), "sigma": ("raw", "abs")},
    {"latent_dim": (2,)},
], ids=lambda factors: "-".join(factors))  # fmt: skip
@pytest.mark.parametrize("draw", [bound_and_parts, arms])
def test_colours_are_of_the_palette_and_axes_have_units(draw: Any, factors: dict[str, Any]) -> None:
    figure = draw(*made(factors))
    for ax in figure.axes:
        drawn = [line.get_color() for line in ax.lines]
        drawn += [colour for points in ax.collections for colour in points.get_facecolor()[:, :3]]
        assert all(is_grey(colour) or to_hex(colour).upper() in PALETTE for colour in drawn)
        lines = [box[0] for box in ax.containers]
        assert len({(each.get_marker(), each.get_linestyle(), each.get_markerfacecolor(), each.get_color())
                    for each in lines}) == len(lines)  # fmt: skip
        assert all(each.get_marker() not in ("", "None", None) for each in lines)
        quantity = ax.get_ylabel() if draw is bound_and_parts else ax.get_xlabel()
        assert quantity.startswith(("nats per image", "latent dimensions"))
        assert ("higher is better" in quantity) == (ax.get_title() not in ("KL to the prior", "KL", "Active units",
                                                                           "active units"))  # fmt: skip


def test_looks_differ() -> None:
    looks = [look(index) for index in range(252)]
    assert len(set(looks)) == 252
    for first, second in itertools.pairwise(looks):
        assert first.colour != second.colour
        assert first.marker != second.marker
        assert first.dash != second.dash


@pytest.mark.parametrize("colour", PALETTE)
def test_letters_in_a_colour_are_dark_enough_to_read(colour: str) -> None:
    """The contrast with white by WCAG 2.2, from the formula for 8-bit channels; a darker shade of the same colour."""
    dark = text_colour(colour)
    channels = [int(dark[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    assert 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05) >= 4.4
    assert all(after <= before for after, before in zip(channels, to_rgb(colour), strict=True))
    assert (dark.upper() == colour) == (colour in ("#0072B2", "#000000"))


def test_lines_of_a_heading_are_about_equally_long() -> None:
    assert balanced("one two three four five", 19) == "one two three\nfour five"
    assert balanced("one two", 40) == "one two"
    assert balanced("unbreakable", 4).replace("\n", "") == "unbreakable"


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts of one panel that cover each other."""
    figure.draw_without_rendering()
    found = []
    for ax in figure.axes:
        shown = [(text.get_text(), text.get_window_extent()) for text in ax.texts]
        found += [(a, b) for (a, one), (b, two) in itertools.combinations(shown, 2) if one.overlaps(two)]
    return found


def test_labels_at_the_ends_of_lines_do_not_overlap() -> None:
    """Seven lines end within a hundredth of a nat of each other."""
    names = ("log-variance", "log-scale", "softplus", "squareplus", "exp-linear", "abs", "raw")
    figure = bound_and_parts(*made({"latent_dim": (2, 10, 20), "sigma": names}, spread=0.01))
    assert figure is not None
    assert not figure.legends
    for ax in figure.axes:
        assert {f"sigma={name}" for name in names} <= {text.get_text() for text in ax.texts}
    assert not overlapping(figure)
    inside = [text.get_window_extent() for ax in figure.axes for text in ax.texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in inside)


def test_many_cells_have_a_legend_within_the_picture() -> None:
    """33 cells with long names."""
    names = ("log-variance", "log-scale", "softplus", "squareplus", "exp-linear", "bounded", "abs", "raw")
    factors = {"latent_dim": (2, 10), "sigma": names, "learning_rate": (1e-4, 1e-3, 1e-2, 1e-1)}
    figure = bound_and_parts(*made(factors))
    assert figure is not None
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert len(legend.get_texts()) == 32
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


def test_places_are_apart() -> None:
    """Two that are too close move by the same amount; the others stay; the limits hold."""
    assert apart([0.5, 0.52, 0.9], 0.1, 0.0, 1.0) == pytest.approx([0.46, 0.56, 0.9])
    assert apart([0.52, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.56, 0.46])
    assert apart([1.0, 1.0], 0.1, 0.0, 1.0) == pytest.approx([0.9, 1.0])
    assert apart([0.0, 0.0, 0.0], 0.1, 0.0, 1.0) == pytest.approx([0.0, 0.1, 0.2])
    assert apart([], 0.1, 0.0, 1.0) == []


def test_places_in_a_plane_are_pushed_apart() -> None:
    """Two that are too close move by the same amount along their line, also if they coincide; one with room stays."""
    found = pushed_apart(np.array([[0.0, 0.0], [0.6, 0.0], [5.0, 5.0]]), 1.0)
    assert found == pytest.approx(np.array([[-0.2, 0.0], [0.8, 0.0], [5.0, 5.0]]), abs=0.005)
    many = pushed_apart(np.zeros((10, 2)), 1.0)
    far = np.linalg.norm(many[:, None] - many[None], axis=-1)[~np.eye(10, dtype=bool)]
    assert far.min() > 0.98
    assert np.abs(many).max() < 3
    assert pushed_apart(np.zeros((1, 2)), 1.0) == pytest.approx(np.zeros((1, 2)), abs=0.0011)


def test_the_heading_gives_the_seeds_of_a_cell_and_not_of_the_study() -> None:
    """Cells may have different numbers of seeds. The seed of a failed run is counted, that of a running one is not."""
    runs, study = made({"latent_dim": (2, 10)}, seeds=3)
    assert "toy, 3 seeds; dots" in figure_title(runs, study, "dots")
    fewer = runs[(runs["latent_dim"] == 2) | (runs["seed"] == 0)]
    assert "toy, 1 to 3 seeds; dots" in figure_title(fewer, study, "dots")
    assert "toy, 1 seed; dots" in figure_title(fewer[fewer["seed"] == 0], study, "dots")
    runs.loc[(runs["latent_dim"] == 10) & (runs["seed"] > 0), "status"] = "FAILED"
    assert "toy, 3 seeds; dots" in figure_title(runs, study, "dots")
    runs["status"] = runs["status"].replace("FAILED", "RUNNING")
    assert "toy, 1 to 3 seeds; dots" in figure_title(runs, study, "dots")


def test_no_bar_runs_off_a_logarithmic_axis() -> None:
    """The interval 1 ± 5 has no lower end above 0: its bar ends at the edge, with an arrow."""
    with house_style():
        ax = Figure().subplots()
    ax.set_yscale("log")
    ax.set_ylim(value_limits([1.0, 100.0, -3.0, np.nan], log=True))
    assert ax.get_ylim() == pytest.approx((1 / 100**0.15, 100 * 100**0.15))
    assert draw_means(ax, [1, 2], [1.0, 100.0], [5.0, 20.0], look(0))
    ((bars,),) = [container[2] for container in ax.containers]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends[0] == pytest.approx([ax.get_ylim()[0], 6.0])
    assert ends[1] == pytest.approx([80.0, 120.0])
    (arrow,) = [line for line in ax.lines if line.get_marker() == "v"]
    assert arrow.get_xdata() == pytest.approx([1])
    assert not draw_means(ax, [1], [50.0], [20.0], look(1))


def test_arms_on_a_logarithmic_axis() -> None:
    runs, study = made({"sigma": ("raw", "abs")})
    runs["test/kl"] = [1.0, 5_000.0, 2.0, 20_000.0]
    figure = arms(runs, study)
    assert figure is not None
    ax = figure.axes[2]
    assert ax.get_xscale() == "log"
    assert ax.get_xlim()[0] > 0
    ends = [segment[:, 0] for box in ax.containers for bars in box[2] for segment in bars.get_segments()]
    assert np.min(ends) > 0


def test_missing_and_failed_cells() -> None:
    runs, study = made({"latent_dim": (2, 10), "sigma": ("raw", "abs")})
    runs.loc[(runs["sigma"] == "abs") & (runs["latent_dim"] == 10), "status"] = "FAILED"
    runs.loc[runs["sigma"] == "raw", "test/kl"] = np.nan
    for draw in (bound_and_parts, arms):
        figure = draw(runs, study)
        assert figure is not None
        assert not overlapping(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["raw", "abs\n(2 of 4 failed)"]


def test_files_for_papers_have_no_date_and_the_same_bytes() -> None:
    first, second = (
        figure_files("figures/a", bound_and_parts(*made({"latent_dim": (2, 10)})), papers=True) for _ in range(2)
    )  # type: ignore[arg-type]
    assert list(first) == ["figures/a.png", "figures/a.pdf", "figures/a.svg"]
    assert first == second
    assert first["figures/a.pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in first["figures/a.pdf"]
    assert b"<dc:date>" not in first["figures/a.svg"]
    assert b"/Type3" not in first["figures/a.pdf"]


@pytest.mark.parametrize("name", [
    "classes", "decoder-sigma", "estimators", "gaussian-floor", "latent-dims", "likelihoods", "m-vs-l",
    "rate-distortion", "sigma", "sigma-signs", "tune",
])  # fmt: skip
def test_every_tabulated_metric_has_a_unit(name: str) -> None:
    assert all(unit_label(metric) for metric in declared_study(name).tabulate)


def test_texts_of_axes() -> None:
    assert field_label("latent_dim") == "D, latent dimensions"
    assert field_label("init_sigma") == "init sigma"
    assert levels_label({"latent_dim": 2, "learning_rate": 1e-3}) == "D=2, learning rate=0.001"
    assert unit_label("test/iwae_5000") == "nats per image, higher is better"
    assert unit_label("test/kl") == "nats per image"
    assert unit_label("my/own") == ""
    assert unit_label("gradient/end/value/var_eps", ";") == "nats², for one image;lower is better"
    assert unit_label("gradient/end/encoder/snr_draws") == "ratio, for one image, higher is better"


@pytest.mark.parametrize(
    ("sweeps", "shown"),
    [
        (["toy", "toy"], "toy, 2 seeds"),
        (["toy~2", "toy~2"], "toy, 2 seeds"),
        (["quick-toy-architecture=conv~3"] * 2, "toy, architecture=conv, 2 seeds"),
        (["toy-architecture=conv", "toy"], "toy, 2 seeds"),
        (["toys", "toys"], "toy, 2 seeds"),
    ],
)
def test_a_heading_names_what_is_particular_to_a_sweep(sweeps: list[str], shown: str) -> None:
    runs, study = made({"latent_dim": (2,)})
    assert figure_title(runs.assign(**{"tags.sweep": sweeps}), study, "x").splitlines()[1] == f"{shown}; x"


def test_the_grid_is_that_of_seaborn() -> None:
    with sns.axes_style("whitegrid"), mpl.rc_context(STYLE):
        wanted = dict(mpl.rcParams)
    with house_style():
        drawn = dict(mpl.rcParams)
    assert {name for name in wanted if drawn[name] != wanted[name]} <= {"image.cmap"}  # no figure uses the default
    seaborn = {name: INK if value == ".15" else value for name, value in sns.axes_style("whitegrid").items()}
    assert {name: seaborn[name] for name in GRID} == GRID
    assert seaborn.keys() - STYLE.keys() == {"image.cmap"}
