"""Tidy runs without training, for tests of claims: the values of their metrics are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from vaestudy.claims.claim import Claim
from vaestudy.evidence.evidence import SOURCE, TRACKED, Evidence
from vaestudy.evidence.needs import Need

ALONG = [f"along/{images}/elbo" for images in (100, 1000)]
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
    """Return runs of a need that diverged, with the metrics that were recorded before.

    As on record, they have no facts about the data.
    """
    wide = {name: [value] * (max(seeds) + 1) for name, value in (values or {"train/elbo": -1e7}).items()}
    lacking = {"tags.data.name": None, "tags.data.fingerprint": None}
    found = rows(one, wide, status="FAILED", **{"tags.diverged": "True"} | lacking)
    return [row for row in found if row["seed"] in seeds]


def evidence(*parts: list[dict[str, object]], dataset: str = "mnist") -> Evidence:
    """Return the evidence that consists of these runs."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in (row for part in parts for row in part):
        found.setdefault(str(row["study"]), []).append(row)
    return Evidence({study: pd.DataFrame(runs) for study, runs in found.items()}, dataset)


MNIST = "a8acd31e76297908b893bd92b6416a590649c9cabb7ab4fb829e9638a300eba4"
"""The fingerprint of MNIST, whose grey entropies are committed."""


def runs_of(claim: Claim, given: Mapping[Need, Values] | None = None) -> list[list[dict[str, object]]]:
    """Return runs of all that a claim needs, with any values of its metrics.

    Args:
        claim: the claim.
        given: need, with any number of seeds -> values of metrics that are not to be any.
    """
    parts, known = [], {one.with_seeds(1): values for one, values in (given or {}).items()}
    for i, one in enumerate(claim.needs):
        rng = np.random.default_rng(i)
        names = [name for name in claim.metrics if name != "along/"] + ALONG * ("along/" in claim.metrics)
        values: dict[str, Sequence[float]] = {name: rng.uniform(0.2, 0.8, one.seeds).tolist() for name in names}
        for images in (100, 1000):
            values |= {
                f"along/{images}/images": [images] * one.seeds,
                f"along/{images}/seconds": [images / 10] * one.seeds,
            }
        parts.append(rows(one, values | dict(known.get(one.with_seeds(1), {})), **{"tags.data.fingerprint": MNIST}))
    return parts
