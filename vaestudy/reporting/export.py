"""Write the tables and figures of tracked sweeps to files under mlruns/tables/ and attach them to the sweep run.

mlruns/tables/<study>/<sweep>/table.csv .md .tex .html, runs.csv, <figure>.png .pdf .svg (MLflow has only the .png)
mlruns/tables/<study>/...                the same files of the newest sweep; a quick sweep never replaces a result here
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table as Screen

from vaestudy.config.registry import STUDY_FIGURES, STUDY_TABLES
from vaestudy.errors import BadInput, noting_failure
from vaestudy.plotting import figure_files, for_papers, to_png
from vaestudy.reporting import bound_tightness, common_target, runs_frame
from vaestudy.reporting.figures import arms
from vaestudy.reporting.image_scores import read_image_scores
from vaestudy.reporting.latex_table import LatexStyle
from vaestudy.reporting.places import readable_sweep, without_places
from vaestudy.reporting.search.report import amended, search_figures, search_notes, search_tables
from vaestudy.reporting.search.searched import read_searched
from vaestudy.reporting.sweep_page import PREVIEW, description, first_figure, preview, sweep_metrics, sweep_tags
from vaestudy.reporting.table_files import table_files
from vaestudy.reporting.tables import summary
from vaestudy.runtime.files import write_files
from vaestudy.runtime.paths import mlruns, slug
from vaestudy.study.declaration import Study
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import DESCRIPTION, Tracker
from vaestudy.tracking.prepared_view import prepare_views

DATA = ("name", "fingerprint", "train", "valid", "test")
NOTE_TAGS = ("tags.note", "tags.seeds.note")
"""Tags of a sweep run that are notes of its tables: on the choice of the data set, and on the rule of adding seeds."""
QUICK_LINE = "QUICK LOOK, NOT A RESULT: few images, few epochs."


@dataclass(frozen=True)
class Exported:
    """The folder that an export wrote, and its tables and notes for a terminal."""

    folder: Path
    screens: list[Screen]
    notes: list[str]
    table: summary.Table | None
    """The study's own table; None if no run has finished."""


def export_all(tracker: Tracker, name: str | None, style: LatexStyle | None = None) -> list[Path]:
    """Export every sweep of every study, or of the study called `name`, the oldest sweep first.

    Args:
        tracker: the store of the runs.
        name: the study; None for all.
        style: what the user chose about LaTeX.

    Returns:
        The folders that were written.
    """
    written = []
    for study, experiments in sorted(study_experiments(tracker).items()):
        if name in (None, study):
            parents = tracker.runs(experiments, {"role": "study"})
            for row in parents.sort_values("start_time").to_dict("records") if len(parents) else ():
                written.append(export(tracker, row["experiment"], row["run_id"], style, papers=True).folder)
                _prepare_views(tracker, row)
    return written


def _prepare_views(tracker: Tracker, row: Mapping[Hashable, Any]) -> None:
    """Store the views of a sweep's runs: an earlier revision may have made it, without views.

    Args:
        tracker: the store of the runs.
        row: the sweep run as a row of `Tracker.runs`.
    """
    declared = Study.stored(tracker.read_file(row["run_id"], "study.json").decode())
    created = int(row["start_time"])
    prepare_views(tracker, row["experiment"], row["run_id"], declared, row["tags.sweep"], created)


@dataclass(frozen=True)
class SweepTables:
    """The tables and figures of one sweep, as files and for a terminal."""

    row: dict[str, Any]
    """The sweep run, as `Tracker.get` returns it."""
    study: Study
    """The study as its tables take it: a search without factors has the factor `configuration`."""
    tidy: pd.DataFrame
    """The runs in the tables."""
    table: summary.Table | None
    """The study's own table; None if no run has finished."""
    files: dict[str, bytes]
    """Path -> content."""
    screens: list[Screen]
    notes: list[str]

    @property
    def sweep(self) -> str:
        """Return the name of the sweep."""
        return str(self.row["tags.sweep"])

    @property
    def quick(self) -> bool:
        """Return whether the scale is `--quick`."""
        return bool(self.row["tags.quick"] == "True")


