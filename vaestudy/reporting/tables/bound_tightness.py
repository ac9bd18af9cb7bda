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
    MISSING,
    Number,
    Tightness,
    bound_label,
    bounds_of,
    scored_models,
    tightness,
)
from vaestudy.reporting.rankings import AIS, Pair, pairs
from vaestudy.reporting.tables import ess
from vaestudy.reporting.tables.summary import Table, factor_columns
from vaestudy.study.declaration import Study

MOST_NAMED = 8
"""The largest number of rows, and of changed rankings, that the notes name."""
MARK = "(loose)"
"""Stands behind the BDMC gap of a row in which AIS is not tight."""
GAP_IMAGES = "; that of the BDMC gap is over the images that the model draws"
"""A part of a note: it says over which images the standard error of a BDMC gap is computed."""


def bound_tightness(runs: pd.DataFrame, study: Study) -> Table | None:
    """Bits/dim by ELBO, IWAE and annealed importance sampling (AIS) on the same test images"""
    rows = [row for row in tightness(runs, study) if row.bits]
    if not rows:
        return None
    bounds = [*bounds_of(rows), AIS]
    differences = _differences(runs, study, rows)
    full = pd.DataFrame(
        [
            row.levels
            | {f"bits_per_dim_{bound}": row.bits[bound] for bound in bounds}
            | {f"bits_per_dim_{AIS}_se": row.bits_error, "ess": row.ess, "acceptance": row.acceptance}
            | {f"ess_{bound}": draws for bound, draws in row.draws.items()}
            | _pair(f"bits_per_dim_{AIS}_diff", differences.get(row.name, MISSING))
            | _pair("bdmc_gap", row.gap)
            for row in rows
        ]
    )
    shown = factor_columns(full, study)
    for bound in bounds[:-1]:
        shown[bound_label(bound)] = [f"{row.bits[bound]:.4f}" for row in rows]
        if any(row.draws.get(bound, math.nan) == row.draws.get(bound) for row in rows):
            shown[ess.heading(f"test/{bound}")] = ess.texts(row.draws.get(bound, math.nan) for row in rows)
    shown["AIS"] = [_text(Number(row.bits[AIS], row.bits_error), 4) for row in rows]
    if differences:
        shown["Δ AIS"] = [_text(differences.get(row.name, MISSING), 4, sign=True) for row in rows]
    shown["ESS of AIS"] = ess.texts(row.ess for row in rows)
    shown["accepted"] = [f"{row.acceptance:.2f}" if row.acceptance == row.acceptance else "" for row in rows]
    shown["BDMC gap, nats"] = _gap_texts(rows)
    notes = [
        f"All scores are of the {_settings(runs)}; lower is better. All are upper bounds on the bits/dim of p(x) in "
        "expectation; AIS does not use the encoder. Of bernoulli: the continuous Bernoulli that its decoder implies.",
        f"± is the standard error over these images, the same for all rows{GAP_IMAGES}. It says nothing about other "
        "seeds.",
        *([_difference_note(study)] if differences else []),
        "ESS: effective number of draws of the bound before it, or of chains of AIS, mean over images; accepted: share "
        "of transitions, which aim at 0.65.",
        *_draws_notes(rows),
        *_gap_notes(rows),
        *ranking_notes(runs, study),
    ]
    return Table(full, shown, notes)


def _differences(runs: pd.DataFrame, study: Study, rows: Sequence[Tightness]) -> dict[str, Number]:
    """Return name of a row -> its bits/dim by AIS minus the baseline's, with the standard error of paired images.

    Args:
        runs: tidy runs; without scores of single images there are no differences.
        study: the study.
        rows: the rows that may be ranked by bits/dim.
    """
    scores = {model.name: -model.scores[AIS] for model in scored_models(runs, study) if model.unit == "bits/dim"}
    base = next((row.name for row in rows if row.levels == study.baseline and row.name in scores), None)
    if base is None:
        return {}
    apart = {name: values - scores[base] for name, values in scores.items() if name != base}
    return {
        name: Number(float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d)))
        for name, d in apart.items()
        if len(d) > 1
    }


