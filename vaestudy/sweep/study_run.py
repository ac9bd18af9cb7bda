"""Runs a study from Python: what `vaestudy.run_study` does."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pandas as pd

from vaestudy.config.messages import validated
from vaestudy.data.datasets import data_root
from vaestudy.errors import BadInput, StudyIncomplete, unknown_name
from vaestudy.reporting import export, run_list
from vaestudy.reporting.tracked_runs import frame_of
from vaestudy.run import execute
from vaestudy.run.user_code import require_files
from vaestudy.runtime import addresses
from vaestudy.runtime.console import PlainConsole
from vaestudy.runtime.signals import handling_signals
from vaestudy.study.declaration import Level, Levels, Study
from vaestudy.study.levels import level_of
from vaestudy.study.plan import Plan
from vaestudy.sweep.driver import SweepOutcome
from vaestudy.sweep.preparation import StudyRequest, prepared
from vaestudy.sweep.search_flags import SearchFlags, searched
from vaestudy.sweep.seeds_until import run_with_seeds
from vaestudy.sweep.sweep_options import Locations, SweepOptions
from vaestudy.sweep.trial_storage import require_own_database
from vaestudy.tracking.mlflow_tracker import require_tracker


class StudyOptions(TypedDict, total=False):
    """The fields of `SweepOptions`, which explains them, without `plan`."""

    quick: bool
    full: bool
    fresh: bool
    seeds: int | None
    seeds_until: float | None
    most_seeds: int
    yes: bool
    workers: int | None
    timeout: float | None
    retries: int
    scheduler: str | None
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    storage: str | None


@dataclass(frozen=True, repr=False)
class StudyResult:
    """The recorded runs of a study on one data set, and its table."""

    runs: pd.DataFrame
    """One row for each run, with the columns of `vaestudy.runs`."""
    summary: pd.DataFrame
    """One row for each combination of levels: the mean over seeds of each metric, the half-width of its 95 % interval
    (`..._ci95`), and the difference to the baseline at the same seed (`..._diff`, `..._diff_ci95`). Empty if no run has
    finished."""
    table: pd.DataFrame
    """The summary as text, as the command prints it."""
    notes: tuple[str, ...]
    """The lines below the table."""
    folder: Path
    """The folder of the tables and figures, as files."""

    def __repr__(self) -> str:
        """Return the table and its notes as text."""
        return "\n".join([self.table.to_string(index=False), *self.notes])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        return self.table.to_html(index=False, border=0)


def run_study(
    study: Study,
    *,
    levels: Mapping[str, Sequence[Level]] | None = None,
    changes: Mapping[str, Any] | None = None,
    data_dir: Path | str | None = None,
    tracking_uri: str | None = None,
    quiet: bool = False,
    **options: Unpack[StudyOptions],
) -> StudyResult:
    """Run the cells of a study that are not done, as the study's command does; return its runs and its table.

    A second call returns the recorded runs and repeats none. The runs are executed by processes on this machine, one
    for each core. They import nothing of the calling program if that is a notebook; a script calls this function under
    `if __name__ == "__main__":`, as they import it.

    Args:
        study: the declared study.
        levels: factor -> the levels to run, in place of the declared ones.
        changes: field -> value, in place of that of the study's base.
        data_dir: the folder of the data sets [default: VAESTUDY_DATA_DIR, else the user's cache].
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].
        quiet: print nothing. If not, the progress and messages are printed to stderr.
        options: the options of the command by their names (`vaestudy/sweep/sweep_options.py`): `quick=True`,
            `seeds=5`, `workers=0` (this process), ...

    Raises:
        BadInput: an argument is not valid, or the study cannot be run so; nothing was run.
        WorkersLost: no worker process could be started, or all were lost.
        StudyIncomplete: some runs crashed or could not be recorded. A second call runs what is missing.
        TrackerUnavailable: the tracker is out of reach.
    """
    chosen = validated(SweepOptions, dict(options))
    if chosen.plan:
        raise BadInput("plan True: run_study runs the study; its command has --plan")
    if chosen.workers != 0 and chosen.scheduler is None:
        _require_guard()
    base = study.base.with_changes(**changes) if changes else study.base
    root, uri = data_root(None if data_dir is None else Path(data_dir)), addresses.tracking_uri(tracking_uri)
    study, variant = searched(study, SearchFlags(), chosen.quick) if study.search is not None else (study, {})
    changed = {name: getattr(base, name) for name in changes or {}}
    request = StudyRequest(study, base, changed, _given(study, levels or {}), chosen, variant)
    sweep, plan, _ = prepared(request, root)
    execute.require_device(base.device)
    execute.require_gradient_in_z([arm.base for arm in plan.arms] or [cell.config for cell in plan.cells({})])
    if chosen.storage is not None:
        require_own_database(chosen.storage, uri)
    require_tracker(uri)
    if chosen.workers != 0:
        _require_importable(plan)
    console = PlainConsole(stderr=True, quiet=quiet)
    with handling_signals(end_at_second=False):
        outcome = run_with_seeds(sweep, plan, chosen, Locations(root, uri), console)
        return _result(outcome, study.name)


def _given(study: Study, levels: Mapping[str, Sequence[Level]]) -> Levels:
    """Return levels that replace declared ones, validated.

    Raises:
        BadInput: a name is no factor of the study, it has no level, or its field does not accept one.
    """
    for name, values in levels.items():
        if name not in study.factors:
            raise BadInput(f"levels: {unknown_name('factor', name, study.factors)}")
        if isinstance(values, str) or not len(values):
            raise BadInput(f"levels {name}: must be a tuple such as (2, 10), not {values!r}")
    return {name: tuple(dict.fromkeys(level_of(name, value) for value in values)) for name, values in levels.items()}


def _require_guard() -> None:
    """Raise if the program's file has no guard, so that the workers, which import it, would run the study again.

    A notebook, a session of Python and `python -m PACKAGE` have no such file.

    Raises:
        BadInput: it has none; or this process is a worker that imports the file.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    is_imported = file is not None and getattr(main, "__spec__", None) is None and Path(file).is_file()
    unguarded = is_imported and "__name__" not in Path(str(file)).read_text(encoding="utf-8", errors="replace")
    if unguarded or getattr(multiprocessing.current_process(), "_inheriting", False):
        raise BadInput(
            f"{file or 'a script'}: worker processes import this file, so run_study must be called under "
            '`if __name__ == "__main__":` in it, or with workers=0'
        )


