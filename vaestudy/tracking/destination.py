"""Where a sweep's runs are recorded: the study's experiments in MLflow, and the sweep run.

People rename experiments, and nest runs of their own under ours. So a study's experiments are found by their tag
`study`, and a sweep's runs by their tags `role` and `sweep`, never by a name.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime import provenance
from vaestudy.runtime.file_origin import origin_of
from vaestudy.study.checks import SINGLE_RUNS
from vaestudy.study.declaration import Study
from vaestudy.study.short_names import short_name
from vaestudy.study.sweep import NO_SWEEP, Sweep
from vaestudy.tracking.mlflow_tracker import DESCRIPTION, Tracker
from vaestudy.tracking.prepared_view import prepare_views
from vaestudy.tracking.stored_form import CELL, CONFIG_KEY, param_text, parameter_fields, stored_config, varying_fields

CELLS_NAMED = 4  # at most, in one message
SEARCH = "search"
"""The tag `role` of the runs of a search's trials."""


@dataclass(frozen=True)
class Destination:
    """The tracker, experiment and sweep run under which a sweep's runs are recorded."""

    tracker: Tracker
    experiment: str
    """The experiment's id."""
    sweep_run: str
    """The id of the sweep run, under which the runs of the cells are nested; empty for single runs."""
    varying: tuple[str, ...] = ("seed",)
    """The fields in which the runs differ."""

    def start_run(self, name: str, config: RunConfig, tags: Mapping[str, str]) -> str:
        """Create a run with its tags and parameters; return its id.

        Args:
            name: the run's long name; MLflow's list shows the short one.
            config: the run's configuration.
            tags: further tags.
        """
        about = {"role": "trial" if self.sweep_run else "train", CONFIG_KEY: config.key, CELL: name} | dict(tags)
        run_id = self.tracker.start(self.experiment, short_name(name), about, self.sweep_run)
        self.tracker.params(run_id, *stored_config(config, self.varying))
        return run_id

    def cell_runs(
        self, tags: Mapping[str, str] | None = None, deleted: bool = False, role: str | None = None
    ) -> pd.DataFrame:
        """Return the runs of the sweep's cells, or of single runs, with these tags; never a run of someone else.

        Args:
            tags: only runs that have these tags.
            deleted: return runs that were deleted in MLflow, in place of all others.
            role: `SEARCH` for the runs of a search's trials in place of those of cells.
        """
        own = {"role": role or ("trial" if self.sweep_run else "train")}
        return self.tracker.runs(self.experiment, own | dict(tags or {}), self.sweep_run or None, deleted)


def study_experiments(tracker: Tracker) -> dict[str, list[str]]:
    """Return the active experiments that contain a study's runs: the study's name -> ids, the newest first.

    Experiments of earlier revisions have no tag `study`. They get it here, from the runs in them.
    """
    found: dict[str, list[str]] = defaultdict(list)
    tags, names = tracker.experiment_tags(), {id: name for name, id in tracker.experiments().items()}
    untagged = [experiment for experiment, own in tags.items() if "study" not in own]
    studies = {experiment: own["study"] for experiment, own in tags.items() if "study" in own}
    for experiment, study in _studies_of(tracker, untagged, names).items():
        tracker.tag_experiment(experiment, {"study": study})
        studies[experiment] = study
    for experiment in sorted(studies, key=lambda id: (len(id), id), reverse=True):
        found[studies[experiment]].append(experiment)
    return dict(found)


