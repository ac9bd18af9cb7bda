"""MLflow's pages in a real browser: a finished study, its runs, a figure and the comparison of two runs are shown.

This needs playwright and a Chromium; without one of them it is skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import end, free_port, wait_for_port
from tests.support.studies import run_study, toy
from vaestudy.runtime import addresses
from vaestudy.study.short_names import short_name
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.prepared_view import sweep_link

PATIENCE = 60_000  # milliseconds that a page may take; a browser beside trainings is slow


@pytest.fixture
def pages(mlruns: Path) -> Iterator[str]:
    """Run a small study, serve MLflow's pages of it, and return their address."""
    assert run_study(toy()) == 0
    port = free_port()
    command = [sys.executable, "-m", "vaestudy", "ui", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for_port(port, 120)
        yield f"http://127.0.0.1:{port}/#"
    finally:
        end(server)


@pytest.mark.slow
def test_a_finished_study_is_shown(browser: Any, pages: str) -> None:
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()["toy"]
    children = tracker.runs(experiment, {"role": "trial"})
    (sweep,) = tracker.runs(experiment, {"role": "study"})["run_id"]
    page, errors = opened(browser)

    page.goto(f"{pages}/experiments")
    page.get_by_text("toy", exact=True).first.wait_for()

    page.goto(f"{pages}/experiments/{experiment}/runs")
    page.get_by_text(f"{len(children) + 1} matching runs").wait_for()
    row = page.locator("[role=gridcell]", has_text="toy mnist-5k").first
    row.locator("button").first.click()  # the runs of the cells are nested under the sweep's own run
    for name in children["name"]:
        page.get_by_text(short_name(name), exact=True).first.wait_for()

    page.goto(f"{pages}/experiments/{experiment}/runs/{sweep}/artifacts/figures/bound_and_parts.png")
    figure = page.get_by_alt_text("figures/bound_and_parts.png")
    figure.wait_for()
    page.wait_for_function("image => image.naturalWidth > 400", arg=figure.element_handle())

    two = children["run_id"].tolist()[:2]
    page.goto(f"{pages}/compare-runs?runs={json.dumps(two)}&experiments={json.dumps([experiment])}")
    page.get_by_text("Comparing 2 Runs").wait_for()
    for run_id in two:
        page.get_by_text(run_id).first.wait_for()
    assert errors == []
    page.close()


@pytest.mark.slow
def test_the_prepared_view_opens_with_its_columns(browser: Any, pages: str) -> None:
    """The printed link shows the runs of the sweep, without its own run, with the factor and the tabulated metrics."""
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()["toy"]
    children = tracker.runs(experiment, {"role": "trial"})
    (sweep,) = tracker.runs(experiment, {"role": "study"})["run_id"]
    page, errors = opened(browser)

    link = sweep_link(tracker, experiment, sweep)
    assert "viewStateShareKey" in link
    page.goto(pages.removesuffix("/#") + link[link.index("/#/") :])
    page.get_by_text(f"{len(children)} matching runs").wait_for()
    for heading in ("latent_dim", "seed", *toy().tabulate):
        page.locator("[role=columnheader]", has_text=heading).first.wait_for()
    for name in children["name"]:
        page.get_by_text(short_name(name), exact=True).first.wait_for()
    for elbo in children["metrics.test/elbo"]:
        page.locator("[role=gridcell]", has_text=str(elbo)[:6]).first.wait_for()
    assert page.get_by_text("toy mnist-5k", exact=True).count() == 0  # the sweep's own run

    page.goto(f"{pages}/experiments/{experiment}/runs/{sweep}?workflowType=machine_learning")
    picture = page.locator("img[src*='get-artifact']").first
    picture.wait_for()
    page.wait_for_function("image => image.naturalWidth === 640", arg=picture.element_handle())
    assert errors == []
    page.close()


def opened(browser: Any) -> tuple[Any, list[str]]:
    """Return a new page that is wide enough for all columns, and the list of errors that its code will report."""
    page, errors = browser.new_page(viewport={"width": 2200, "height": 1000}), []
    page.set_default_timeout(PATIENCE)

    def note(error: Any) -> None:
        if "ResizeObserver" not in str(error):  # a notice of Chromium, not a fault
            errors.append(str(error))

    page.on("pageerror", note)
    return page, errors
