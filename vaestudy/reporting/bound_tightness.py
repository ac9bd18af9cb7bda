"""How loose the bounds of a study's runs are, by annealed importance sampling (AIS), from its tidy runs.

The runs have been scored with `ais_images`; vaestudy/scoring/ais_scores.py defines the scores. Of a Bernoulli on
dequantised pixels there are two sets of scores: its own, in nats of a kind of their own, and those of the continuous
Bernoulli that its decoder implies. All other sets have bits per dimension, in which arms may be ranked. Differences of
log p(x) and a bound are KL divergences: they do not depend on the kind of measure on x, so their nats may be compared
between all likelihoods. Differences of AIS and a bound are estimates of these. Each is too small by the error of AIS.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vaestudy.config.compatibility import has_option
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.model.likelihoods.base import GREY_VALUES
from vaestudy.reporting.grouping import runs_by_cell
from vaestudy.reporting.rankings import AIS, Scored
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.study.declaration import Level, Study, level_text

LARGEST_GAP = 1.0
"""Nats. If the BDMC gap is larger, or AIS is further below another bound, it is not a tight estimate of log p(x)."""
TABLE = "bound_tightness"
"""The name of the table whose notes need the scores of single images."""
BY_IMAGE = "ais_by_image"
"""The column of the scores of single images: name -> list, of each run."""
IMPLIED = "continuous_bernoulli_"


class Number(NamedTuple):
    """A score over the test images. With several seeds, each of the two is averaged over the seeds."""

    mean: float
    error: float
    """The standard error of the mean over the images."""


MISSING = Number(math.nan, math.nan)


@dataclass(frozen=True)
class Tightness:
    """The scores of one cell of a study, of its likelihood or of the density that it implies."""

    levels: dict[str, Level]
    arm: str
    """The levels but for D, as text."""
    latent_dim: int
    implied: bool
    """Whether the scores are those of the density that a Bernoulli implies."""
    bits: dict[str, float]
    """Bound or `AIS` -> bits per dimension; empty if the likelihood has no bits per dimension."""
    bits_error: float
    """The standard error of `bits[AIS]` over the images."""
    looseness: dict[str, Number]
    """Name of a bound -> AIS minus this bound, in nats."""
    draws: dict[str, float]
    """Name of an importance-weighted bound -> the effective number of its draws; nan if it was not recorded."""
    gap: Number
    """Upper minus lower bound on log p(x) of simulated images (BDMC), nats."""
    ess: float
    """The effective number of AIS chains."""
    acceptance: float
    approximation: Number
    """log p(x) minus the ELBO with the best Gaussian of each image, nats."""
    amortisation: Number
    """The ELBO with the best Gaussian of each image minus that with the encoder's, nats."""

    @property
    def is_loose(self) -> bool:
        """Return whether AIS itself is not tight: by its gap of simulated images, or by a bound far above it."""
        return self.gap.mean > LARGEST_GAP or any(loose.mean < -LARGEST_GAP for loose in self.looseness.values())

    @property
    def name(self) -> str:
        """Return the arm with its D."""
        return f"{self.arm}, D={self.latent_dim}"


def tightness(runs: pd.DataFrame, study: Study) -> list[Tightness]:
    """Return the scores of each cell with a finished run that has them, in the order of the study's declaration."""
    found = []
    for levels, cell in runs_by_cell(runs, study).items():
        for prefix in ("", IMPLIED):
            column = f"test/{prefix}ais_{_label(cell)}"
            if column in cell and (scored := cell[cell[column].notna()]).size:
                found.append(_of_cell(dict(zip(study.factors, levels, strict=True)), scored, study, prefix))
    return found


def bounds_of(rows: Sequence[Tightness]) -> list[str]:
    """Return the bounds that all rows have, the loosest kind first: elbo, then iwae_K with growing K."""
    common = set.intersection(*(set(row.looseness) for row in rows)) if rows else set()
    return sorted(common, key=lambda bound: int(bound.partition("_")[2] or 0))


def bound_label(bound: str) -> str:
    """Return the label of a bound, or of `AIS`, in tables and figures."""
    return f"IWAE {bound[5:]}" if bound.startswith("iwae_") else bound.upper()


def _label(cell: pd.DataFrame, images: str = "ais_images") -> str:
    """Return the settings in the names of the scores of a cell's runs; empty if they were not scored so."""
    row = cell.iloc[0]
    values = {name: row.get(f"params.{name}", "0") for name in ("ais_temperatures", "ais_chains", images)}
    known = {name: int(value) for name, value in values.items() if re.fullmatch(r"\d+", str(value))}
    if len(known) < len(values) or not all(known.values()):
        return ""
    options = AisOptions(ais_temperatures=known["ais_temperatures"], ais_chains=known["ais_chains"])
    return options.label(known[images])


