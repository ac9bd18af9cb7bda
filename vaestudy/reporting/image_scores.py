"""The scores of each test image that runs have on record, and the differences of two arms made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vaestudy.errors import BadInput
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.run.image_scores import IMAGE_SCORES, ImageScores, unpack_image_scores
from vaestudy.tracking.mlflow_tracker import Tracker

TAG = "tags.image_scores"
"""The column that names the scores of a run's file. Runs of earlier versions have no such tag, and no file."""
_BY_IMAGE = re.compile(r"test/(elbo|iwae_\d+|bits_per_dim)")


@dataclass(frozen=True)
class RecordedScores:
    """The scores of each test image that the runs of a table have on record."""

    found: Mapping[str, ImageScores]
    """Id of a run -> its scores. Runs without the file are not here."""
    unreadable: tuple[str, ...] = ()
    """Why files that should be there could not be read, one line each."""

    def has(self, run_id: str, metric: str) -> bool:
        """Return whether a run has finite scores of each image for a metric."""
        scores = self.found.get(run_id)
        values = scores.values.get(score_name(metric)) if scores else None
        return values is not None and bool(np.isfinite(values).all())


def is_by_image(metric: str) -> bool:
    """Return whether runs record a metric for each image: the bounds on test, and their bits per dimension."""
    return _BY_IMAGE.fullmatch(metric) is not None


def score_name(metric: str) -> str:
    """Return the name of a metric in a run's file."""
    return metric.removeprefix("test/")


def read_image_scores(tracker: Tracker, runs: pd.DataFrame, metrics: Sequence[str]) -> RecordedScores:
    """Return the scores of each image that the finished runs of a table have on record.

    Args:
        tracker: the store of the runs.
        runs: tidy runs.
        metrics: the metrics of the table; if none of them is recorded for each image, nothing is read.
    """
    names = [score_name(metric) for metric in metrics if is_by_image(metric)]
    if not names or TAG not in runs:
        return RecordedScores({})
    found, unreadable = dict[str, ImageScores](), list[str]()
    for run_id in runs.loc[(runs["status"] == "FINISHED") & runs[TAG].notna(), "run_id"]:
        try:
            scores = unpack_image_scores(tracker.read_file(run_id, IMAGE_SCORES))
        except BadInput as error:
            unreadable.append(str(error))
            continue
        found[run_id] = ImageScores(scores.images, {n: v for n, v in scores.values.items() if n in names})
    return RecordedScores(found, tuple(unreadable))


def image_differences(
    pairs: Sequence[tuple[str, str]], metric: str, scores: RecordedScores
) -> NDArray[np.float64] | None:
    """Return the differences of pairs of runs on each image, [pairs, n]; None if there are no pairs.

    Args:
        pairs: (run, run that is subtracted), ids of runs that have the metric (`RecordedScores.has`).
        metric: the metric.
        scores: the scores of the runs.

    Raises:
        Incomparable: the runs were not scored on the same images in the same order.
    """
    files = [scores.found[run_id] for pair in pairs for run_id in pair]
    if len(kinds := {file.images for file in files}) > 1:
        one, other, *_ = sorted(f"{k.count} of {k.fingerprint[:8]} with digest {k.digest[:8]}" for k in kinds)
        raise Incomparable(f"images cannot be paired: runs were scored on different ones ({one}; {other})")
    if not pairs:
        return None
    values = [file.values[score_name(metric)].astype(np.float64) for file in files]
    return np.stack([a - b for a, b in zip(values[::2], values[1::2], strict=True)])
