"""The evidence: tidy runs of what the claims need, from the tracker or from committed files.

docs/data/<study>[-<changed fields>].csv      one row a run: levels, seed, status, metrics, run id, key, data, revision

A run belongs to a need if its configuration has the key of that cell and seed. Tracked runs come first; a run that is
not tracked is taken from the committed file, and the column SOURCE says so. All seeds that are there are used, also
those beyond what is needed. A run that crashed is no evidence. One that diverged is: its configuration would diverge
again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from vaestudy.claims.needs import Need, declared_study
from vaestudy.reporting.runs_frame import Incomparable, require_comparable, tidy_runs
from vaestudy.runtime.paths import repository
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker

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
"""The columns of a committed file beside the levels, the seed and the metrics, all of them text."""
DIGITS = 10
"""Significant digits of a metric in a committed file: more than any verdict depends on."""
SOURCE = "source"
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
        """Raise unless all runs of these needs are of one data set and one subset.

        Raises:
            Incomparable: they are not.
        """
        runs = [frame for one in needs if len(frame := self.runs(one))]
        for column, what in {"tags.data.fingerprint": "data sets", "params.subset": "subsets"}.items():
            if len(found := sorted({str(value) for frame in runs for value in frame[column].dropna()})) > 1:
                raise Incomparable(f"one claim cannot rest on different {what}: {', '.join(found)}")


def collect(
    needs: Iterable[Need], dataset: str, quick: bool = False, tracker: Tracker | None = None, folder: Path | None = None
) -> Evidence:
    """Return the evidence that is there for some needs.

    Args:
        needs: what is needed.
        dataset: the data set.
        quick: look for runs of --quick.
        tracker: the tracker; without one, only committed runs are used.
        folder: the folder of committed files [default: docs/data of this checkout].
    """
    files: dict[str, set[str]] = {}
    for one in needs:
        files.setdefault(one.study, set()).add(one.file)
    experiments = study_experiments(tracker) if tracker is not None else {}
    runs = {}
    for study, names in files.items():
        parts = [read_csv((folder or data_folder()) / name) for name in sorted(names)]
        if tracker is not None and study in experiments:
            parts.insert(0, _tracked(tracker, study, experiments[study]))
        if parts := [part for part in parts if len(part)]:
            runs[study] = pd.concat(parts, ignore_index=True).drop_duplicates("tags.config.key")
    return Evidence(runs, dataset, quick)


def _tracked(tracker: Tracker, study: str, experiments: list[str]) -> pd.DataFrame:
    """Return the tidy runs of a study's cells, of all its sweeps, without those that crashed."""
    found = tracker.runs(experiments, {"role": "trial"})
    if found.empty:
        return found
    tidy = tidy_runs(found, declared_study(study))
    for column in FACTS:
        if column not in tidy:
            tidy[column] = ""
    tidy[SOURCE] = TRACKED
    return tidy[(tidy["status"] == "FINISHED") | (tidy["tags.diverged"] == "True")]


def data_folder() -> Path:
    """Return the folder of the committed runs."""
    return repository() / "docs" / "data"


def read_csv(path: Path) -> pd.DataFrame:
    """Return the runs of a committed file; an empty frame if there is no such file."""
    if not path.is_file():
        return pd.DataFrame()
    text = path.read_text(encoding="utf-8")
    columns = text.partition("\n")[0].split(",")
    metrics = [name for name in columns[columns.index("seed") + 1 :] if name not in FACTS]
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for name in metrics:
        frame[name] = pd.to_numeric(frame[name].replace("", "nan"))
    frame["seed"] = frame["seed"].astype(int)
    frame[SOURCE] = path.name
    return frame


def csv_text(evidence: Evidence, needs: Sequence[Need], metrics: Iterable[str]) -> str:
    """Return the content of a committed file: the runs of needs of one sweep, sorted, with these metrics.

    The same runs give the same text, whatever the order of needs and metrics.
    """
    factors = sorted({name for one in needs for name in declared_study(one.study).factors})
    rows = [
        {factor: dict(cell.levels).get(factor, "") for factor in factors}
        | {"seed": run["seed"]}
        | {fact: run.get(fact, "") for fact in FACTS}
        | {name: run[name] for name in sorted(set(metrics)) if name in run}
        for one in needs
        for cell in one.with_seeds(1).cells(evidence.dataset, evidence.quick)
        for run in evidence.runs(one).to_dict("records")
    ]
    if not rows:
        return ""
    frame = pd.DataFrame(rows).drop_duplicates("tags.config.key").sort_values([*factors, "seed"], kind="stable")
    return str(frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n"))
