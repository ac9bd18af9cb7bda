"""Which runs of some needs are there, which are missing, and how long these take.

The seconds of a missing run are the mean of the recorded runs of its arm. Without any, they are what was declared: by
default in the line `Minutes:` of its study, which is for two cores, shared evenly among the study's runs. A `Cost` says
which of the two it is.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from vaestudy.evidence.evidence import SOURCE, TRACKED, Evidence
from vaestudy.evidence.needs import Need, SweepNeeds, declared_study, needs_by_sweep, studies_folder
from vaestudy.reporting.costs import RECORDED, SECONDS, UNKNOWN
from vaestudy.study.declaration import QUICK_SEEDS
from vaestudy.study.discovery import find_study

DECLARED = "the study's Minutes"
"""Where the seconds of a run come from if no run is recorded."""
CORES = 2
"""The number of cores for which studies declare their minutes."""
DATASETS_IN_MINUTES = {"mnist": "full MNIST", "mnist-5k": "mnist-5k"}
"""Data set -> its name in the line `Minutes:`."""


@dataclass(frozen=True)
class Cost:
    """How long some runs take, one after another."""

    seconds: float
    """nan if it is not known of one of them."""
    basis: tuple[str, ...]
    """Where the seconds come from."""


Declared = Callable[[Need, str], tuple[float, str] | None]
"""A function that takes a need and a data set and returns (the declared seconds of a run, where they are declared), or
None if they are not."""


@dataclass(frozen=True)
class RunCounts:
    """The numbers of runs of some needs."""

    tracked: int
    committed: int
    """The number of runs that are there only in a committed file."""
    missing: int


def count_runs(needs: Sequence[Need], evidence: Evidence) -> RunCounts:
    """Return how many runs of some needs are there, and how many are missing."""
    sources = [source for one in needs if len(runs := evidence.runs(one)) for source in runs[SOURCE]]
    tracked = sources.count(TRACKED)
    return RunCounts(tracked, len(sources) - tracked, sum(len(evidence.missing(one)) for one in needs))


def at_scale(needs: Iterable[Need], quick: bool) -> list[Need]:
    """Return needs with the seeds that are run: all, or those of --quick."""
    return [one.with_seeds(min(one.seeds, QUICK_SEEDS)) if quick else one for one in needs]


def missing_runs(needs: Sequence[Need], evidence: Evidence) -> list[SweepNeeds]:
    """Return the cells of some needs that have no run, by sweep; a sweep that lacks none is left out."""
    there = {key for one in needs if len(runs := evidence.runs(one)) for key in runs["tags.config.key"]}
    found = [
        SweepNeeds(entry.sweep, [cell for cell in entry.cells if cell.config.key not in there])
        for entry in needs_by_sweep(needs, evidence.dataset, evidence.quick)
    ]
    return [entry for entry in found if entry.cells]


def by_minutes_line(one: Need, dataset: str) -> tuple[float, str] | None:
    """Return (the seconds of a run by the line `Minutes:` of its study, DECLARED); None if the line does not say them.

    Raises:
        BadInput: the study is not declared in studies/.
    """
    seconds = _declared_seconds(one.study, dataset)
    return None if seconds is None else (seconds, DECLARED)


def cost(needs: Iterable[Need], evidence: Evidence, declared: Declared = by_minutes_line) -> Cost:
    """Return what the missing runs of some needs take; a run that two needs share counts once."""
    seconds: dict[str, tuple[float, str]] = {}
    for one in needs:
        for seed in evidence.missing(one):
            seconds[one.key(evidence.dataset, evidence.quick, seed)] = seconds_of_run(one, evidence, declared)
    return Cost(sum(each for each, _ in seconds.values()), tuple(sorted({basis for _, basis in seconds.values()})))


def seconds_of_run(one: Need, evidence: Evidence, declared: Declared) -> tuple[float, str]:
    """Return (the seconds that a run of an arm takes, where they come from); nan if they are not known."""
    runs = evidence.finished(one)
    if len(runs) and SECONDS in runs and len(known := runs[SECONDS].dropna()):
        return fmean(map(float, known)), RECORDED
    if not evidence.quick and (found := declared(one, evidence.dataset)) is not None:
        return found
    return math.nan, UNKNOWN


@functools.cache
def _declared_seconds(name: str, dataset: str) -> float | None:
    """Return the seconds of a run by the line `Minutes:` of its study; None if the line does not say them."""
    study, line = declared_study(name), find_study(studies_folder(), name).minutes
    found = re.search(rf"([\d.]+) on {DATASETS_IN_MINUTES.get(dataset, dataset)}\b", line)
    if found is None:
        return None
    runs = study.cells_to_run(study.base, study.levels_to_run(full=False, quick=False, given={}), study.seeds)
    return float(found[1]) * 60 * CORES / len(runs)
