"""The command `vaestudy article`: its flags and their checks. Nothing slow is imported before these are made.

The work is in `cli/article_work.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vaestudy.claims.registry import CLAIMS
from vaestudy.cli.article_request import PUBLISHED, Request
from vaestudy.cli.flags import Parser, add_fields, flag, split_lists
from vaestudy.cli.parsing import add_location_flags, data_root_of
from vaestudy.config.fields import Choice, Count, CountOrZero
from vaestudy.config.messages import validated
from vaestudy.config.registry import DATASETS
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.runtime.paths import mlruns
from vaestudy.runtime.project import repository
from vaestudy.sweep.sweep_options import Locations, SweepOptions

NOT_TOGETHER = {
    "plan": ("until_decided", "publish", "out"),
    "offline": ("quick", "until_decided", "workers", "retries", "data_dir", "tracking_uri"),
    "publish": ("claims", "quick", "out"),
    "quick": ("until_decided",),
}
"""Flag -> flags that do not go with it."""


PUBLISHED_SETS = tuple(name for name in DATASETS if not DATASETS[name].by_content)
"""The data sets of which the keys of all runs are known before the data is read."""


class ArticleFlags(BaseModel):
    """The flags of the command. The docstrings of the fields are the help of the flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    claims: Annotated[tuple[Annotated[str, AfterValidator(Choice("claim", *CLAIMS))], ...], Field(min_length=1)] = (
        *CLAIMS,
    )
    """The claims to run and to report. Holm's correction is for all claims in any case."""
    dataset: Annotated[str, AfterValidator(Choice("dataset", *PUBLISHED_SETS))] = ""
    """The data set of all runs [default: mnist; with --quick mnist-5k]."""
    quick: bool = False
    """Few images, few epochs and two seeds of each arm, in under five minutes: a look, not a result."""
    plan: bool = False
    """Show the runs that are there and those that are missing. Run nothing and write nothing."""
    until_decided: bool = False
    """Add seeds to the claims that are undecided, as the plan says, and judge them again: three looks at most."""
    most_seeds: Count = 30
    """With --until-decided: the largest number of seeds of an arm."""
    offline: bool = False
    """Use the committed runs of docs/data only; run nothing."""
    publish: bool = False
    """Write the report to docs/, its runs to docs/data/ and the table of claims to README.md."""
    out: Annotated[str, Field(json_schema_extra={"metavar": "FOLDER"})] = ""
    """Folder of the report [default: mlruns/article/ and the data set]."""
    workers: CountOrZero | None = None
    """Number of worker processes. Each executes one run at a time [default: the cores; 0: this process]."""
    retries: CountOrZero = 1
    """How often a crashed run is repeated."""


def article_command(arguments: list[str]) -> int:
    """judge the claims of the article, and write the report"""
    parser = Parser("vaestudy article", "Run what the article's claims need and lack, judge them, write the report.")
    add_fields(parser, ArticleFlags, "the article", switches=True)
    add_location_flags(parser, "data_dir", "tracking_uri")
    values = split_lists(parser.parse(arguments))
    require_together(values)
    root = None if "offline" in values else data_root_of(values)
    uri = None if "offline" in values else addresses.tracking_uri(values.pop("tracking_uri", None), must_answer=False)
    flags = validated(ArticleFlags, values, flag)
    request = _request(flags, None if root is None or uri is None else Locations(root, uri))
    with gc_paused():
        from vaestudy.cli import article_work

    return article_work.show_plan(request) if flags.plan else article_work.make_article(request)


def require_together(values: dict[str, Any]) -> None:
    """Raise unless the flags that were given go together.

    Raises:
        BadInput: two flags do not, or `--most-seeds` stands alone.
    """
    for name, others in NOT_TOGETHER.items():
        if name in values and (other := next((each for each in others if each in values), None)):
            raise BadInput(f"{flag(other)}: not with {flag(name)}")
    if "most_seeds" in values and "until_decided" not in values:
        raise BadInput(f"--most-seeds {values['most_seeds']}: only with --until-decided")
    if "publish" in values and values.get("dataset", PUBLISHED) != PUBLISHED:
        raise BadInput(f"--dataset {values['dataset']}: not with --publish, which is for {PUBLISHED}")


def _request(flags: ArticleFlags, locations: Locations | None) -> Request:
    """Return the request of valid flags.

    Raises:
        BadInput: the report cannot be written to its folder.
    """
    dataset = flags.dataset or ("mnist-5k" if flags.quick else PUBLISHED)
    own = mlruns() / "article" / f"{dataset}{'-quick' if flags.quick else ''}"
    out = repository() / "docs" if flags.publish else Path(flags.out).absolute() if flags.out else own
    if (blocker := next((path for path in (out, *out.parents) if path.exists()), out)) and not blocker.is_dir():
        raise BadInput(f"--out {flags.out or out}: {blocker} is no folder")
    return Request(
        claims=tuple(name for name in CLAIMS if name in flags.claims),
        dataset=dataset,
        quick=flags.quick,
        options=SweepOptions(quick=flags.quick, workers=flags.workers, retries=flags.retries),
        locations=locations,
        out=out,
        most_seeds=flags.most_seeds,
        until_decided=flags.until_decided,
        publish=flags.publish,
    )
