"""The files of the report, and what publishes it in docs/, docs/data/ and the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vaestudy.claims.committed import committed_files
from vaestudy.claims.family import FamilyVerdict
from vaestudy.claims.looks import COMMITTED, Looks
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.contents import Report
from vaestudy.claims.report.figure import alternative_text, claim_figure
from vaestudy.claims.report.markdown import PICTURES, markdown, readme_table, with_table
from vaestudy.claims.report.page import web_page
from vaestudy.evidence.evidence import Evidence
from vaestudy.plotting import to_png
from vaestudy.reporting.files import read_text
from vaestudy.reporting.pages import Picture

PAGE, TEXT = "claims.html", "claims.md"
"""The names of the report's files."""
DOTS = 100
"""Dots per inch of a picture. It is low to keep files small: the page contains a picture for each claim."""


def report_files(report: Report, family: Sequence[FamilyVerdict]) -> dict[str, bytes]:
    """Return the files of the report: path -> content."""
    shown = {claim.id for claim in report.claims}
    verdicts = {each.alone.claim.id: each.alone for each in family if each.alone.claim.id in shown}
    pictures = {
        name: Picture(to_png(claim_figure(verdict, report.quick), DOTS), alternative_text(verdict))
        for name, verdict in verdicts.items()
    }
    texts = {name: picture.text for name, picture in pictures.items()}
    return {
        PAGE: web_page(report, pictures).encode(),
        TEXT: markdown(report, texts).encode(),
        **{f"{PICTURES}/{name}.png": picture.png for name, picture in pictures.items()},
    }


def data_files(evidence: Evidence, looks: Looks) -> dict[str, bytes]:
    """Return the committed files of the runs and of the looks: name -> content."""
    files = {name: text.encode() for name, text in committed_files(CLAIMS.values(), evidence).items()}
    return files | ({COMMITTED: looks.text().encode()} if looks.further else {})


def new_readme(readme: Path, report: Report) -> bytes:
    """Return the README with the table of claims of a report.

    Raises:
        BadInput: there is no README, or it has no marks for the table.
    """
    return with_table(read_text(readme), readme_table(report)).encode()


def require_marks(readme: Path) -> None:
    """Raise unless the README can be read and has the two marks around the table of claims.

    Raises:
        BadInput: there is no README, or it has no marks for the table.
    """
    with_table(read_text(readme), "")
