"""A study's results as files that stand alone: tables, figures, configurations, revisions and a manifest.

    index.html, README.md              what is what; the tables and figures on one page
    manifest.json                      the SHA-256 and the size of each other file
    revisions.json                     code, package versions, hardware and data set of the runs
    SWEEP/study.json                   the declaration of the study
    SWEEP/tables/, SWEEP/figures/      as `vaestudy tables` writes them
    SWEEP/configurations/RUN.json      the configuration of each run
    SWEEP/search/                      the trials of a search, if there is one

There are no dates in the files, so the same records give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaestudy.errors import BadInput, unknown_name
from vaestudy.plotting import for_papers
from vaestudy.reporting.escaping import markdown_line
from vaestudy.reporting.export import SweepTables, sweep_tables
from vaestudy.reporting.pages import rendered
from vaestudy.reporting.places import readable_sweep
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.reporting.search.searched import FINAL_FILE
from vaestudy.reporting.search.trials import TRIALS_FILE
from vaestudy.runtime import provenance
from vaestudy.runtime.paths import slug
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.recorded_run import param_value

TEMPLATE = "bundle.html.j2"
MANIFEST = "manifest.json"
KINDS = {
    "README.md": "this text",
    "index.html": "the tables and figures on one page",
    MANIFEST: "the SHA-256 and the size in bytes of each other file",
    "revisions.json": "the code's revision, package versions, hardware and data set of the runs",
    "SWEEP/study.json": "the declaration of the study: question, base configuration, factors, baseline",
    "SWEEP/tables/": "table.csv in full precision with run ids, and the same as .md, .tex and .html; runs.csv has one "
    "row for each run",
    "SWEEP/figures/": "the study's figures",
    "SWEEP/configurations/": "the configuration of each run, by its id in MLflow",
    "SWEEP/search/": "the trials of a search and its best configuration, if the study has a search",
}
"""Path -> what is there."""
ORIGINS = ("code.revision", "code.state", "version.", "hardware.", "data.", "threads")
"""How the names of the tags begin that say where a run comes from."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of all files in a zip, its earliest."""


@dataclass(frozen=True)
class Section:
    """A sweep on the page."""

    folder: str
    title: str
    headings: list[str]
    rows: list[list[str]]
    notes: list[str]
    figures: list[str]
    files: list[str]


def bundle_files(tracker: Tracker, study: str, sweep: str | None = None) -> dict[str, bytes]:
    """Return the files of a study, or of one of its sweeps: path -> content.

    Raises:
        BadInput: no such study or sweep is tracked, or its runs may not share a table.
    """
    experiments = study_experiments(tracker)
    if study not in experiments:
        raise BadInput(unknown_name("study", study, sorted(experiments)))
    parents = tracker.runs(experiments[study], {"role": "study"})
    rows = parents.sort_values("start_time").to_dict("records") if len(parents) else []
    newest = {str(row["tags.sweep"]): row for row in rows}
    if sweep is not None and sweep not in newest:
        raise BadInput(unknown_name(f"sweep of {study}", sweep, newest))
    files: dict[str, bytes] = {}
    sections, origins = [], dict[str, list[str]]()
    for name, row in newest.items():
        if sweep in (None, name):
            made = _tables(tracker, row)
            own = _sweep_files(tracker, made, str(row["run_id"]))
            folder = slug(name)
            files |= {f"{folder}/{path}": content for path, content in own.items()}
            sections.append(_section(folder, made, own))
            for run in made.tidy.to_dict("records"):
                origins.setdefault(_origin(run), []).append(run["run_id"])
    if not sections:
        raise BadInput(f"study {study} has no sweep on record yet")
    question = made.study.question
    known = [json.loads(origin) | {"runs": sorted(runs)} for origin, runs in origins.items()]
    files["revisions.json"] = _json({"exported_by": _exporter(), "runs_by_origin": known})
    files["README.md"] = _readme(study, question, sections).encode()
    page = rendered(Path(__file__).parent / TEMPLATE, study=study, question=question, sections=sections, kinds=KINDS)
    files["index.html"] = page.encode()
    files[MANIFEST] = _json(manifest(study, files))
    return files


