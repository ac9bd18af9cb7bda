"""The command `vaestudy article`: its flags and their checks. Nothing slow is imported before these are made.

The work is in `cli/article_work.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vaestudy.claims.registry import CLAIMS
from vaestudy.cli.article_request import Request
from vaestudy.cli.evidence_flags import EvidenceFlags, locations_of, require_folder, require_together
from vaestudy.cli.flags import Parser, add_fields, flag, split_lists
from vaestudy.cli.parsing import add_location_flags
from vaestudy.config.fields import Choice, Count
from vaestudy.config.messages import validated
from vaestudy.errors import BadInput
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.runtime.paths import mlruns
from vaestudy.runtime.project import repository
from vaestudy.sweep.sweep_options import Locations

NOT_TOGETHER = {
    "plan": ("until_decided", "publish", "out"),
    "offline": ("quick", "until_decided", "workers", "retries", "data_dir", "tracking_uri"),
    "publish": ("claims", "quick", "out"),
    "quick": ("until_decided",),
}
"""Flag -> flags that do not go with it."""


class ArticleFlags(EvidenceFlags):
    """The flags of the command. The docstrings of the fields are the help of the flags."""

    claims: Annotated[tuple[Annotated[str, AfterValidator(Choice("claim", *CLAIMS))], ...], Field(min_length=1)] = (
        *CLAIMS,
    )
    """The claims to run and to report. Holm's correction is for all claims in any case."""
    until_decided: bool = False
    """Train the further seeds that would decide the undecided claims, and judge again; a claim is judged three times at
    most."""
    most_seeds: Count = 30
    """With --until-decided: the largest number of seeds of an arm."""
    publish: bool = False
    """Write the report to docs/, its runs to docs/data/ and the table of claims to README.md."""
    out: Annotated[str, Field(json_schema_extra={"metavar": "FOLDER"})] = ""
    """Folder of the report [default: mlruns/article/DATASET]."""


def article_command(arguments: list[str]) -> int:
    """judge the claims of the article, and write the report"""
    about = "Train the missing runs of the article's claims, judge the claims, and write the report."
    parser = Parser("vaestudy article", about)
    add_fields(parser, ArticleFlags, "the article", switches=True)
    add_location_flags(parser, "data_dir", "tracking_uri")
    values = split_lists(parser.parse(arguments))
    require_together(values, NOT_TOGETHER)
    if "most_seeds" in values and "until_decided" not in values:
        raise BadInput(f"--most-seeds {values['most_seeds']}: only with --until-decided")
    locations = locations_of(values)
    request = _request(flags := validated(ArticleFlags, values, flag), locations)
    with gc_paused():
        from vaestudy.cli import article_work

    return article_work.show_plan(request) if flags.plan else article_work.make_article(request)


def _request(flags: ArticleFlags, locations: Locations | None) -> Request:
    """Return the request of valid flags.

    Raises:
        BadInput: the report cannot be written to its folder.
    """
    own = mlruns() / "article" / f"{flags.dataset_to_use}{'-quick' if flags.quick else ''}"
    out = repository() / "docs" if flags.publish else Path(flags.out).absolute() if flags.out else own
    if not flags.plan:
        require_folder(out, f"--out {flags.out}" if flags.out else f"the folder of the report, {out}")
    return Request(
        dataset=flags.dataset_to_use,
        quick=flags.quick,
        options=flags.options,
        locations=locations,
        out=out,
        publish=flags.publish,
        claims=tuple(name for name in CLAIMS if name in flags.claims),
        most_seeds=flags.most_seeds,
        until_decided=flags.until_decided,
    )
