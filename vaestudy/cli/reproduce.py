"""The command `vaestudy reproduce`: its flags and their checks. Nothing slow is imported before these are made.

The work is in `cli/reproduce_work.py`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from vaestudy.cli.evidence_flags import EvidenceFlags, locations_of, require_folder, require_together
from vaestudy.cli.flags import Parser, add_fields, flag, split_lists
from vaestudy.cli.parsing import add_location_flags
from vaestudy.cli.reproduce_request import ReproduceRequest
from vaestudy.config.fields import Choice, Count
from vaestudy.config.messages import validated
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.runtime.paths import mlruns
from vaestudy.runtime.project import repository
from vaestudy.sweep.sweep_options import Locations

NOT_TOGETHER = {
    "plan": ("publish",),
    "offline": ("quick", "seeds", "workers", "retries", "data_dir", "tracking_uri"),
    "publish": ("protocols", "quick", "seeds"),
    "quick": ("seeds",),
}
"""Flag -> flags that do not go with it."""


class ReproduceFlags(EvidenceFlags):
    """The flags of the command. The docstrings of the fields are the help of the flags."""

    protocols: Annotated[
        tuple[Annotated[str, AfterValidator(Choice("protocol", *PROTOCOLS))], ...], Field(min_length=1)
    ] = (*PROTOCOLS,)
    """The published protocols to run and to compare."""
    seeds: Count | None = None
    """The number of seeds of each protocol [default: the protocol's own]."""
    publish: bool = False
    """Write the table to docs/reproduce.md, and its runs to docs/data/."""


def reproduce_command(arguments: list[str]) -> int:
    """run published protocols, and compare the results with the published numbers"""
    about = "Train the missing runs of published protocols, and compare the results with the published numbers."
    parser = Parser("vaestudy reproduce", about)
    add_fields(parser, ReproduceFlags, "published protocols", switches=True)
    add_location_flags(parser, "data_dir", "tracking_uri")
    values = split_lists(parser.parse(arguments))
    require_together(values, NOT_TOGETHER)
    locations = locations_of(values)
    request = _request(flags := validated(ReproduceFlags, values, flag), locations)
    with gc_paused():
        from vaestudy.cli import reproduce_work

    return reproduce_work.show_plan(request) if flags.plan else reproduce_work.make_table(request)


def _request(flags: ReproduceFlags, locations: Locations | None) -> ReproduceRequest:
    """Return the request of valid flags.

    Raises:
        BadInput: the table cannot be written to its folder.
    """
    own = mlruns() / "reproduce" / f"{flags.dataset_to_use}{'-quick' if flags.quick else ''}"
    out = repository() / "docs" if flags.publish else own
    if not flags.plan:
        require_folder(out, f"the folder of the table, {out}")
    return ReproduceRequest(
        dataset=flags.dataset_to_use,
        quick=flags.quick,
        options=flags.options,
        locations=locations,
        out=out,
        publish=flags.publish,
        protocols=tuple(name for name in PROTOCOLS if name in flags.protocols),
        seeds=flags.seeds,
    )
