"""The page of a sweep in MLflow: the finding follows from the table, and the picture is one that was drawn."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.reporting.test_summary import STUDY, VALUES, runs
from vaestudy.plotting import to_png
from vaestudy.reporting import runs_frame, sweep_page
from vaestudy.reporting.finding import best_cell, finding
from vaestudy.reporting.tables import summary
from vaestudy.study.declaration import Study
from vaestudy.study.metrics import lower_is_better


def table_of(values: dict[tuple[int, int], float], study: Study = STUDY) -> summary.Table:
    """Return the table of runs with these ELBOs: (D, seed) -> ELBO."""
    return summary.summarise(runs_frame.tidy_runs(runs(values), study), study)


def test_the_best_cell_beats_the_baseline() -> None:
    """The means are -111 and -151, the differences 40, 41 and 39: 40 ± 4.30265 / sqrt 3 = 40 ± 2.48."""
    text = finding(table_of(VALUES), STUDY)
    assert text == (
        "Of 2 cells, latent_dim=10 has the best ELBO: -111.00 ± 2.48 (3 seeds). "
        "Its difference to the baseline, latent_dim=2, is +40.00 ± 2.48 at the same seeds; this 95 % interval does not "
        "contain zero. Of the 1 cell compared with the baseline, 1 are better, 0 worse and 0 not told apart from it "
        "(each by its own 95 % interval)."
    )
    best = best_cell(table_of(VALUES), STUDY)
    assert best is not None
    assert best.numbers["best/test/elbo"] == pytest.approx(-111)
    assert best.numbers["best/test/elbo_diff"] == pytest.approx(40)
    assert best.numbers["best/test/elbo_diff_ci95"] == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


def test_a_difference_that_is_not_shown() -> None:
    values = VALUES | {(10, 0): -149.0, (10, 1): -153.0, (10, 2): -150.0}
    text = finding(table_of(values), STUDY)
    assert "contains zero, so no difference is shown" in text
    assert "0 are better, 0 worse and 1 not told apart" in text


def test_the_baseline_is_the_best() -> None:
    text = finding(table_of({key: -value for key, value in VALUES.items()}), STUDY)
    assert "latent_dim=2 has the best ELBO" in text
    assert "It is the baseline itself." in text
    assert "0 are better, 1 worse" in text


def test_one_seed_has_no_interval() -> None:
    text = finding(table_of({key: value for key, value in VALUES.items() if key[1] == 0}), STUDY)
    assert "(1 seed)" in text
    assert "from one seed and so without an interval" in text
    assert "nan" not in text


def test_a_baseline_that_was_not_run() -> None:
    text = finding(table_of({(10, 0): -110.0, (10, 1): -111.0, (5, 0): -120.0}), STUDY)
    assert "No run of the baseline, latent_dim=2, has finished" in text


def test_no_cell_is_best_where_neither_more_nor_less_is_better() -> None:
    study = Study(**(vars(STUDY) | {"tabulate": ("test/kl",)}))
    table = table_of(VALUES, study)
    assert best_cell(table, study) is None
    assert finding(table, study) == ""
    assert not [name for name in sweep_page.sweep_metrics(tidy(study), table, study) if name.startswith("best/")]


def tidy(study: Study) -> pd.DataFrame:
    """Return the tidy runs of `VALUES`."""
    return runs_frame.tidy_runs(runs(VALUES), study)


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("test/elbo", False),
        ("valid/elbo", False),
        ("test/iwae_100", False),
        ("test/bits_per_dim", True),
        ("test/mse", True),
        ("seconds/train", True),
        ("seconds_per_epoch", True),
        ("test/class_0/elbo", False),
        ("test/kl", None),
        ("test/active_units", None),
        ("test/unclear_data", None),
        ("test/mass_at_0", None),
        ("gradient/end/encoder/snr_draws", False),
        ("gradient/end/all/var_eps", True),
        ("gradient/start/stl/all/variance", True),
        ("epochs_to_common_target", True),
    ],
)
def test_which_way_is_better(metric: str, lower: bool | None) -> None:
    assert lower_is_better(metric) is lower


def test_the_description_begins_with_question_finding_and_picture() -> None:
    table = table_of(VALUES)
    drawn = ["tables/table.csv", "figures/bound_and_parts.png"]
    text = sweep_page.description(STUDY, table, table.notes, False, "0123", drawn)
    question, found, picture, rows = text.split("\n\n")[:4]
    assert question == "## Does it?"
    assert found == finding(table, STUDY)
    assert picture == ("![figures/bound_and_parts.png](get-artifact?path=preview.png&run_uuid=0123)")
    assert rows.startswith("|")
    assert "get-artifact" not in sweep_page.description(STUDY, table, table.notes, False, "0123", drawn[:1])


def test_the_preview_is_small() -> None:
    figure = Figure(figsize=(12, 4))
    small = Image.open(io.BytesIO(sweep_page.preview(to_png(figure))))
    assert small.size == (sweep_page.PREVIEW_WIDTH, pytest.approx(sweep_page.PREVIEW_WIDTH / 3, abs=1))