def export(
    tracker: Tracker, experiment: str, parent: str, style: LatexStyle | None = None, papers: bool = False
) -> Exported:
    """Write one sweep's tables and figures and attach them to its sweep run.

    Args:
        tracker: the store of the runs.
        experiment: the id of the study's MLflow experiment.
        parent: the id of the sweep run.
        style: what the user chose about LaTeX.
        papers: whether to add the figures as PDF and SVG, which takes longer than the drawing.

    Raises:
        runs_frame.Incomparable: the metrics of the sweep's runs measure different quantities.
        BadInput: the folder of the tables cannot be written to.
    """
    made = sweep_tables(tracker, experiment, parent, style, papers)
    study, files, table, notes = made.study, made.files, made.table, made.notes
    folder = _folder(made)
    if files:
        folder = _write(made)
        tracker.files(parent, {path: content for path, content in files.items() if not for_papers(path)})
    if table is not None:
        totals = sweep_metrics(made.tidy, table, study)
        tracker.metrics(parent, {k: v for k, v in totals.items() if made.row.get(f"metrics.{k}") != v})
        _series(tracker, parent, study, table)
        first = made.tidy[made.tidy["status"] == "FINISHED"].iloc[0]
        tracker.dataset(parent, {part: first[f"tags.data.{part}"] for part in DATA})
        if (drawn := first_figure(study, files)) is not None:
            tracker.files(parent, {PREVIEW: preview(files[drawn])})
        text = description(study, table, notes, made.quick, parent, files)
        tracker.tag(parent, sweep_tags(table, study) | {DESCRIPTION: text})
    return Exported(folder, made.screens, notes, table)


def sweep_tables(
    tracker: Tracker, experiment: str, parent: str, style: LatexStyle | None = None, papers: bool = False
) -> SweepTables:
    """Return one sweep's tables and figures. Nothing is written.

    Args:
        tracker: the store of the runs.
        experiment: the id of the study's MLflow experiment.
        parent: the id of the sweep run.
        style: what the user chose about LaTeX.
        papers: whether to add the figures as PDF and SVG, which takes longer than the drawing.

    Raises:
        runs_frame.Incomparable: the metrics of the sweep's runs measure different quantities.
    """
    row = tracker.get(parent)
    study = Study.stored(tracker.read_file(parent, "study.json").decode())
    children = tracker.runs(experiment, {"role": "trial"}, parent)
    sweep, quick = str(row["tags.sweep"]), row["tags.quick"] == "True"
    quick_lines, named = [QUICK_LINE] if quick else [], readable_sweep(sweep)
    notes = quick_lines + [str(row[tag]) for tag in NOTE_TAGS if row.get(tag)]
    files, screens = dict[str, bytes](), list[Screen]()
    if (searched := read_searched(tracker, row, study)) is not None:
        study, children = searched.view(children)
    tidy = runs_frame.tidy_runs(children, study) if len(children) else children
    if searched is not None:
        files |= search_figures(searched, tidy, notes, papers)
        for name, heading, further in search_tables(searched, tidy, notes):
            further.full["quick"] = quick
            heading, label = f"{heading} ({named})", f"{study.name} {sweep} {name}"
            files |= table_files(name, further, heading, quick_lines + further.notes, label, style)
            screens.append(screen(further, heading))
    if not len(tidy) or not (tidy["status"] == "FINISHED").any():
        if searched is None or searched.has_final_runs:
            screens.insert(0, Screen(title="no run has finished"))
        notes += search_notes(searched) if searched else []
        return SweepTables(row, study, tidy, None, files, screens, [without_places(line) for line in notes])
    tidy = _with_recorded(tracker, tidy, study, notes)
    table = summary.summarise(tidy, study, read_image_scores(tracker, tidy, study.tabulate[:1]))
    if searched is not None:
        table = amended(tracker, searched, table, tidy)
    for frame in (table.full, tidy):
        frame["quick"] = quick  # also in the CSV files, which have no notes
    notes += table.notes
    title = f"{study.question} ({named})"
    files["tables/runs.csv"] = _runs_csv(tidy, study).encode()
    screens.insert(0, screen(table, title))
    # A further table or a figure that fails costs a note, so the study's own table is written after all of them.
    for name in study.tables:
        with noting_failure(f"table {name}", notes):
            member = STUDY_TABLES.load(name)
            if (further := member(tidy, study)) is not None:
                further.full["quick"] = quick
                heading = f"{(member.__doc__ or name).splitlines()[0]} ({named})"
                label = f"{study.name} {sweep} {name}"
                files |= table_files(name, further, heading, quick_lines + further.notes, label, style)
                screens.append(screen(further, heading))
    for name in study.figures:
        with noting_failure(f"figure {name}", notes):
            if (figure := STUDY_FIGURES.load(name)(tidy, study)) is not None:
                files |= figure_files(f"figures/{name}", figure, papers)
    if study.gallery and (pictures := _gallery(tracker, tidy, study, notes)):
        with noting_failure(f"gallery {study.gallery}", notes):
            files[f"figures/{study.gallery}.png"] = to_png(arms.gallery(pictures, title))
    notes = [without_places(line) for line in notes]
    files |= table_files("table", table, title, notes, f"{study.name} {sweep}", style)
    return SweepTables(row, study, tidy, table, files, screens, notes)


