"""Each score of several runs, and its difference to the first run with the standard error over the same test images.

Shapes: N test images. For a run r, s_r [N] are the scores of the images. The difference of two runs is
mean(s_r - s_1), and its standard error is std(s_r - s_1) / sqrt(N). Most of the spread over images is that of easy and
hard images, which both runs share, so it cancels. For cells, s_r is the mean over the seeds that all cells have. The
error is for these trained models: it varies over images and says nothing about other seeds. The interval over seeds
stands beside it.

The tracker has means over images alone. So the runs are scored again from their weights, with the noise of the first
scoring, and the means are compared with the record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from vaestudy.reporting.compare.sides import Side
from vaestudy.reporting.runs_frame import Incomparable, interval, require_comparable
from vaestudy.run import execute, weights
from vaestudy.scoring.bounds import mean_and_error
from vaestudy.scoring.score import image_scores
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.run_data import images_of_run
from vaestudy.training import backend

MOST_DRAWS = 100
"""The largest K of an importance-weighted bound that is scored again unless the user asks for it."""
TOLERANCE = 1e-9
"""The relative difference up to which a score agrees with the record: that of another order of summation."""
FIRST = ("elbo", "log_likelihood", "kl")
"""The scores that stand at the top."""

Images = dict[str, Tensor]
"""Name of a score -> its value for each image, [N], float64."""


@dataclass(frozen=True)
class Difference:
    """The difference of a score to the first side."""

    value: float
    error: float | None
    """The paired standard error over the test images; None for a score that is no mean over images."""
    over_seeds: float | None
    """The half-width of the 95 % interval over seeds, by Student's t; None with fewer than two seeds."""


@dataclass(frozen=True)
class ScoreRow:
    """A score of all sides."""

    name: str
    values: list[float | None]
    """The recorded value of each side, for a cell the mean over its seeds; None if a run lacks it."""
    differences: list[Difference | None]
    """The difference of each further side to the first; None if there is none."""


@dataclass(frozen=True)
class Compared:
    """The scores of several sides."""

    sides: list[Side]
    scores: list[ScoreRow]
    notes: list[str] = field(default_factory=list)
    """Why scores have no difference, and whether the scores agree with the record, one line each."""


def compare(
    tracker: Tracker,
    sides: Sequence[Side],
    root: Path,
    ks: Sequence[int] | None = None,
    status: Callable[[str], None] = lambda line: None,
) -> Compared:
    """Return the scores of several sides and their differences to the first.

    Args:
        tracker: the tracker that has the runs.
        sides: two or more sides with the same number of runs.
        root: the folder of the data sets.
        ks: the K of the bounds that are scored again [default: those on record, up to `MOST_DRAWS`].
        status: receives what is done now.

    Raises:
        BadInput: the images under `root` are not those of a run, or its weights cannot be read.
    """
    refused = [_refusals(sides[0], side, names := _score_names(sides)) for side in sides[1:]]
    needed = [sides[0]] * any(len(why) < len(names) for why in refused)
    needed += [side for side, why in zip(sides[1:], refused, strict=True) if len(why) < len(names)]
    images, notes = _scored_again(tracker, needed, root, ks, status)
    rows = []
    for name in names:
        differences = [
            None if name in why else _difference(name, sides[0], side, images)
            for side, why in zip(sides[1:], refused, strict=True)
        ]
        rows.append(ScoreRow(name, [_recorded(side, name) for side in sides], differences))
    for side, why in zip(sides[1:], refused, strict=True):
        notes += [
            f"no difference of {side.label} to {sides[0].label} "
            f"{'in any score' if len(group) == len(names) else f'in {_listed(group)}'}: {reason}"
            for reason in dict.fromkeys(why.values())
            if (group := [name for name in names if why.get(name) == reason])
        ]
    return Compared(list(sides), rows, notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _score_names(sides: Sequence[Side]) -> list[str]:
    """Return the scores on test that some run has, the parts of the bound first, without the prefix `test/`."""
    found = {name.removeprefix("test/") for side in sides for run in side.runs for name in run if _is_score(name, run)}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST), key=_natural)


def _is_score(name: str, run: dict[str, Any]) -> bool:
    """Return whether a column is a score of all test images."""
    score = name.removeprefix("test/")
    return name.startswith("test/") and "/" not in score and not score.endswith("_se") and score != "kl_per_dimension"


def _natural(name: str) -> tuple[str, int]:
    """Return a sort key by which iwae_5 comes before iwae_10."""
    head, _, tail = name.rpartition("_")
    return (head, int(tail)) if tail.isdigit() else (name, 0)


