"""The command `vaestudy runs`: a list of tracked runs. Nothing slow is imported before its flags are checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vaestudy.cli.flags import Parser, split_lists
from vaestudy.cli.parsing import add_location_flags
from vaestudy.cli.tracked import tracked_study
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.study.run_query import FACTS, column_of, parse_condition
from vaestudy.tracking.database_checks import require_records

WHERE_HELP = (
    "List only runs for which this holds, e.g. 'latent_dim>5 and likelihood=beta', 'not dataset in (mnist, kmnist)' "
    "or 'elbo > -110'. Names are configuration fields, metrics (elbo is short for test/elbo) and facts about runs: "
    f"{', '.join(FACTS)}. A comparison with something that a run does not have is false"
)


def runs_command(arguments: list[str]) -> int:
    """list tracked runs, the newest last"""
    parser = Parser("vaestudy runs", "List tracked runs, the newest last.")
    parser.add_argument(
        "study", nargs="?", metavar="STUDY", help="List the runs of this study only; train: single runs [default: all]"
    )
    parser.add_argument("--where", metavar="CONDITION", help=WHERE_HELP.replace("%", "%%"))
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="Show these columns, named as in --where")
    parser.add_argument("--csv", metavar="FILE", help="Write the list to this file [columns by default: all]")
    parser.add_argument("--json", action="store_true", help="Print one JSON object [columns by default: all]")
    add_location_flags(parser, "tracking_uri")
    values = split_lists(parser.parse(arguments))
    if "csv" in values and "json" in values:
        raise BadInput("--json: not with --csv; choose one")
    condition = parse_condition(values["where"]) if "where" in values else None
    columns = _columns(values)
    file = csv_file(values["csv"]) if "csv" in values else None
    uri = addresses.tracking_uri(values.get("tracking_uri"))
    require_records(uri)
    study = values.get("study")
    if study is not None:
        study = tracked_study(study, uri)
    with gc_paused():
        from vaestudy.cli import runs_work

    return runs_work.list_runs(uri, study, condition, columns, file, values.get("json", False))


def _columns(values: dict[str, Any]) -> list[str] | None:
    """Return the columns that the user named; None if there is no such flag.

    Raises:
        BadInput: a name is no column, or the flag has only commas.
    """
    if "columns" not in values:
        return None
    if not values["columns"]:
        raise BadInput("--columns: must be one or more names")
    return [column_of(name) for name in dict.fromkeys(values["columns"])]


def csv_file(name: str) -> Path:
    """Return the path of a CSV file that can be written.

    Raises:
        BadInput: it is a folder, or its folder is missing or cannot be written to.
    """
    path = Path(name)
    try:
        if path.is_dir() or not path.name:
            raise BadInput(f"--csv {name}: a folder, not a file")
        if not path.absolute().parent.is_dir():
            raise BadInput(f"--csv {name}: {path.absolute().parent} is no folder")
        writable = os.access(path if path.exists() else path.absolute().parent, os.W_OK)
    except (OSError, ValueError) as error:  # a name that is too long or has a NUL
        raise BadInput(f"--csv {name}: cannot be used ({error})") from None
    if not writable:
        raise BadInput(f"--csv {name}: cannot be written to")
    return path