def _require_importable(plan: Plan) -> None:
    """Raise if a run needs a part that worker processes cannot import.

    Raises:
        BadInput: one does.
    """
    for config in [arm.base for arm in plan.arms] or [cell.config for cell in plan.cells({})]:
        require_files(config)


def _result(outcome: SweepOutcome, study: str) -> StudyResult:
    """Export the tables of a sweep and return its runs.

    Raises:
        StudyIncomplete: some runs have no result.
    """
    reasons = {
        "crashed; their traceback.txt in MLflow says why": outcome.crashed,
        "were not started, as trials cannot be written": outcome.unstarted,
        "wait on disk for the tracker; `vaestudy sync` delivers them": outcome.waiting,
    }
    if missing := [f"{count} runs {reason}" for reason, count in reasons.items() if count]:
        raise StudyIncomplete(f"study {study}: {', '.join(missing)}")
    to = outcome.publisher.destination()
    exported = export.export(to.tracker, to.experiment, to.sweep_run)
    rows = [row for row in run_list.run_rows(to.tracker, study) if row.get("sweep") == outcome.publisher.name]
    table = exported.table
    full, shown = (pd.DataFrame(), pd.DataFrame()) if table is None else (table.full, table.shown)
    return StudyResult(frame_of(rows), full, shown, tuple(exported.notes), exported.folder)
