"""The evidence: the tidy runs of what the claims need.

A run belongs to a need if its configuration has the key of that cell and seed. All seeds that are there are used, also
those beyond what is needed. A run that crashed is no evidence. One that diverged is: its configuration would diverge
again. `evidence/collect.py` collects the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from vaestudy.evidence.needs import Need
from vaestudy.reporting.runs_frame import Incomparable, require_comparable

FACTS = (
    "status",
    "run_id",
    "tags.config.key",
    "params.pixels",
    "params.subset",
    "params.likelihood",
    "tags.data.name",
    "tags.data.fingerprint",
    "tags.code.revision",
    "tags.diverged",
)
"""The columns of a run beside its levels, its seed and its metrics, all of them text."""
SOURCE = "source"
"""The column that says where a run was read from: TRACKED, or the name of a committed file."""
TRACKED = "tracked"


class Evidence:
    """The runs that are there, by what needs them.

    Args:
        runs: study -> its tidy runs, of any of its sweeps, with the columns of FACTS and SOURCE.
        dataset: the data set of all keys.
        quick: whether the keys are those of --quick.

    Raises:
        Incomparable: the finished runs of all studies are not of one data set and subset.
    """

    def __init__(self, runs: Mapping[str, pd.DataFrame], dataset: str, quick: bool = False) -> None:
        self.dataset, self.quick = dataset, quick
        self._studies = {study: frame.set_index("tags.config.key", drop=False) for study, frame in runs.items()}
        self._runs: dict[Need, pd.DataFrame] = {}

    def runs(self, one: Need) -> pd.DataFrame:
        """Return the runs of a need, by seed: those that finished, and those that diverged."""
        cell = one.with_seeds(1)
        if cell not in self._runs:
            frame = self._studies.get(one.study, pd.DataFrame())
            seeds = sorted(set(frame["seed"])) if len(frame) else []
            keys = [one.key(self.dataset, self.quick, int(seed)) for seed in seeds]
            self._runs[cell] = frame.loc[[key for key in keys if key in frame.index]] if keys else frame
        return self._runs[cell]

    def finished(self, one: Need) -> pd.DataFrame:
        """Return the runs of a need that finished, by seed."""
        runs = self.runs(one)
        return runs[runs["status"] == "FINISHED"] if len(runs) else runs

    def missing(self, one: Need) -> list[int]:
        """Return the seeds of a need that have no run."""
        runs = self.runs(one)
        there = set(runs["seed"]) if len(runs) else set()
        return [seed for seed in range(one.seeds) if seed not in there]

    def require_comparable(self, needs: Iterable[Need], metrics: Sequence[str]) -> None:
        """Raise unless metrics of the runs of these needs measure the same quantities.

        Raises:
            Incomparable: see `runs_frame.require_comparable`.
        """
        if runs := [frame for one in needs if len(frame := self.runs(one))]:
            require_comparable(pd.concat(runs), metrics)

    def require_same_images(self, needs: Iterable[Need]) -> None:
        """Check that all runs of these needs use the same data set and the same subset.

        Raises:
            Incomparable: they are not.
        """
        runs = [frame for one in needs if len(frame := self.runs(one))]
        for column, what in {"tags.data.fingerprint": "data sets", "params.subset": "subsets"}.items():
            if len(found := sorted({str(value) for frame in runs for value in frame[column].dropna()})) > 1:
                raise Incomparable(f"one claim cannot rest on different {what}: {', '.join(found)}")