def _of_cell(levels: dict[str, Level], cell: pd.DataFrame, study: Study, prefix: str) -> Tightness:
    """Return the scores of one cell whose runs have them.

    Args:
        levels: the levels of the factors.
        cell: its runs, of all seeds.
        study: the study.
        prefix: the beginning of the scores' names: `IMPLIED`, or empty for the likelihood's own.
    """
    label, likelihood = _label(cell), str(cell["params.likelihood"].iloc[0])

    def number(name: str) -> Number:
        columns = (f"test/{name}", f"test/{name}_se")
        return Number(*(float(cell[column].mean()) if column in cell else math.nan for column in columns))

    columns = {bound: f"test/{prefix}looseness_{bound}_{label}" for bound in _bounds_of_run(cell)}
    bounds = [bound for bound, column in columns.items() if column in cell and cell[column].notna().any()]
    looseness = {bound: number(f"{prefix}looseness_{bound}_{label}") for bound in bounds}
    bits = number(f"bits_per_dim_ais_{label}")
    ranked = not math.isnan(bits.mean) and (bool(prefix) or LIKELIHOODS[likelihood].family != "bernoulli")
    in_bits = {bound: bits.mean + loose.mean / nats_per_bit(cell) for bound, loose in looseness.items()}
    simulated = _label(cell, "ais_simulated")
    return Tightness(
        levels=levels,
        arm=_arm(levels, likelihood, study) + (", as the density it implies" if prefix else ""),
        latent_dim=int(cell["params.latent_dim"].iloc[0]),
        implied=bool(prefix),
        bits=in_bits | {AIS: bits.mean} if ranked else {},
        bits_error=bits.error,
        looseness=looseness,
        draws={bound: number(f"{prefix}ess_{bound}_{label}").mean for bound in looseness if bound != "elbo"},
        gap=number(f"{prefix}bdmc_gap_{simulated}") if simulated else MISSING,
        ess=number(f"{prefix}ess_ais_{label}").mean,
        acceptance=number(f"{prefix}acceptance_ais_{label}").mean,
        approximation=MISSING if prefix else number(f"approximation_gap_{label}"),
        amortisation=MISSING if prefix else number(f"amortisation_gap_{label}"),
    )


def _bounds_of_run(cell: pd.DataFrame) -> list[str]:
    """Return the bounds that the runs of a cell compare with AIS, without those that they score on all test images."""
    return ["elbo", *(f"iwae_{K}" for K in json.loads(cell["params.ais_iwae"].iloc[0]))]


def _arm(levels: dict[str, Level], likelihood: str, study: Study) -> str:
    """Return the levels but for D as text, without options that the likelihood does not have."""
    others = {name: level for name, level in levels.items() if name != "latent_dim" and has_option(likelihood, name)}
    return ", ".join(map(level_text, others.values())) or study.base.likelihood


def nats_per_bit(cell: pd.DataFrame) -> float:
    """Return how many nats of an image are one bit per dimension: P ln 2, of the images of a cell's runs."""
    return math.prod(map(int, re.findall(r"\d+", str(cell["tags.data.shape"].iloc[0])))) * math.log(2)


def scored_runs(runs: pd.DataFrame) -> list[str]:
    """Return the ids of the finished runs that recorded a score for each image."""
    images = runs.get("params.ais_images", pd.Series("0", index=runs.index)).fillna("0")
    return [str(run_id) for run_id in runs.loc[(images != "0") & (runs["status"] == "FINISHED"), "run_id"]]


def with_image_scores(runs: pd.DataFrame, files: Mapping[str, bytes]) -> pd.DataFrame:
    """Return tidy runs with the column `BY_IMAGE`; of runs without a file it is empty.

    Args:
        runs: tidy runs.
        files: run id -> the content of the run's scores.json.
    """
    found = [json.loads(files.get(run_id, b"{}")).get(BY_IMAGE, {}) for run_id in runs["run_id"]]
    return runs.assign(**{BY_IMAGE: found})


def scored_models(runs: pd.DataFrame, study: Study) -> list[Scored]:
    """Return the scores of single images of each cell, means over its seeds, for `rankings.pairs`.

    Bits per dimension have their sign changed, as higher must be better. There are none if the runs lack the column
    `BY_IMAGE`.
    """
    if BY_IMAGE not in runs:
        return []
    cells, found = runs_by_cell(runs, study), []
    for row in tightness(runs, study):
        cell = cells[tuple(row.levels.values())]
        likelihood = str(cell["params.likelihood"].iloc[0])
        prefix = IMPLIED if row.implied else ""
        names = [AIS, *row.looseness]
        tables: list[dict[str, Any]] = [table for table in cell[BY_IMAGE] if f"{prefix}{AIS}" in table]
        if not tables:
            continue
        scores = {name: np.mean([table[f"{prefix}{name}"] for table in tables], axis=0) for name in names}
        unit, digits, gap = f"nats of {LIKELIHOODS[likelihood].family}", 2, row.gap.mean
        if row.bits:
            offset = 0.0 if LIKELIHOODS[likelihood].family == "mass" else math.log2(GREY_VALUES)
            scores = {name: values / nats_per_bit(cell) - offset for name, values in scores.items()}
            unit, digits, gap = "bits/dim", 4, gap / nats_per_bit(cell)
        found.append(Scored(row.name, row.arm, row.latent_dim, unit, digits, scores, gap))
    return found
