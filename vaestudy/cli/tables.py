"""The command `vaestudy tables`: its flags and their checks. Nothing slow is imported before these are made."""

from __future__ import annotations

from typing import Any

from vaestudy.cli.flags import Parser, split_lists
from vaestudy.cli.parsing import add_location_flags
from vaestudy.cli.tracked import tracked_study
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.study.difference_request import DifferenceRequest, Named, require_recorded
from vaestudy.study.metrics import metric_of
from vaestudy.study.run_names import parse_levels
from vaestudy.tracking.database_checks import require_records
from vaestudy.tracking.recorded_cells import recorded_cells

FORMS = "LEVELS are FIELD=LEVEL, joined by commas: latent_dim=10,sigma=raw"
WITH_AGAINST = ("cells", "columns", "sweep")
"""Flags that say what is compared, so they need `--against`."""


def tables_command(arguments: list[str]) -> int:
    """write the tables of every study again, or a table of differences"""
    parser = Parser(
        "vaestudy tables",
        "Write tables (CSV, Markdown, LaTeX, HTML) from the tracked runs. With --against: print and write a table of "
        "differences between cells of a study, each with its 95 % interval over seeds.",
    )
    parser.add_argument("study", nargs="?", metavar="STUDY", help="Write the tables of this study only [default: all]")
    group = parser.add_argument_group("differences")
    group.add_argument(
        "--against",
        metavar="LEVELS",
        help="Subtract the cell with these levels: latent_dim=10, or latent_dim=10,sigma=raw. A factor that is not "
        "named keeps the level of each row",
    )
    group.add_argument(
        "--cells", nargs="+", metavar="LEVELS", help="Show only the rows with these levels [default: all rows]"
    )
    group.add_argument(
        "--columns", nargs="+", metavar="METRIC", help="Show these metrics: elbo, test/iwae_100 [default: the study's]"
    )
    group.add_argument("--sweep", metavar="NAME", help="Use this sweep [default: the newest that is not --quick]")
    group = parser.add_argument_group("LaTeX")
    group.add_argument("--siunitx", action="store_true", help="Put numbers into columns S of the package siunitx")
    group.add_argument("--bookkeeping", action="store_true", help="Always show the columns seeds, failed and s/run")
    add_location_flags(parser, "tracking_uri")
    values = parser.parse(arguments)
    request = _request(values)
    uri = addresses.tracking_uri(values.get("tracking_uri"))
    if "study" in values:
        values["study"] = tracked_study(values["study"], uri)
    require_records(uri)
    if request is not None and (database := addresses.database_file(uri)) is not None:
        recorded = recorded_cells(database, values["study"], request.sweep)
        if recorded is not None:
            require_recorded(request, recorded)
    with gc_paused():
        from vaestudy.cli import tables_work

    flags = values.get("siunitx", False), values.get("bookkeeping", False)
    if request is None:
        return tables_work.export_tables(uri, values.get("study"), *flags)
    return tables_work.show_differences(uri, values["study"], request, *flags)


def _request(values: dict[str, Any]) -> DifferenceRequest | None:
    """Return the table of differences that the flags ask for; None if they ask for none.

    Raises:
        BadInput: a flag is not valid, or needs another one.
    """
    if "against" not in values:
        if needless := next((name for name in WITH_AGAINST if name in values), None):
            raise BadInput(f"--{needless}: only with --against LEVELS, which makes a table of differences")
        return None
    if "study" not in values:
        raise BadInput(f"--against {values['against']}: name the study: vaestudy tables STUDY --against LEVELS")
    against = _levels("--against", values["against"])
    cells = tuple(dict.fromkeys(_levels("--cells", text) for text in values.get("cells", ())))
    columns = split_lists({"columns": values.get("columns", [])})["columns"]
    if "columns" in values and not columns:
        raise BadInput("--columns: must be one or more names")
    try:
        metrics = tuple(dict.fromkeys(map(metric_of, columns)))
    except BadInput as error:
        raise BadInput(f"--columns: {error}") from None
    return DifferenceRequest(against, cells, metrics, values.get("sweep", ""))


def _levels(flag: str, text: str) -> Named:
    """Return the levels that a flag names, each factor once.

    Raises:
        BadInput: the text is not valid, or names a factor twice.
    """
    found = parse_levels(text, f"{flag} {text}", FORMS)
    fields = [field for field, _ in found]
    if twice := next((field for field in fields if fields.count(field) > 1), None):
        raise BadInput(f"{flag} {text}: {twice} is named twice; give one level of each factor")
    return found
