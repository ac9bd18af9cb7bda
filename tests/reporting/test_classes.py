"""Tables and figures of the class scores."""

from __future__ import annotations

import io
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from tests.support.studies import toy
from vaestudy.cli.study import study_main
from vaestudy.config.registry import STUDY_FIGURES, STUDY_TABLES
from vaestudy.plotting import to_png
from vaestudy.reporting.tables import classes
from vaestudy.study.declaration import Study

PLANE = np.random.default_rng(0).normal(size=(10, 2))


def study(**changes: object) -> Study:
    fields = {
        "factors": {"latent_dim": (2, 10)},
        "full": {},
        "base": toy().base.with_changes(class_scores=True),
        "tables": ("by_class", "overlaps", "clarity", "same_plane"),
        "figures": ("class_panels", "clarity_panels", "class_neighbours", "class_planes"),
        "tabulate": ("test/elbo", "test/neighbour_purity"),
    }
    return toy(**(fields | changes))


def runs(seeds: int = 4) -> pd.DataFrame:
    """Return tidy runs with numbers that can be calculated by hand.

    At D=2 all seeds have the same layout of classes, rotated by 0, 30, 60, ... degrees.
    """
    rows = []
    for D, seed in itertools.product((2, 10), range(seeds)):
        row = {"run_id": f"{D}-{seed}", "status": "FINISHED", "latent_dim": D, "seed": seed,
               "tags.data.name": "toy", "params.subset": "null"}  # fmt: skip
        for kind, name in itertools.product(
            ("data", "reconstruction", "prior"), ("unclear", "class_entropy", "greyness")
        ):
            row[f"test/{name}_{kind}"] = 0.1 if kind == "data" else 0.2 + 0.01 * seed
        row |= {"test/recognised_data": 0.98, "test/recognised_reconstruction": 0.9}
        angle = math.radians(30 * seed)
        turned = PLANE @ [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        for c in range(10):
            head = f"test/class_{c}"
            row |= {f"{head}/elbo": -100.0 - c, f"{head}/log_likelihood": -80.0, f"{head}/relative_error": 0.2,
                    f"{head}/recognised_reconstruction": 0.9 - 0.01 * c, f"{head}/recognised_data": 0.99,
                    f"{head}/neighbour_purity": 0.55}  # fmt: skip
            row |= {f"{head}/neighbours_{other}": 0.55 if other == c else 0.05 for other in range(10)}
            if D == 2:
                row |= {f"{head}/mu_1": turned[c, 0], f"{head}/mu_2": turned[c, 1]}
        row["test/class_4/neighbours_9"] = 0.3 + 0.01 * seed
        row["test/class_9/neighbours_4"] = 0.2
        rows.append(row)
    return pd.DataFrame(rows)


def test_each_class_has_a_row() -> None:
    table = classes.by_class(runs(), study())
    assert table is not None
    assert len(table.full) == len(table.shown) == 20
    four = table.full[(table.full["class"] == 4) & (table.full["latent_dim"] == 2)].iloc[0]
    assert (four["nearest_other"], four["nearest_share"]) == (9, pytest.approx(0.315))
    half = 3.182446 * np.std([0.30, 0.31, 0.32, 0.33], ddof=1) / 2
    assert four["nearest_share_ci95"] == pytest.approx(half, rel=1e-5)
    assert table.shown.iloc[4]["nearest other"] == f"9: 0.315 ± {half:.3f}"
    assert table.shown.iloc[4]["recognised"] == "0.860 ± 0.000"
    assert "4: 0.990" in " ".join(table.notes)


def test_nats_of_two_families_stand_in_no_column() -> None:
    base = study().base.with_changes(pixels="dequantised")
    factors = {"likelihood": ("bernoulli", "gaussian"), "latent_dim": (2,)}
    baseline = {"likelihood": "bernoulli", "latent_dim": 2}
    mixed = study(base=base, factors=factors, baseline=baseline, tabulate=("test/neighbour_purity",))
    both = pd.concat([runs().assign(likelihood=name) for name in factors["likelihood"]])
    table = classes.by_class(both[both["latent_dim"] == 2], mixed)
    assert table is not None
    assert not {"ELBO", "log-lik."} & set(table.shown)
    assert not {"elbo", "log_likelihood"} & set(table.full)


def test_the_pair_that_overlaps_most() -> None:
    table = classes.overlaps(runs(), study())
    assert table is not None
    first = table.full.iloc[0]
    assert (first["pair"], first["most"], first["seeds"]) == ("4 and 9", 4, 4)
    assert first["share"] == pytest.approx((0.315 + 0.2) / 2)
    assert table.shown.iloc[0]["first in"] == "4 of 4 seeds"


def test_clarity_has_a_row_for_each_kind_of_picture() -> None:
    table = classes.clarity(runs(), study())
    assert table is not None
    assert table.shown["pictures"].tolist() == ["test images", "reconstructions", "samples of the prior"] * 2
    assert table.shown["unclear"].tolist()[:2] == ["0.100", "0.215 ± 0.021"]
    assert table.shown["recognised"].tolist()[:3] == ["0.980", "0.900 ± 0.000", ""]


def test_planes_that_are_turned() -> None:
    """Four layouts at 0, 30, 60 and 90 degrees form six pairs.

    A rotation aligns all six pairs. Flips and swaps align only the pair that is 90 degrees apart.
    """
    table = classes.same_plane(runs(), study())
    assert table is not None
    flips, rotations = table.full.to_dict("records")
    assert (flips["pairs"], rotations["pairs"]) == (6, 6)
    assert rotations["most"] == pytest.approx(0, abs=1e-9)
    assert rotations["alike"] == 6
    assert flips["least"] == pytest.approx(0, abs=1e-9)
    assert flips["median"] > 0.2
    assert 0.3 < rotations["unrelated_5_percent"] < rotations["unrelated_median"] < 1


def test_unrelated_planes_are_seldom_alike() -> None:
    """Of the pairs of unrelated layouts, one in twenty is counted as alike by chance: 9.5 ± 3.0 of 190."""
    frame = runs(20)
    rng = np.random.default_rng(1)
    for c, d in itertools.product(range(10), (1, 2)):
        frame[f"test/class_{c}/mu_{d}"] = rng.normal(size=len(frame))
    table = classes.same_plane(frame[frame["latent_dim"] == 2], study())
    assert table is not None
    for row in table.full.to_dict("records"):
        assert row["pairs"] == 190
        assert 0 < row["alike"] < 9.5 + 4 * 3.0


def test_what_the_runs_have_nothing_to_say_of() -> None:
    bare = runs()[["run_id", "status", "latent_dim", "seed", "tags.data.name", "params.subset"]]
    for name in study().tables:
        assert STUDY_TABLES.load(name)(bare, study()) is None
    for name in study().figures:
        assert STUDY_FIGURES.load(name)(bare, study()) is None
    assert classes.same_plane(runs(1), study()) is None
    assert STUDY_FIGURES.load("class_planes")(runs(1), study()) is None


def test_a_class_without_test_images_is_left_out() -> None:
    """A test split with few images may have no image of some class."""
    few = runs().drop(columns=[c for c in runs() if "/class_0/" in c])
    tables = {name: STUDY_TABLES.load(name)(few, study()) for name in study().tables}
    assert tables["by_class"].full["class"].tolist() == list(range(1, 10)) * 2
    assert "of 36 pairs" in tables["overlaps"].notes[0]
    assert len(tables["same_plane"].full) == 2
    for name in study().figures:
        assert STUDY_FIGURES.load(name)(few, study()) is not None


@pytest.mark.parametrize("name", study().figures)
def test_pictures_show_something(name: str) -> None:
    figure = STUDY_FIGURES.load(name)(runs(), study())
    assert figure is not None
    pixels = image.imread(io.BytesIO(to_png(figure)))
    assert (pixels[..., :3] < 0.9).any(-1).mean() > 0.002


def test_the_planes_give_the_number_of_the_table_beside_that_of_the_pairs_shown() -> None:
    """The table and claim C13 take all pairs of seeds, the picture shows those with the first seed."""
    frame = runs()
    figure, table = STUDY_FIGURES.load("class_planes")(frame, study()), classes.same_plane(frame, study())
    assert figure is not None
    assert table is not None
    medians = table.full[table.full["latent_dim"] == 2]["median"]
    for ax, median in zip(figure.axes[1:], medians, strict=True):
        assert f"{median:.2f} for all pairs of seeds (C13)" in ax.get_title()
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes[1:]}) == 1


