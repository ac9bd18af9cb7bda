"""Web pages that stand alone: the pictures are inside, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from vaestudy.reporting.escaping import unbroken


@dataclass(frozen=True)
class Picture:
    """A picture that is shown on a page."""

    png: bytes
    text: str
    """A description of the picture, for readers who cannot see it."""

    @property
    def address(self) -> str:
        """Return the picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def rendered(template: Path, **values: Any) -> str:
    """Return a page as HTML. All text in the values is escaped, and no line ends beside a ± in it.

    Args:
        template: the page's template. It may include `page_style.css`, the style of all pages.
        values: what the template shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        finalize=lambda value: unbroken(value) if isinstance(value, str) else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)
