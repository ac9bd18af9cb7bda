"""The report as one web page that stands alone: the pictures are inside, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from vaestudy.claims.report.contents import Report

TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Picture:
    """The picture of a claim."""

    png: bytes
    text: str
    """What it shows, for readers who do not see it."""

    @property
    def address(self) -> str:
        """Return the picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def web_page(report: Report, pictures: Mapping[str, Picture]) -> str:
    """Return the report as HTML. All text is escaped.

    Args:
        report: the contents.
        pictures: name of a claim -> its picture.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(report=report, pictures=pictures)
