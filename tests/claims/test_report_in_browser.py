"""The report in a real browser: every picture is loaded, every link within the page leads somewhere, no error is shown.

This needs playwright and a Chromium; without one of them it is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.reports import all_runs, report_on
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.files import PAGE, report_files
from vaestudy.reporting.files import write_files


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens(browser: Any, tmp_path: Path, scheme: str) -> None:
    some = [CLAIMS[name] for name in ("C4", "C14")]
    write_files(tmp_path, report_files(*report_on(all_runs("C4", "C14"), some)))
    page, problems, requests = browser.new_page(color_scheme=scheme), [], []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / PAGE).as_uri())
    widths = page.eval_on_selector_all("img", "images => images.map(i => i.complete ? i.naturalWidth : 0)")
    assert len(widths) == 2
    assert min(widths) > 400
    assert problems == []
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    targets = page.eval_on_selector_all(
        "a[href^='#']", "links => links.map(a => document.querySelector(a.getAttribute('href')) !== null)"
    )
    assert targets
    assert all(targets)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the claims"
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400  # wide tables scroll in their own box
    page.close()


def test_the_summary_prints_on_one_page(browser: Any, tmp_path: Path) -> None:
    """A4 with margins of 10 mm is 718 x 1047 of a browser's pixels. Most claims are undecided: the longest text."""
    write_files(tmp_path, report_files(*report_on(all_runs())))
    page = browser.new_page(viewport={"width": 718, "height": 1047})
    page.emulate_media(media="print")
    page.goto((tmp_path / PAGE).as_uri())
    assert page.eval_on_selector_all(".summary tbody tr", "rows => rows.length") == len(CLAIMS)
    assert page.eval_on_selector(".summary", "table => table.getBoundingClientRect().bottom") <= 1047
    page.close()
