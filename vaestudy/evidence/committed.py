"""Committed files of tidy runs, so that a verdict can be computed again without training.

    docs/data/<study>[-<changed fields>].csv      one row a run: levels, seed, facts, metrics

A file has only the metrics that a claim or a published number needs. It is sorted, and its numbers have ten digits, so
the same runs give the same file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from vaestudy.evidence.evidence import FACTS, SOURCE, Evidence
from vaestudy.evidence.needs import Need
from vaestudy.runtime.project import repository

DIGITS = 10
"""Significant digits of a metric in a committed file: more than any verdict depends on."""


def data_folder() -> Path:
    """Return the folder of the committed runs."""
    return repository() / "docs" / "data"


def read_csv(path: Path) -> pd.DataFrame:
    """Return the runs of a committed file; an empty frame if there is no such file.

    A fact that a run lacks is None, as in runs of the tracker: runs that diverged were once recorded without the
    fingerprint of their data.
    """
    if not path.is_file():
        return pd.DataFrame()
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    names = list(columns)
    metrics = [name for name in names[names.index("seed") + 1 :] if name not in FACTS] if rows else []
    numbers = {name: [float(text) if text else math.nan for text in columns[name]] for name in metrics}
    facts = {name: [text or None for text in columns[name]] for name in names if name in FACTS}
    seeds = {"seed": list(map(int, columns.get("seed", [])))}
    return pd.DataFrame(columns | facts | numbers | seeds | {SOURCE: [path.name] * len(rows)})


def csv_text(evidence: Evidence, needs: Sequence[Need], metrics: Iterable[str]) -> str:
    """Return the content of a committed file: the runs of needs of one sweep, sorted, with these metrics.

    The same runs give the same text, whatever the order of needs and metrics. A metric that ends in "/" stands for all
    whose names begin so.
    """
    factors = sorted({name for one in needs for name in one.declaration.factors})
    rows = [
        {factor: dict(cell.levels).get(factor, "") for factor in factors}
        | {"seed": run["seed"]}
        | {fact: run.get(fact, "") for fact in FACTS}
        | {name: run[name] for name in _named(metrics, run)}
        for one in needs
        for cell in one.with_seeds(1).cells(evidence.dataset, evidence.quick)
        for run in evidence.runs(one).to_dict("records")
    ]
    if not rows:
        return ""
    frame = pd.DataFrame(rows).drop_duplicates("tags.config.key").sort_values([*factors, "seed"], kind="stable")
    return str(frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n"))


def _named(metrics: Iterable[str], run: Mapping[Hashable, object]) -> list[str]:
    """Return the metrics of a run that are asked for, sorted by name and by number."""
    wanted = set(metrics)
    beginnings = tuple(name for name in wanted if name.endswith("/"))
    found = [str(name) for name in run if name in wanted or (beginnings and str(name).startswith(beginnings))]
    return sorted(found, key=lambda name: [part.zfill(DIGITS) for part in name.split("/")])
