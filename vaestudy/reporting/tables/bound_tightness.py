"""Tables of how loose the bounds are: ELBO, IWAE and annealed importance sampling (AIS) on the same test images.

The runs must have been scored with the configuration field `ais_images`. vaestudy/reporting/bound_tightness.py says
which numbers may be ranked against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaestudy.reporting.bound_tightness import (
    LARGEST_GAP,
    Number,
    Tightness,
    bound_label,
    bounds_of,
    scored_models,
    tightness,
)
from vaestudy.reporting.rankings import AIS, Pair, pairs
from vaestudy.reporting.tables.summary import Table, factor_columns
from vaestudy.study.declaration import Study

MOST_NAMED = 8
"""The largest number of rows, and of changed rankings, that the notes name."""
MARK = "(loose)"
"""Stands behind a BDMC gap that is larger than `LARGEST_GAP`."""


def bound_tightness(runs: pd.DataFrame, study: Study) -> Table | None:
    """Bits/dim by ELBO, IWAE and annealed importance sampling (AIS) on the same test images"""
    rows = [row for row in tightness(runs, study) if row.bits]
    if not rows:
        return None
    bounds = [*bounds_of(rows), AIS]
    full = pd.DataFrame(
        [
            row.levels
            | {f"bits_per_dim_{bound}": row.bits[bound] for bound in bounds}
            | {f"bits_per_dim_{AIS}_se": row.bits_error, "ess": row.ess, "acceptance": row.acceptance}
            | _pair("bdmc_gap", row.gap)
            for row in rows
        ]
    )
    shown = factor_columns(full, study)
    for bound in bounds[:-1]:
        shown[bound_label(bound)] = [f"{row.bits[bound]:.4f}" for row in rows]
    shown["AIS"] = [_text(Number(row.bits[AIS], row.bits_error), 4) for row in rows]
    shown["ESS"] = [f"{row.ess:.1f}" for row in rows]
    shown["accepted"] = [f"{row.acceptance:.2f}" if row.acceptance == row.acceptance else "" for row in rows]
    shown["BDMC gap, nats"] = _gap_texts(rows)
    notes = [
        f"All scores are of the {_settings(runs)}; lower is better. All are upper bounds on the bits/dim of p(x) in "
        "expectation; AIS does not use the encoder. Of bernoulli: the continuous Bernoulli that its decoder implies.",
        "± is the standard error over these images, the same for all rows; it says nothing about other seeds.",
        "ESS: effective number of chains; accepted: share of transitions, which aim at 0.65.",
        *_gap_notes(rows),
        *ranking_notes(runs, study),
    ]
    return Table(full, shown, notes)


def bound_gaps(runs: pd.DataFrame, study: Study) -> Table | None:
    """What the bounds lack to log p(x) by annealed importance sampling (AIS), nats per image, and why"""
    rows = tightness(runs, study)
    if not rows:
        return None
    bounds = bounds_of(rows)
    full = pd.DataFrame([_gaps_of(row, bounds) for row in rows])
    shown = pd.DataFrame({"arm": full["arm"], "D": full["latent_dim"].astype(str)})
    for bound in bounds:
        shown[f"AIS - {bound_label(bound)}"] = [_text(row.looseness[bound]) for row in rows]
        if bound == "elbo" and full["approximation_gap"].notna().any():
            shown["approximation"] = [_text(row.approximation) for row in rows]
            shown["amortisation"] = [_text(row.amortisation) for row in rows]
    shown["BDMC gap"] = _gap_texts(rows)
    notes = [
        f"Of the {_settings(runs)}. These are KL divergences, so all rows may be compared. A negative number: the "
        "bound is tighter than AIS. ± is the standard error over the images.",
        *_gap_notes(rows),
    ]
    if "approximation" in shown:
        notes.append(
            "AIS - ELBO is approximation + amortisation, up to the noise of two estimates of the ELBO. Approximation: "
            "what the best diagonal Gaussian of each image lacks; amortisation: what the encoder's lacks to that."
        )
    return Table(full, shown, notes)


def _gaps_of(row: Tightness, bounds: Sequence[str]) -> dict[str, Any]:
    """Return a row of the numbers of `bound_gaps`."""
    found = row.levels | {"arm": row.arm, "latent_dim": row.latent_dim, "implied": row.implied}
    numbers = {f"looseness_{bound}": row.looseness[bound] for bound in bounds}
    numbers |= {"approximation_gap": row.approximation, "amortisation_gap": row.amortisation, "bdmc_gap": row.gap}
    for name, number in numbers.items():
        found |= _pair(name, number)
    return found


def ranking_notes(runs: pd.DataFrame, study: Study) -> list[str]:
    """Return the lines that name each pair of models whose order by the ELBO, or by the largest IWAE, AIS reverses."""
    models = scored_models(runs, study)
    if len(models) < 2:
        return ["Rankings are not compared: fewer than two rows have recorded scores of single images."]
    rows = tightness(runs, study)
    bounds = bounds_of(rows)
    compared = [bound for bound in ("elbo", bounds[-1] if bounds else "elbo") if bound in bounds]
    return ranking_lines(pairs(models, dict.fromkeys(compared)), {row.name for row in rows if row.is_loose})


def ranking_lines(found: Sequence[Pair], loose: set[str]) -> list[str]:
    """Return the changed rankings as lines.

    Args:
        found: the pairs that are compared.
        loose: the names of models of which AIS is not tight.
    """
    if not found:
        return ["No two rows may be ranked: none share D or the arm, and the unit."]
    labels = " or ".join(bound_label(bound) for bound in dict.fromkeys(pair.bound for pair in found))
    changed = [pair for pair in found if pair.changes]
    within = sum(pair.turns for pair in found) - len(changed)
    count = len({(pair.first.name, pair.second.name) for pair in found})
    images = len(found[0].first.scores[AIS])
    scope = f"{count} pair{'s' * (count != 1)}: two arms of one D, or two D of one arm; paired over {images} images"
    lines = [_change_text(pair, loose) for pair in changed[:MOST_NAMED]]
    if len(changed) > MOST_NAMED:
        lines.append(f"... and {len(changed) - MOST_NAMED} more rankings change beyond their intervals.")
    if not changed:
        lines.append(f"No ranking by {labels} changes by AIS beyond its interval ({scope}).")
    else:
        one = len(changed) == 1
        count_text = f"1 ranking by {labels} changes" if one else f"{len(changed)} rankings by {labels} change"
        lines.append(f"{count_text} by AIS beyond {'its' if one else 'their'} 95 % intervals ({scope}).")
    if within:
        lines.append(f"{within} ranking{' is' if within == 1 else 's are'} reversed, but not beyond the intervals.")
    return lines


def _change_text(pair: Pair, loose: set[str]) -> str:
    """Return a sentence on a changed ranking, and one on the models whose AIS may be too low."""
    text = pair.text(bound_label(pair.bound))
    unsure = [model.name for model in (pair.first, pair.second) if model.name in loose]
    return f"{text} AIS is not tight for {' and '.join(unsure)}." if unsure else text


def _gap_notes(rows: Sequence[Tightness]) -> list[str]:
    """Return the lines about the error of AIS itself."""
    if all(math.isnan(row.gap.mean) for row in rows):
        return ["The error of AIS itself was not measured (--ais-simulated 0)."]
    lines = [
        "BDMC gap: upper minus lower bound on log p(x) of images that the model draws: at least the error of AIS there."
    ]
    if loose := [row.name for row in rows if row.is_loose]:
        named = "; ".join(loose[:MOST_NAMED]) + "; ..." * (len(loose) > MOST_NAMED)
        lines.append(
            f"{MARK}: the gap is above {LARGEST_GAP:g} nat in {len(loose)} of {len(rows)} rows ({named}): there AIS is "
            "a lower bound on log p(x) that is not tight, and the bounds may be looser than shown. More "
            "--ais-temperatures make it tighter."
        )
    return lines


def _gap_texts(rows: Sequence[Tightness]) -> list[str]:
    """Return the column of BDMC gaps as text, with a mark where AIS is not tight."""
    return [_text(row.gap) + f" {MARK}" * row.is_loose for row in rows]


def _settings(runs: pd.DataFrame) -> str:
    """Return the settings of AIS as text; of a study with several, the largest."""
    names = ("ais_images", "ais_temperatures", "ais_chains")
    images, temperatures, chains = (int(runs[f"params.{name}"].dropna().astype(int).max()) for name in names)
    return f"first {images:,} test images ({temperatures:,} temperatures, {chains:,} chains)"


def _pair(name: str, number: Number) -> dict[str, Any]:
    """Return the columns of a number and its standard error."""
    return {name: number.mean, f"{name}_se": number.error}


def _text(number: Number, digits: int = 2) -> str:
    """Return "mean ± standard error"; empty where there is none."""
    if math.isnan(number.mean):
        return ""
    mean = f"{number.mean:.{digits}f}"
    return mean if math.isnan(number.error) else f"{mean} ± {number.error:.{digits}f}"