def _studies_of(tracker: Tracker, experiments: list[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return the study of each experiment that has a sweep run or is that of single runs: id -> the study's name."""
    found = {experiment: SINGLE_RUNS for experiment in experiments if names.get(experiment) == SINGLE_RUNS}
    sweeps = tracker.runs(experiments, {"role": "study"})
    for experiment, runs in sweeps.groupby("experiment") if len(sweeps) else ():
        declared = tracker.read_file(str(runs["run_id"].iloc[0]), "study.json")
        found[str(experiment)] = str(json.loads(declared)["name"])
    return found


def open_destination(tracker: Tracker, name: str, sweep: Sweep, report: Callable[[str], None]) -> Destination:
    """Return where the runs of a sweep are recorded, for its driver.

    The experiment and the sweep run are created if they do not exist. An existing sweep run is set back to RUNNING, and
    gets the present declaration of the study.

    Args:
        tracker: the tracker.
        name: the name of the sweep's generation, or `NO_SWEEP` for single runs.
        sweep: the sweep.
        report: receives messages for the user, one line each.

    Raises:
        BadInput: runs of the sweep were made under another declaration of the study.
    """
    experiments = _experiments_of(tracker, sweep.study)
    if name == NO_SWEEP:
        return Destination(tracker, experiments[0], "")
    declared = _declaration(sweep)
    if (found := _sweep_run(tracker, experiments, name)) is None:
        _report_deleted_sweep_runs(tracker, experiments, name, report)
        to = _create_sweep_run(tracker, experiments[0], name, sweep)
    else:
        to = Destination(tracker, found["experiment"], found["run_id"], varying_fields(sweep.study))
        _log_base(tracker, found, sweep)
        if any(json.loads(found[f"tags.{tag}"]) != json.loads(text) for tag, text in declared.items()):
            _refuse_mixture(to, sweep)
            tracker.tag(to.sweep_run, declared)
        tracker.reopen(to.sweep_run)
    origin = None if sweep.file is None else origin_of(sweep.file)
    declaration = {"study.json": sweep.study.model_dump_json().encode()}
    tracker.files(to.sweep_run, declaration | (origin.files() if origin else {}))
    described = {DESCRIPTION: experiment_description(sweep.study)}
    tracker.tag(to.sweep_run, described | (origin.tags() if origin else {}))
    created = int(time.time() * 1000) if found is None else int(found["start_time"])
    prepare_views(tracker, to.experiment, to.sweep_run, sweep.study, name, created)
    return to


def find_destination(tracker: Tracker, name: str, sweep: Sweep) -> tuple[Destination, bool]:
    """Return where the runs of a sweep are recorded, for a process that is not its driver.

    The declaration and the status of an existing sweep run stay as they are.

    Returns:
        (the destination, whether its sweep run is open and is to be closed).
    """
    experiments = _experiments_of(tracker, sweep.study)
    if name == NO_SWEEP:
        return Destination(tracker, experiments[0], ""), False
    if (found := _sweep_run(tracker, experiments, name)) is not None:
        to = Destination(tracker, found["experiment"], found["run_id"], varying_fields(sweep.study))
        return to, found["status"] == "RUNNING"
    to = _create_sweep_run(tracker, experiments[0], name, sweep)
    tracker.files(to.sweep_run, {"study.json": sweep.study.model_dump_json().encode()})
    return to, True


def _declaration(sweep: Sweep) -> dict[str, str]:
    """Return the tags that store a sweep's base configuration and the names of its factors, as JSON."""
    base, factors = sweep.base.model_dump(mode="json"), sorted(sweep.study.factors)
    return {"base": json.dumps(base), "factors": json.dumps(factors)}


def _experiments_of(tracker: Tracker, study: Study) -> list[str]:
    """Return the experiments of a study, the newest first; create one if there is none."""
    if found := study_experiments(tracker).get(study.name):
        return found
    if (named := tracker.experiments().get(study.name)) is not None:  # someone else's experiment of the same name
        return [named]
    return [tracker.create_experiment(study.name, experiment_description(study), {"study": study.name})]


def _sweep_run(tracker: Tracker, experiments: list[str], name: str) -> dict[Hashable, Any] | None:
    """Return the newest sweep run of this name as a row of `Tracker.runs`, or None."""
    found = tracker.runs(experiments, {"role": "study", "sweep": name})
    return None if found.empty else found.sort_values("start_time").iloc[-1].to_dict()


def _create_sweep_run(tracker: Tracker, experiment: str, name: str, sweep: Sweep) -> Destination:
    """Create the sweep run; return where the runs of the sweep's cells are recorded."""
    tags = {
        "role": "study",
        "sweep": name,
        "quick": str(sweep.quick),
        "note": sweep.note or "",
        "code.revision": provenance.code_revision().commit,
    }
    run_id = tracker.start(experiment, f"{sweep.study.name} {name}", tags | _declaration(sweep))
    _log_base(tracker, {"run_id": run_id}, sweep)
    return Destination(tracker, experiment, run_id, varying_fields(sweep.study))


def _log_base(tracker: Tracker, sweep_run: Mapping[Hashable, Any], sweep: Sweep) -> None:
    """Log, as parameters of the sweep run, what all its runs have in common. What it has already stays.

    Args:
        tracker: the tracker.
        sweep_run: the sweep run as a row of `Tracker.runs`.
        sweep: the sweep.
    """
    varying, base = varying_fields(sweep.study), sweep.base.model_dump(mode="json")
    common = [name for name in parameter_fields(varying) if name not in varying]
    lacking = {name: base[name] for name in common if pd.isna(sweep_run.get(f"params.{name}"))}
    if lacking:
        tracker.params(sweep_run["run_id"], lacking)


def _report_deleted_sweep_runs(
    tracker: Tracker, experiments: list[str], name: str, report: Callable[[str], None]
) -> None:
    """Report that the sweep's own run was deleted in MLflow, if it was."""
    if len(deleted := tracker.runs(experiments, {"role": "study", "sweep": name}, deleted=True)):
        report(
            f"the run of the whole sweep {name} ({deleted['run_id'].iloc[0]}) was deleted in MLflow: the sweep begins "
            "anew; to keep its runs, interrupt this and restore it there"
        )


def report_deleted_cells(to: Destination, keys: set[str], recorded: set[str], report: Callable[[str], None]) -> None:
    """Report the finished runs of a sweep that were deleted in MLflow and are therefore run again.

    Args:
        to: where the sweep's runs are recorded.
        keys: the keys of the cells that are asked for.
        recorded: the keys of the cells that have an outcome.
        report: receives messages for the user, one line each.
    """
    deleted = to.cell_runs(deleted=True)
    if deleted.empty:
        return
    again = deleted[(deleted["status"] == "FINISHED") & deleted["tags.config.key"].isin(keys - recorded)]
    again = again.drop_duplicates("tags.config.key")
    if len(again):
        names = _some(again["name"].tolist())
        report(f"{len(again)} finished runs were deleted in MLflow and are run again: {names}")


def _refuse_mixture(to: Destination, sweep: Sweep) -> None:
    """Raise if finished or failed runs of the sweep differ from the current declaration.

    Only fields that are neither a factor of the study, nor searched, nor the seed are compared.

    Raises:
        BadInput: there are such runs; the message names them and the fields that differ.
    """
    searched = sweep.study.search.space if sweep.study.search else ()
    moved = {"dataset"} if sweep.base.data_digest else set()  # the digest says which data it is, wherever it lies
    fixed = sweep.base.model_dump(mode="json", exclude={*sweep.study.factors, *searched, *moved, "seed"})
    # A run that is older than a field has no value of it; it was made with what is now the field's default.
    defaults = RunConfig().model_dump(mode="json")
    differing: dict[str, list[str]] = {}
    runs = to.cell_runs().to_dict("records")
    counted = [row for row in runs if row["status"] in ("FINISHED", "FAILED")]
    for row in counted:
        recorded = {name: row.get(f"params.{name}") for name in fixed}
        recorded = {name: param_text(defaults[name]) if pd.isna(value) else value for name, value in recorded.items()}
        changes = [
            f"{k} (was {recorded[k]}, is {param_text(v)})" for k, v in fixed.items() if recorded[k] != param_text(v)
        ]
        if changes:
            differing.setdefault(", ".join(changes), []).append(str(row["name"]))
    if differing:
        shown = "; ".join(f"{changes} in {_some(names)}" for changes, names in differing.items())
        count = sum(map(len, differing.values()))
        raise BadInput(
            f"study {sweep.study.name}: {count} of its {len(counted)} runs were made under another declaration: "
            f"{shown}; --fresh starts anew and keeps them"
        )


def _some(names: list[str]) -> str:
    """Return the first names as text, and the number of the others."""
    more = f" and {len(names) - CELLS_NAMED} more" if len(names) > CELLS_NAMED else ""
    return " | ".join(names[:CELLS_NAMED]) + more


def experiment_description(study: Study) -> str:
    """Return the text that MLflow shows above a study's runs, in Markdown."""
    body = "\n".join(study.doc.strip().splitlines()[1:]).strip()
    return f"**{study.question}**\n\n`{study.command()}`\n\n{body}"


def with_record(runs: pd.DataFrame) -> pd.Series:
    """Return which runs have a complete record: those that are FINISHED, and those that were pruned.

    Args:
        runs: a frame of `Tracker.runs` with at least one run.
    """
    finished = runs["status"] == "FINISHED"
    if "tags.outcome" not in runs:
        return finished
    return finished | ((runs["status"] == "KILLED") & (runs["tags.outcome"] == "pruned"))
