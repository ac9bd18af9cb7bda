"""The work of `vaestudy tables`, after its flags have been checked."""

from __future__ import annotations

import hashlib

from vaestudy.errors import BadInput, unknown_name
from vaestudy.evidence.differences import difference_table, recorded_names, shown_metrics
from vaestudy.reporting import export, runs_frame
from vaestudy.reporting.image_scores import read_image_scores
from vaestudy.reporting.latex_table import LatexStyle
from vaestudy.reporting.places import readable_sweep
from vaestudy.reporting.table_files import table_files
from vaestudy.runtime import project
from vaestudy.runtime.console import consoles, print_uncut
from vaestudy.runtime.files import write_files
from vaestudy.runtime.paths import mlruns, slug
from vaestudy.study.declaration import Study
from vaestudy.study.difference_request import (
    DifferenceRequest,
    chosen_sweep,
    levels_shown,
    no_factors,
    require_recorded,
)
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker

LONGEST = 100  # characters of a file's name without its ending


def export_tables(uri: str, name: str | None, siunitx: bool = False, bookkeeping: bool = False) -> int:
    """Export the tables of the study `name`, or of all studies, from the tracked runs; return the exit code.

    Args:
        uri: the address of the tracker.
        name: the study; None for all.
        siunitx: whether LaTeX's numbers are in columns of siunitx.
        bookkeeping: whether LaTeX keeps the columns about seeds, failures and seconds.

    Raises:
        BadInput: no such study is tracked.
    """
    _, out = consoles()
    tracker = Tracker(uri)
    written = export.export_all(tracker, name, LatexStyle(siunitx, bookkeeping))
    for folder in written:
        out.print(f"wrote {folder}")
    if not written:
        raise BadInput(f"no study{f' {name}' if name else ''} is tracked at {uri} yet; {project.first_steps()}")
    return 0


def show_differences(
    uri: str, name: str, request: DifferenceRequest, siunitx: bool = False, bookkeeping: bool = False
) -> int:
    """Print a table of differences and write it; return the exit code.

    Args:
        uri: the address of the tracker.
        name: the study.
        request: what is compared.
        siunitx: whether LaTeX's numbers are in columns of siunitx.
        bookkeeping: whether LaTeX keeps the column about seeds.

    Raises:
        BadInput: the study, the sweep or something that the request names is not on record, or cannot be compared.
    """
    _, out = consoles()
    tracker = Tracker(uri)
    if name not in (tracked := study_experiments(tracker)):
        raise BadInput(unknown_name("study", name, sorted(tracked)))
    parents = tracker.runs(tracked[name], {"role": "study"})
    rows = parents.sort_values("start_time", ascending=False).to_dict("records") if len(parents) else []
    newest = {str(row["tags.sweep"]): row for row in reversed(rows)}
    sweep = chosen_sweep(name, [str(row["tags.sweep"]) for row in rows], request.sweep)
    parent = newest[sweep]
    study = Study.stored(tracker.read_file(parent["run_id"], "study.json").decode())
    children = tracker.runs(str(parent["experiment"]), {"role": "trial"}, parent["run_id"])
    if not len(children):
        raise BadInput(f"study {name}, sweep {sweep}: no run is on record")
    if not study.factors:
        raise BadInput(no_factors(name))
    tidy = runs_frame.tidy_runs(children, study)
    require_recorded(request, recorded_names(tidy, study))
    scores = read_image_scores(tracker, tidy, shown_metrics(tidy, study, request))
    table = difference_table(tidy, study, request, scores)
    quick = parent["tags.quick"] == "True"
    table.full["quick"] = quick
    notes = [export.QUICK_LINE] * quick + table.notes
    against = levels_shown(request.against).replace(",", ", ")
    title = f"{study.question} Differences to {against} ({readable_sweep(sweep)})"
    file = _file_name(request)
    files = table_files(file, table, title, notes, f"{name} {sweep} {file}", LatexStyle(siunitx, bookkeeping))
    folder = mlruns() / "tables" / study.name / slug(sweep)
    write_files(folder, {path.removeprefix("tables/"): content for path, content in files.items()}, "the table")
    print_uncut(out, export.screen(table, title))
    for line in notes:
        out.print(line)
    out.print(f"files     {folder / file}.csv .md .tex .html")
    return 0


def _file_name(request: DifferenceRequest) -> str:
    """Return the name of the files of a table, without an ending: another one for other cells or columns."""
    parts = [levels_shown(request.against), *(levels_shown(cell) for cell in request.cells), *request.columns]
    name = f"against-{slug('-'.join(parts))}"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(repr(request).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-.')}-{digest}"