def test_ellipses_and_numerals_of_the_planes_are_in_their_panels() -> None:
    """The numerals of the classes do not cover each other, however close the classes are."""
    frame = runs()
    for column in ("mu_1", "mu_2"):
        frame[f"test/class_3/{column}"] = frame[f"test/class_8/{column}"]
    figure = STUDY_FIGURES.load("class_planes")(frame, study())
    assert figure is not None
    figure.draw_without_rendering()
    for ax in figure.axes[1:]:
        for patch in ax.patches:
            ends = ax.transData.inverted().transform(patch.get_transform().transform_path(patch.get_path()).vertices)
            assert (ends > [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
            assert (ends < [ax.get_xlim()[1], ax.get_ylim()[1]]).all()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == 10
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_headings_and_labels_of_the_neighbours_are_in_the_picture() -> None:
    figure = STUDY_FIGURES.load("class_neighbours")(runs(), study())
    assert figure is not None
    figure.draw_without_rendering()
    (heading,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    for ax in figure.axes:
        assert ax.xaxis.label.get_window_extent().y0 >= 0
        assert not ax.title.get_window_extent().overlaps(heading.get_window_extent())


@pytest.mark.slow
def test_the_whole_way(mlruns: Path) -> None:
    assert study_main(study(base=study().base.with_changes(subset=200)), ["--workers", "0"]) == 0
    folder = mlruns / "tables" / "toy"
    for name in study().tables:
        assert (folder / f"{name}.csv").stat().st_size > 100
    for name in study().figures:
        assert (folder / f"{name}.png").stat().st_size > 5_000
    head = (folder / "runs.csv").read_text().splitlines()[0]
    assert "test/class_9/neighbours_4" in head