def _difference_note(study: Study) -> str:
    """Return the note that explains the column `Δ AIS`."""
    levels = ess.cell_text([study.baseline[name] for name in study.factors], study)
    return (
        f"Δ AIS: bits/dim by AIS minus those of the baseline, {levels}; ± its standard error, paired over the images."
    )


def _draws_notes(rows: Sequence[Tightness]) -> list[str]:
    """Return the notes that name the rows in which an importance-weighted bound has a small ESS."""
    lines = []
    for bound in dict.fromkeys(bound for row in rows for bound in row.draws):
        limit = ess.smallest(int(bound.rpartition("_")[2]))
        low = [row.name for row in rows if row.draws.get(bound, math.nan) < limit]
        lines.append(ess.low_line(ess.heading(f"test/{bound}"), bound_label(bound), low, len(rows), limit))
    return [line for line in lines if line]


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
        f"Of the {_settings(runs)}. Estimates of KL divergences, each too small by the error of AIS; all rows may be "
        "compared where AIS is tight. A negative number: the bound is tighter than AIS. ± is the standard error over "
        f"the images{GAP_IMAGES}.",
        *_gap_notes(rows),
    ]
    if "approximation" in shown:
        notes.append(
            "AIS - ELBO is approximation + amortisation, up to the noise of two estimates of the ELBO. Approximation: "
            "what the best diagonal Gaussian of each image that a search found lacks; amortisation: what the encoder's "
            "lacks to that, at least."
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
    """Return the lines on the pairs of models whose order by a bound AIS reverses; up to `MOST_NAMED` are named."""
    models = scored_models(runs, study)
    if len(models) < 2:
        return ["Rankings are not compared: fewer than two rows have recorded scores of single images."]
    rows = tightness(runs, study)
    return ranking_lines(pairs(models, bounds_of(rows)), {row.name for row in rows if row.is_loose})


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
    """Return a sentence on a changed ranking, and one on what makes it unsure: AIS may be too low for a model."""
    text = pair.text(bound_label(pair.bound))
    if pair.is_within_error:
        return f"{text} This is not decided: the BDMC gap of {pair.behind.name} is as large as its difference by AIS."
    unsure = [model.name for model in (pair.first, pair.second) if model.name in loose]
    return f"{text} AIS is not tight for {' and '.join(unsure)}." if unsure else text


def _gap_notes(rows: Sequence[Tightness]) -> list[str]:
    """Return the lines about the error of AIS itself."""
    if all(math.isnan(row.gap.mean) for row in rows):
        return ["The error of AIS itself was not measured (--ais-simulated 0)."]
    lines = [
        "BDMC gap: upper minus lower bound on log p(x) of images that the model draws; in expectation at least the "
        "error of AIS on these. They are not test images: a Bernoulli draws black and white."
    ]
    if loose := [row.name for row in rows if row.is_loose]:
        named = "; ".join(loose[:MOST_NAMED]) + "; ..." * (len(loose) > MOST_NAMED)
        lines.append(
            f"{MARK}: the gap is above {LARGEST_GAP:g} nat, or a bound is as far above AIS, in {len(loose)} of "
            f"{len(rows)} rows ({named}): there AIS is a lower bound on log p(x) that is not tight, and the bounds and "
            "the approximation may lack more than shown. More --ais-temperatures make it tighter."
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


def _text(number: Number, digits: int = 2, sign: bool = False) -> str:
    """Return "mean ± standard error", or an empty text if there is no mean. `sign` puts a + before a positive mean."""
    if math.isnan(number.mean):
        return ""
    mean = f"{number.mean:{'+' if sign else ''}.{digits}f}"
    return mean if math.isnan(number.error) else f"{mean} ± {number.error:.{digits}f}"
