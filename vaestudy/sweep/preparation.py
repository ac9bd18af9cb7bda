"""The checks before a study is run, and its sweep and plan. Nothing slow is imported here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.data.datasets import resolve
from vaestudy.data.on_disk import resolve_on_disk
from vaestudy.errors import BadInput
from vaestudy.runtime import paths, project
from vaestudy.study.declaration import QUICK_SEEDS, Levels, Study, quick_config
from vaestudy.study.levels import level_text
from vaestudy.study.plan import Plan
from vaestudy.study.sweep import NAMED, Sweep
from vaestudy.sweep.sweep_options import MOST_RUNS, SweepOptions
from vaestudy.training import memory

LEAST_SEEDS = 3
"""With --seeds-until a study begins with this number or more. vaestudy/reporting/seeds_needed.py gives the reason."""


@dataclass(frozen=True)
class StudyRequest:
    """A study as the user asks for it: by the flags of its command, or by the arguments of `vaestudy.run_study`."""

    study: Study
    """The study, with its search as the user changed it."""
    base: RunConfig
    """The study's base configuration, with the user's changes."""
    changed: dict[str, Any]
    """Field of the base -> its value, of the fields that the user changed."""
    given: Levels
    """Levels in place of the declared ones."""
    options: SweepOptions
    variant: dict[str, str]
    """Flag -> its value as text. The name of the sweep contains these flags, such as `--tune`."""


def prepared(request: StudyRequest, root: Path, name: Callable[[str], str] = str) -> tuple[Sweep, Plan, bool]:
    """Check that a study can be run; return its sweep, its plan, and whether its data set is there.

    The data set is downloaded if it is missing, unless only the plan is wanted (`options.plan`).

    Args:
        request: the study as the user asks for it.
        root: the folder of the data sets.
        name: returns the name of a field for messages, such as its flag.

    Raises:
        BadInput: there are too many runs or not enough memory, the data set is not available, or a cell's configuration
            is not valid.
    """
    study, base, options = request.study, request.base, request.options
    levels = study.levels_to_run(full=options.full, quick=options.quick, given=request.given)
    seeds = options.seeds or (QUICK_SEEDS if options.quick else study.seeds)
    if options.seeds_until is not None:
        seeds = seeds if options.seeds else max(seeds, LEAST_SEEDS)
        _require_differences(study, levels, seeds, options, name)
    if not options.yes:
        _require_few_runs(study, levels, seeds, name)
    plan = Plan(study, base, levels, seeds)
    if base.device == "cpu" and options.scheduler is None:  # the machines of a cluster have their own memory
        runs = [arm.base for arm in plan.arms] or [cell.config for cell in study.cells_to_run(base, levels, 1)]
        workers = paths.cores() if options.workers is None else options.workers
        memory.require_memory(runs, min(workers or 1, seeds * len(runs)))
    base, note, has_data = resolve_on_disk(base, root) if options.plan else (*resolve(base, root), True)
    if options.quick:  # a field that the user set is not shrunk
        kept = {field: value for field, value in request.changed.items() if field not in NAMED}
        base = quick_config(base).with_changes(**kept)
    plan = Plan(study, base, levels, seeds)
    _ = plan.arms or plan.cells({})  # a configuration that is not valid is reported here
    sweep = Sweep(study, base, request.changed, options.quick, note, request.variant, project.study_file())
    return sweep, plan, has_data


def _require_differences(
    study: Study, levels: Levels, seeds: int, options: SweepOptions, name: Callable[[str], str]
) -> None:
    """Raise unless the study has differences to its baseline that more seeds make narrower.

    Raises:
        BadInput: it has a search, its baseline is not run, it has one cell only, or it begins with too few or too many
            seeds.
    """
    asked = f"{name('seeds_until')} {options.seeds_until:g}"
    if study.search is not None:
        raise BadInput(f"{asked}: adds seeds to a study without a search; here {name('seeds')} sets their number")
    for factor, level in study.baseline.items():
        if level not in levels[factor]:
            shown = " ".join(map(level_text, levels[factor]))
            raise BadInput(f"{asked}: needs the baseline, {factor}={level_text(level)}, among the levels {shown}")
    if math.prod(len(values) for values in levels.values()) < 2:
        raise BadInput(f"{asked}: needs two cells or more, as it looks at differences to the baseline")
    if seeds < LEAST_SEEDS:
        raise BadInput(f"{asked}: begins with {LEAST_SEEDS} seeds or more, not with {name('seeds')} {seeds}")
    if seeds > options.most_seeds:
        raise BadInput(
            f"{name('most_seeds')} {options.most_seeds}: must be at least {seeds}, with which the study begins"
        )


def _require_few_runs(study: Study, levels: Levels, seeds: int, name: Callable[[str], str]) -> None:
    """Raise if the study has too many runs, before their configurations are made, which would take minutes.

    Raises:
        BadInput: there are more than `MOST_RUNS`; the message gives the number.
    """
    names, counts = [*levels, "seeds"], [*(len(values) for values in levels.values()), seeds]
    if study.search is not None and study.search.per_arm:
        names, counts = [*names[:-1], "tune_budget"], [*counts[:-1], max(seeds, study.search.trials or 1)]
    if (runs := math.prod(counts)) > MOST_RUNS:
        factors = " x ".join(f"{count:,} {name(field)}" for field, count in zip(names, counts, strict=True))
        at_most = "up to " if study.leave_out or "likelihood" in levels else ""
        most = f"more than {MOST_RUNS:,}; {name('yes')} runs them all the same"
        raise BadInput(f"{factors}: {at_most}{runs:,} runs, {most}")
