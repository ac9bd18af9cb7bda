"""The work of `vaestudy compare`, after its flags have been checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vaestudy.reporting.compare.contents import TextTable, as_json, contents_of
from vaestudy.reporting.compare.page import FILE, comparison_page, page_folder, read_pictures
from vaestudy.reporting.compare.paired import compare
from vaestudy.reporting.compare.sides import find_sides
from vaestudy.runtime.console import consoles, print_json, print_uncut
from vaestudy.runtime.files import write_files
from vaestudy.study.run_names import RunName
from vaestudy.tracking.mlflow_tracker import Tracker


def compare_runs(names: Sequence[RunName], ks: Sequence[int] | None, root: Path, uri: str, json: bool) -> int:
    """Compare tracked runs: print the tables and write the page; return the exit code.

    Args:
        names: the runs; all are compared with the first.
        ks: the K of the bounds that are scored again; None for those on record up to 100.
        root: the folder of the data sets.
        uri: the address of the tracker.
        json: whether to print one JSON object in place of tables.

    Raises:
        BadInput: a run cannot be compared here, or the page cannot be written; the message says why.
    """
    err, out = consoles()
    tracker = Tracker(uri)
    sides = find_sides(tracker, names)
    with err.status("scoring") as status:
        compared = compare(tracker, sides, root, ks, status.update)
    contents = contents_of(compared)
    pictures, lacking = read_pictures(tracker, sides)
    contents.notes.extend(lacking)
    links = [[tracker.link(run["experiment"], run["id"]) for run in side.runs] for side in sides]
    folder = page_folder(sides)
    write_files(folder, {FILE: comparison_page(contents, pictures, links).encode()}, "the comparison")
    if json:
        print_json(as_json(compared, str(folder / FILE)))
        return 0
    print_uncut(out, _screen(contents.configuration))
    print_uncut(out, _screen(contents.scores))
    for line in contents.notes:
        out.print(line)
    out.print(f"page      {folder / FILE}")
    return 0


def _screen(table: TextTable) -> Table:
    """Return a table for a terminal."""
    title = table.title if table.rows else f"{table.title}: nothing"
    screen = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in table.headings if table.rows else ():
        screen.add_column(heading, justify="left" if heading in ("", "score") else "right")
    for row in table.rows:
        screen.add_row(*row)
    return screen
