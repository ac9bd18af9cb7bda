"""The report as one web page that stands alone: the pictures are inside, and nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vaestudy.claims.report.contents import Report
from vaestudy.reporting.pages import Picture, rendered

TEMPLATE = "page.html.j2"


def web_page(report: Report, pictures: Mapping[str, Picture]) -> str:
    """Return the report as HTML. All text is escaped.

    Args:
        report: the contents.
        pictures: name of a claim -> its picture.
    """
    return rendered(Path(__file__).parent / TEMPLATE, report=report, pictures=pictures)
