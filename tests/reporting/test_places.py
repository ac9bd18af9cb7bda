"""Notes and titles: no place of a machine in them, and no line of a web page that ends beside a ±."""

from __future__ import annotations

from pathlib import Path

import markupsafe
import pandas as pd
import pytest

from tests.reporting.test_export import exported
from tests.reporting.test_summary import STUDY, VALUES, runs
from vaestudy.reporting import pages
from vaestudy.reporting.places import readable_sweep, without_places
from vaestudy.reporting.table_files import table_files
from vaestudy.reporting.tables.summary import Table
from vaestudy.tracking.mlflow_tracker import DESCRIPTION


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "MNIST is neither under /home/me/my data (/x/train.gz is damaged) nor quickly downloaded; using mnist-5k.",
            "MNIST is neither on disk nor quickly downloaded; using mnist-5k.",
        ),
        ("Data: /home/me/faces.npz (10 train images)", "Data: faces.npz (10 train images)"),
        ("OSError: [Errno 2] No such file: '/tmp/a b/c.png'", "OSError: [Errno 2] No such file: 'a b/c.png'"),
        (r"Data: C:\\Users\\me\\faces.npz, 10 images".replace("\\\\", "\\"), "Data: faces.npz, 10 images"),
        ("~/data/x.npz and /data", "x.npz and data"),
        ("test/elbo, bits/dim, abs(log-lik.)/KL, |x - E[x|z]|^2 / |x|^2", None),
        ("https://example.org/a/b and s/run 1/2/3", None),
    ],
)
def test_a_note_without_places(text: str, expected: str | None) -> None:
    assert without_places(text) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [("mnist-5k~2", "mnist-5k, generation 2"), ("mnist-5k~12", "mnist-5k, generation 12"), ("mnist", "mnist")],
)
def test_the_title_of_a_sweep_that_was_begun_anew(sweep: str, expected: str) -> None:
    assert readable_sweep(sweep) == expected


def test_every_file_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note and the generation of a sweep run, in the files, on the terminal and in MLflow's description."""
    row = {
        "tags.sweep": "toy~3",
        "tags.quick": "False",
        "tags.note": "MNIST is neither under /r/d nor quickly downloaded",
    }
    monkeypatch.setattr("tests.reporting.test_export.FakeTracker.get", lambda self, run_id: row)
    result, tracker = exported(STUDY.model_copy(update={"figures": ()}), runs(VALUES))
    texts = [tracker.written[f"tables/table.{ending}"].decode() for ending in ("md", "tex", "html")]
    for text in (*texts, tracker.tags[DESCRIPTION], "\n".join(result.notes)):
        assert "neither on disk nor" in text
        assert "/r/d" not in text
    for text in texts:
        assert "Does it? (toy, generation 3)" in text
        assert "~3" not in text
    assert result.screens[0].title == "Does it? (toy, generation 3)"


def test_no_line_of_a_page_ends_beside_a_plus_minus(tmp_path: Path) -> None:
    shown = pd.DataFrame({"ELBO": ["-1.0 ± 0.2"]})
    page = table_files("table", Table(shown, shown, []), "Title", ["a ± b"])["tables/table.html"].decode()
    assert "-1.0\u00a0±\u00a00.2" in page
    assert "a\u00a0±\u00a0b" in page
    assert not {"± ", " ±"} & {page[i : i + 2] for i in range(len(page))}
    (tmp_path / "page.html.j2").write_text("{{ cell }}|{{ number }}|{{ html }}", encoding="utf-8")
    values = {"cell": "1 ± 2 <b>", "number": 3, "html": markupsafe.Markup("<i>4 ± 5</i>")}
    found = pages.rendered(tmp_path / "page.html.j2", **values)
    assert found == "1\u00a0±\u00a02 &lt;b&gt;|3|<i>4\u00a0±\u00a05</i>"