def _with_recorded(tracker: Tracker, tidy: pd.DataFrame, study: Study, notes: list[str]) -> pd.DataFrame:
    """Return tidy runs with what their records hold and their metrics do not: curves, and scores of single images.

    Args:
        tracker: the store of the runs.
        tidy: the tidy runs of a sweep.
        study: the study; what none of its tables shows is not read.
        notes: receives a line if the scores of single images cannot be read.
    """
    if common_target.RELATIVE in study.tabulate:
        name = common_target.curve_metric(tidy)
        curves = {run_id: tracker.curve(run_id, name) for run_id in tidy["run_id"]}
        tidy = common_target.with_common_target(tidy, study, curves)
    if bound_tightness.TABLE in study.tables:
        with noting_failure("the comparison of rankings", notes):
            scores = {run_id: tracker.read_file(run_id, "scores.json") for run_id in bound_tightness.scored_runs(tidy)}
            tidy = bound_tightness.with_image_scores(tidy, scores)
    return tidy


def _gallery(tracker: Tracker, tidy: pd.DataFrame, study: Study, notes: list[str]) -> list[bytes]:
    """Return one PNG file per arm, in the order of the study's declaration: that of the arm's first finished run.

    Only runs with the baseline's levels of the numeric factors are used. If runs lack the figure, for example because
    it could not be drawn, one line is added to `notes`.
    """
    numbers = {name: level for name, level in study.baseline.items() if pd.api.types.is_numeric_dtype(tidy[name])}
    names = [name for name in study.factors if name not in numbers]
    shown = tidy[tidy["status"] == "FINISHED"]
    # The flags --quick and --figures change which figures a run draws, so some runs do not have this one.
    shown = shown[[study.gallery in json.loads(figures) for figures in shown["params.figures"]]]
    for name, level in numbers.items():
        shown = shown[shown[name] == level]
    firsts = (shown.drop_duplicates(names) if names else shown.head(1)).to_dict("records")
    firsts.sort(key=lambda run: [runs_frame.level_rank(run[name], name, study) for name in names])
    found, missing = [], []
    for run in firsts:
        try:
            found.append(tracker.read_file(run["run_id"], f"figures/{study.gallery}.png"))
        except BadInput as error:
            missing.append(str(error))
    if missing:
        notes.append(f"gallery {study.gallery} lacks {len(missing)} of {len(firsts)} pictures: {missing[0]}")
    return found


def _runs_csv(tidy: pd.DataFrame, study: Study) -> str:
    """Return a CSV file with one row per run, for readers who make their own tables."""
    facts = ["run_id", "status", "quick", *study.factors, "seed", "tags.code.revision", "tags.data.fingerprint"]
    kinds = ("test/", "valid/", "train/", "seconds", "along/", "gradient/")
    metrics = [c for c in map(str, tidy) if c.startswith(kinds) or c in (*study.tabulate, common_target.EPOCHS)]
    return tidy[[c for c in facts if c in tidy] + sorted(metrics)].to_csv(index=False)


def _folder(made: SweepTables) -> Path:
    """Return the folder of a sweep's files."""
    return mlruns() / "tables" / made.study.name / slug(made.sweep)


def _write(made: SweepTables) -> Path:
    """Write a sweep's files to its own folder and to the study's folder; return the folder to show.

    The study's folder does not get those of a quick sweep if the study already has a result that is not quick.

    Raises:
        BadInput: a folder cannot be written to.
    """
    folder, named = _folder(made), {Path(name).name: content for name, content in made.files.items()}
    write_files(folder, named, "tables")
    results = [path for path in folder.parent.iterdir() if path.is_dir() and not path.name.startswith("quick-")]
    if made.quick and results:
        return folder
    write_files(folder.parent, named, "tables")
    return folder.parent


def _series(tracker: Tracker, parent: str, study: Study, table: summary.Table) -> None:
    """Store the means over seeds as curves over the factor, if the study has one factor and its levels are integers."""
    (factor, *others), full = list(study.factors), table.full
    if not others and pd.api.types.is_integer_dtype(full[factor]):
        for metric in (name for name in study.tabulate if name in full):
            points = full[[factor, metric]].dropna()
            values = {int(level): float(mean) for level, mean in points.itertuples(index=False)}
            tracker.series(parent, f"by_{factor}/{metric}", values)


def screen(table: summary.Table, title: str) -> Screen:
    """Return a table for a terminal. The column of failed runs is left out if no run failed."""
    screen = Screen(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    none_failed = "failed" in table.full and (table.full["failed"] == 0).all()
    shown = table.shown.drop(columns="failed") if none_failed else table.shown
    for column in shown.columns:
        screen.add_column(re.sub("[_ ]", "\n", column), justify="right", no_wrap=True)
    for row in shown.itertuples(index=False):
        # The interval is put below its mean, so that the table fits into eighty columns.
        screen.add_row(*(cell.replace(" ± ", "\n± ") for cell in row))
    return screen