def _refusals(first: Side, other: Side, names: Sequence[str]) -> dict[str, str]:
    """Return name of a score -> why it may not be ranked between two sides."""
    frame = pd.DataFrame(
        {
            "status": run["status"],
            "tags.data.fingerprint": run.get("fingerprint", "not recorded"),
            "params.subset": str(run["subset"]),
            "params.pixels": run["pixels"],
            "params.likelihood": run["likelihood"],
        }
        for run in (first.runs[0], other.runs[0])
    )
    found = {}
    for name in names:
        try:
            require_comparable(frame, [name])
        except Incomparable as error:
            found[name] = _without_name(str(error), name)
    return found


def _without_name(reason: str, name: str) -> str:
    """Return a reason without the score that it was asked for, so that equal reasons are one line."""
    return (
        reason.removesuffix(f" ({name})")
        .replace("one table cannot hold", "they are of")
        .replace("cannot share a column", "measure different things")
    )


def _scored_again(
    tracker: Tracker, sides: Sequence[Side], root: Path, ks: Sequence[int] | None, status: Callable[[str], None]
) -> tuple[dict[str, Images], list[str]]:
    """Score the runs of some sides again.

    Returns:
        (id of a run -> its scores by image, what the comparison with the record gave)
    """
    runs = [run for side in sides for run in side.runs]
    wanted = _draws(runs) if ks is None else sorted(set(ks))
    images: dict[str, Images] = {}
    differing: list[str] = []
    compared = 0
    for count, run in enumerate(runs, start=1):
        status(f"scoring run {count} of {len(runs)} again")
        if run["id"] in images:
            continue
        images[run["id"]] = found = _images_of(tracker, run, root, wanted)
        for name, values in found.items():
            if (known := run.get(f"test/{name}")) is not None:
                compared += 1
                if not math.isclose(now := values.mean().item(), known, rel_tol=TOLERANCE, abs_tol=1e-12):
                    differing.append(f"run {run['id'][:8]}: {name} is {now!r} now and {known!r} on record")
    if not images:
        return images, []
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        return images, [
            f"{len(differing)} of {compared} scores differ from the record: {'; '.join(differing[:3])}{more}. Another "
            "machine or version: the values are those on record, the differences are those of the new scores"
        ]
    return images, [f"{len(images)} runs were scored again: all {compared} scores agree with the record"]


def _draws(runs: Sequence[dict[str, Any]]) -> list[int]:
    """Return the K of the bounds that all runs have on record, up to `MOST_DRAWS`."""
    each = [
        {int(name.removeprefix("test/iwae_")) for name in run if name.removeprefix("test/iwae_").isdigit()}
        for run in runs
    ]
    return sorted(K for K in set.intersection(*each) if K <= MOST_DRAWS) if each else []


def _images_of(tracker: Tracker, run: dict[str, Any], root: Path, ks: Sequence[int]) -> Images:
    """Return the scores of each test image by a tracked run.

    Raises:
        BadInput: its weights cannot be read, or its images are not there.
    """
    model = weights.unpack_weights(tracker.read_file(run["id"], "weights.safetensors"))
    config = model.config
    execute.require_device(config.device)
    backend.configure(config, model.shape)
    x, _ = execute.scored_images(config, images_of_run(run["id"], config, run.get("fingerprint"), root))
    return {name: values.cpu() for name, values in image_scores(model, x, ks).items()}


def _recorded(side: Side, name: str) -> float | None:
    """Return the recorded value of a score, as a mean over the runs of a side; None if one lacks it."""
    values = [float(run[f"test/{name}"]) for run in side.runs if run.get(f"test/{name}") is not None]
    return sum(values) / len(values) if len(values) == len(side.runs) else None


def _difference(name: str, first: Side, other: Side, images: dict[str, Images]) -> Difference | None:
    """Return the difference of a score between two sides; None if one of them lacks it."""
    pairs = list(zip(first.runs, other.runs, strict=True))
    if all(name in images[run["id"]] for pair in pairs for run in pair):
        by_seed = torch.stack([images[b["id"]][name] - images[a["id"]][name] for a, b in pairs])
        value, error = mean_and_error(name, by_seed.mean(0)).values()
        return Difference(value, error, _over_seeds(by_seed.mean(1).tolist()))
    if _recorded(first, name) is None or _recorded(other, name) is None:
        return None
    values = [float(b[f"test/{name}"]) - float(a[f"test/{name}"]) for a, b in pairs]
    return Difference(sum(values) / len(values), None, _over_seeds(values))


def _over_seeds(values: Sequence[float]) -> float | None:
    """Return the half-width of the 95 % interval of differences at the same seed."""
    return interval(pd.Series(values))[1] if len(values) > 1 else None