def manifest(study: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the manifest of files: path -> SHA-256 and size."""
    about = {path: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for path, c in sorted(files.items())}
    return {"study": study, "exported_by": _exporter(), "files": about}


def zipped(files: Mapping[str, bytes], folder: str) -> bytes:
    """Return a zip archive with the files in one folder. The same files give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{folder}/{path}", ZIP_DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, content)
    return archive.getvalue()


def _tables(tracker: Tracker, row: Mapping[Any, Any]) -> SweepTables:
    """Return the tables of a sweep.

    Raises:
        BadInput: its runs may not share a table.
    """
    try:
        return sweep_tables(tracker, str(row["experiment"]), str(row["run_id"]), papers=True)
    except Incomparable as error:
        raise BadInput(f"sweep {row['tags.sweep']}: its tables cannot be made: {error}") from None


def _sweep_files(tracker: Tracker, made: SweepTables, parent: str) -> dict[str, bytes]:
    """Return the files of one sweep: path within its folder -> content."""
    files = {"study.json": _json(json.loads(tracker.read_file(parent, "study.json")))} | dict(made.files)
    for run in made.tidy.to_dict("records"):
        params = {str(k).removeprefix("params."): v for k, v in run.items() if str(k).startswith("params.") and v == v}
        config = {name: param_value(name, text) for name, text in params.items()}
        files[f"configurations/{run['run_id']}.json"] = _json(config)
    for path in (TRIALS_FILE, FINAL_FILE) if made.study.search is not None else ():
        try:
            files[path] = tracker.read_file(parent, path)
        except BadInput:  # the search has not ended yet
            continue
    return files


def _section(folder: str, made: SweepTables, own: Mapping[str, bytes]) -> Section:
    """Return a sweep as the page shows it."""
    shown = made.table.shown if made.table is not None else None
    headings = [] if shown is None else [str(name) for name in shown.columns]
    rows = [] if shown is None else [[str(cell) for cell in row] for row in shown.itertuples(index=False)]
    notes = made.notes if rows else [*made.notes, "no run has finished"]
    figures = sorted(path for path in own if path.startswith("figures/") and not for_papers(path))
    listed = sorted(path for path in own if not path.startswith("configurations/"))
    return Section(folder, readable_sweep(made.sweep), headings, rows, notes, figures, listed)


def _origin(run: Mapping[Any, Any]) -> str:
    """Return the tags that say where a run comes from, as JSON."""
    tags = {str(k).removeprefix("tags."): v for k, v in run.items() if str(k).startswith("tags.") and v == v}
    return json.dumps({name: str(value) for name, value in tags.items() if name.startswith(ORIGINS)}, sort_keys=True)


def _exporter() -> dict[str, str]:
    """Return the version and the revision of the package that exports."""
    revision = provenance.code_revision()
    version = provenance.versions()["vaestudy"]
    return {"vaestudy": version, "code.revision": revision.commit, "code.state": revision.state}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _readme(study: str, question: str, sections: list[Section]) -> str:
    """Return the text that says what is what, in Markdown."""
    lines = [
        f"# {markdown_line(question)}",
        "",
        f"The study `{study}` of vaestudy, exported from its tracked runs.",
        "",
    ]
    lines += ["| file | what it is |", "| --- | --- |", *(f"| `{path}` | {what} |" for path, what in KINDS.items()), ""]
    lines += ["SWEEP is a folder for each data set, scale and set of changed flags:", ""]
    lines += [f"* `{section.folder}`: {len(section.rows)} rows in its table" for section in sections]
    lines += [
        "",
        "All numbers are in nats per image unless a column says otherwise. ± in a table is the half-width of a 95 % "
        "interval over seeds.",
        "",
        "A file is unchanged if its SHA-256 is that of `manifest.json` (`sha256sum FILE`). The fields of a "
        "configuration are the flags of `vaestudy train`: `latent_dim` is `--latent-dim`.",
        "",
    ]
    return "\n".join(lines)
