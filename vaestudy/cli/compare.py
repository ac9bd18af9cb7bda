"""The command `vaestudy compare`: its flags and their checks. Nothing slow is imported before these are made."""

from __future__ import annotations

from vaestudy.cli.flags import Parser, flag, split_lists
from vaestudy.cli.parsing import add_location_flags, data_root_of
from vaestudy.cli.tracked import tracked_study
from vaestudy.config.messages import validated
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.study.run_names import parse_run_name
from vaestudy.tracking.database_checks import require_records
from vaestudy.tracking.run_ids import require_known_run

DESCRIPTION = (
    "Compare tracked runs with the first: what differs in their configuration, each score with its difference and the "
    "paired standard error over the same test images, and the figures side by side in one HTML page."
)
RUN_HELP = (
    "A run's id or its first digits; or a cell of a study, e.g. latent-dims:latent_dim=10 (levels joined by commas; "
    "all seeds that the cells have in common; seed=0 takes one). latent-dims/SWEEP:latent_dim=10 names the sweep "
    "[default: the newest that is not --quick]. tune:best and tune:base are the configurations that a search compares"
)


def compare_command(arguments: list[str]) -> int:
    """compare tracked runs, image by image"""
    parser = Parser("vaestudy compare", DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--iwae", nargs="+", metavar="K", help="The K of the bounds that are scored again [default: those up to 100]"
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object in place of tables")
    add_location_flags(parser, "data_dir", "tracking_uri")
    values = parser.parse(arguments)
    names = [parse_run_name(text) for text in values.pop("runs")]
    if len(names) < 2:
        raise BadInput(f"{names[0].text}: one run; name two or more to compare")
    if twice := next((n.text for n in names if [m.text for m in names].count(n.text) > 1), None):
        raise BadInput(f"{twice}: named twice; name different runs")
    values = split_lists(values)
    ks = validated(RunConfig, {"iwae": values["iwae"]}, flag).iwae if "iwae" in values else None
    root, uri = data_root_of(values), addresses.tracking_uri(values.get("tracking_uri"))
    require_records(uri)
    for name in names:
        if name.digits:
            require_known_run(name.digits, uri)
        else:
            tracked_study(name.study, uri)
    with gc_paused():
        from vaestudy.cli import compare_work

    return compare_work.compare_runs(names, ks, root, uri, values.get("json", False))
