"""Runs a study, and adds seeds until its differences are known well enough, as `--seeds-until WIDTH` asks."""

from __future__ import annotations

import math
from dataclasses import replace

from rich.console import Console

from vaestudy.reporting.runs_frame import tidy_runs
from vaestudy.reporting.seeds_needed import NOTE, next_seeds, widest_difference
from vaestudy.reporting.tables.formats import label
from vaestudy.reporting.tables.summary import summarise
from vaestudy.study.plan import Plan
from vaestudy.study.sweep import Sweep
from vaestudy.sweep.driver import SweepOutcome, run_sweep
from vaestudy.sweep.sweep_options import Locations, SweepOptions

SEEDS_NOTE = "seeds.note"
"""The tag of a sweep run that says by which rule seeds were added. The notes of the table contain it."""


def run_with_seeds(
    sweep: Sweep, plan: Plan, options: SweepOptions, locations: Locations, console: Console
) -> SweepOutcome:
    """Run the missing cells of a plan; add seeds if `options` ask for it. The arguments are those of `run_sweep`.

    A sweep that is interrupted begins with the first look again. Its runs are there, so it comes to the same seeds.
    """
    outcome = run_sweep(sweep, plan, options, locations, console)
    if (wanted := options.seeds_until) is None:
        return outcome
    rule = NOTE.format(width=wanted, most=options.most_seeds)
    name = label(sweep.study.tabulate[0])
    while not (outcome.crashed or outcome.waiting or outcome.unstarted):
        width, seeds = _widest(outcome, plan)
        if math.isnan(width):
            console.print(f"{plan.seeds} seeds: no finished run has {name}, so no seeds are added", style="yellow")
            break
        further = next_seeds(width, seeds, wanted, plan.seeds, options.most_seeds)
        seen = f"{plan.seeds} seeds: the widest difference of {name} is known to ± {width:.3g}"
        outcome.publisher.files({}, {SEEDS_NOTE: rule})
        if further == plan.seeds:
            enough = width <= wanted
            console.print(f"{seen}; {'enough' if enough else f'± {wanted:g} is not reached'}")
            break
        console.print(f"{seen}; ± {wanted:g} is asked for: {further} seeds")
        plan = replace(plan, seeds=further)
        outcome = run_sweep(sweep, plan, options, locations, console)
    return outcome


def _widest(outcome: SweepOutcome, plan: Plan) -> tuple[float, int]:
    """Return the largest half-width of the plan's differences, and the number of seeds behind it.

    Returns:
        (inf, 0) if there is no difference yet, as further seeds may give one; (nan, 0) if no finished run has the
        metric, as further seeds would not have it either.
    """
    runs = outcome.publisher.destination().cell_runs()
    runs = runs[runs["tags.config.key"].isin({cell.config.key for cell in plan.cells({})})]
    full, metric = summarise(tidy_runs(runs, plan.study), plan.study).full, plan.study.tabulate[0]
    if metric not in full or full[metric].isna().all():
        return math.nan, 0
    width, seeds = widest_difference(full, plan.study)
    return (math.inf, seeds) if math.isnan(width) else (width, seeds)
