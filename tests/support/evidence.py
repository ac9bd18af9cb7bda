"""Tidy runs without training, for tests of claims: the values of their metrics are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from vaestudy.claims.evidence import SOURCE, TRACKED, Evidence
from vaestudy.claims.needs import Need

Values = Mapping[str, Sequence[float]]
"""Metric -> its value for each of the seeds 0, 1, ..."""


def rows(one: Need, values: Values, dataset: str = "mnist", **changes: object) -> list[dict[str, object]]:
    """Return finished runs of a need, one for each seed.

    Args:
        one: the need; its own number of seeds does not matter.
        values: the metrics.
        dataset: the data set.
        changes: columns with other values.
    """
    seeds = max(map(len, values.values()))
    cells = one.with_seeds(seeds).cells(dataset)
    return [
        dict(cell.levels)
        | {
            "study": one.study,
            "seed": seed,
            "run_id": f"{cell.config.key}-run",
            "status": "FINISHED",
            "tags.config.key": cell.config.key,
            "params.pixels": cell.config.pixels,
            "params.subset": "null",
            "params.likelihood": cell.config.likelihood,
            "tags.data.name": dataset,
            "tags.data.fingerprint": dataset * 3,
            "tags.code.revision": "abc",
            "tags.diverged": "",
            SOURCE: TRACKED,
        }
        | {name: series[seed] for name, series in values.items() if seed < len(series)}
        | changes
        for seed, cell in enumerate(cells)
    ]


def diverged(one: Need, seeds: Sequence[int], values: Mapping[str, float] | None = None) -> list[dict[str, object]]:
    """Return runs of a need that diverged, with the metrics that were recorded before."""
    wide = {name: [value] * (max(seeds) + 1) for name, value in (values or {"train/elbo": -1e7}).items()}
    found = rows(one, wide, status="FAILED", **{"tags.diverged": "True"})
    return [row for row in found if row["seed"] in seeds]


def evidence(*parts: list[dict[str, object]], dataset: str = "mnist") -> Evidence:
    """Return the evidence that consists of these runs."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in (row for part in parts for row in part):
        found.setdefault(str(row["study"]), []).append(row)
    return Evidence({study: pd.DataFrame(runs) for study, runs in found.items()}, dataset)
