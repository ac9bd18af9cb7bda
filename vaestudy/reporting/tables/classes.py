"""Tables of the class scores: what the labels, which are not used in training, show about a study's runs.

They cover the reconstructions and the neighbours of each class, the classes that overlap most, how clearly generated
images can be classified, and whether the seeds agree in the positions of the classes at D=2. The runs must have been
made with the configuration field `class_scores`. vaestudy/scoring/score.py defines the metrics.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pandas as pd

from vaestudy.reporting.grouping import metric_interval, runs_by_cell
from vaestudy.reporting.procrustes import ALIGNMENTS, UNRELATED, Array, distance, unrelated
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import interval_column, level_columns
from vaestudy.reporting.tables.summary import Table
from vaestudy.scoring.class_probe import CONFIDENT, NEIGHBOURS
from vaestudy.study.declaration import Study

PICTURE_KINDS = {"data": "test images", "reconstruction": "reconstructions", "prior": "samples of the prior"}
OVER_SEEDS = "± over seeds, 95 %."
READER = "The classifier is a perceptron of the same train images, the same for all runs."
ALIKE = 0.05
MOST_PAIRS = 5
PURITY = re.compile(r"test/class_(\d+)/neighbour_purity")
NEIGHBOUR = re.compile(r"test/class_\d+/neighbours_(\d+)")


def scored_classes(runs: pd.DataFrame) -> list[int]:
    """Return the classes for which at least one finished run has class scores.

    Where there are few test images, some classes may be missing.
    """
    finished = runs[runs["status"] == "FINISHED"]
    columns = {int(found[1]): found[0] for name in finished if (found := PURITY.fullmatch(str(name)))}
    return sorted(label for label, name in columns.items() if finished[name].notna().any())


def neighbour_classes(runs: pd.DataFrame) -> list[int]:
    """Return the classes of which there can be neighbours: all classes of the data set."""
    return sorted({int(found[1]) for name in runs if (found := NEIGHBOUR.fullmatch(str(name)))})


def has_picture_scores(runs: pd.DataFrame) -> bool:
    """Return whether a finished run has scores of how clearly its pictures read."""
    finished = runs[runs["status"] == "FINISHED"]
    return "test/unclear_prior" in finished and bool(finished["test/unclear_prior"].notna().any())


def by_class(runs: pd.DataFrame, study: Study) -> Table | None:
    """Each class: how its test images reconstruct, and what lies near them in latent space"""
    if not scored_classes(runs) or len(neighbour_classes(runs)) < 2:
        return None
    nats = ["elbo", "log_likelihood"] if len(study.families) == 1 else []
    metrics = [*nats, "relative_error", "recognised_reconstruction", "recognised_data", "neighbour_purity"]
    rows: list[dict[str, Any]] = []
    for levels, cell in runs_by_cell(runs, study).items():
        for label in scored_classes(runs):
            head = f"test/class_{label}"
            row: dict[str, Any] = dict(zip(study.factors, levels, strict=True)) | {"class": label}
            for name in metrics:
                row[name], row[f"{name}_ci95"] = metric_interval(cell, f"{head}/{name}")
            shares = {other: metric_interval(cell, f"{head}/neighbours_{other}") for other in neighbour_classes(runs)}
            row["nearest_other"] = max((o for o in shares if o != label), key=lambda other: shares[other][0])
            row["nearest_share"], row["nearest_share_ci95"] = shares[row["nearest_other"]]
            rows.append(row)
    full = pd.DataFrame(rows)
    shown = level_columns(full, study)
    shown["class"] = full["class"].astype(str)
    titles = {"elbo": ("ELBO", 2), "log_likelihood": ("log-lik.", 2), "relative_error": ("relative error", 3)}
    titles |= {"recognised_reconstruction": ("recognised", 3), "neighbour_purity": ("own neighbours", 3)}
    for name, (title, digits) in titles.items():
        if name in full:
            shown[title] = interval_column(full, name, digits)
    pairs = zip(full["nearest_other"], interval_column(full, "nearest_share", 3), strict=True)
    shown["nearest other"] = [f"{other}: {share}" for other, share in pairs]
    ceiling = full.groupby("class")["recognised_data"].mean()
    notes = [
        f"{OVER_SEEDS} Relative error: |x - E[x|z]|^2 / |x|^2, lower is better; a log-likelihood in nats is higher the "
        "less ink a class has.",
        f"Recognised: share of reconstructions that a classifier takes for their class; of the images themselves "
        f"{', '.join(f'{label}: {share:.3f}' for label, share in ceiling.items())}. {READER}",
        f"Own neighbours: share of the class itself among the {NEIGHBOURS} nearest other test images in latent space; "
        "nearest other: the class that has the largest share of the rest.",
    ]
    return Table(full, shown, notes)


def clarity(runs: pd.DataFrame, study: Study) -> Table | None:
    """How clearly pictures read: test images, their reconstructions, samples of the prior"""
    if not has_picture_scores(runs):
        return None
    titles = {"unclear": "unclear", "class_entropy": "entropy", "greyness": "greyness", "recognised": "recognised"}
    rows: list[dict[str, Any]] = []
    for levels, cell in runs_by_cell(runs, study).items():
        for kind in PICTURE_KINDS:
            row: dict[str, Any] = dict(zip(study.factors, levels, strict=True)) | {"pictures": kind}
            for name in titles:
                row[name], row[f"{name}_ci95"] = metric_interval(cell, f"test/{name}_{kind}")
                if kind == "data":
                    row[f"{name}_ci95"] = math.nan  # the test images are the same for every seed
            rows.append(row)
    full = pd.DataFrame(rows)
    shown = level_columns(full, study)
    shown["pictures"] = [PICTURE_KINDS[kind] for kind in full["pictures"]]
    for name, title in titles.items():
        shown[title] = interval_column(full, name, 3)
    notes = [
        f"Unclear: share of pictures for which a classifier gives no class a probability of {CONFIDENT:g}; entropy: of "
        f"its probabilities, nats; recognised: taken for their own class. {READER}",
        "Greyness: mean of 4 m (1 - m) over pixels m, 0 for black and white, 1 for half-way: blur. Pictures: E[x|z].",
        f"{OVER_SEEDS} Test images are the same for every seed.",
    ]
    return Table(full, shown, notes)


def overlaps(runs: pd.DataFrame, study: Study) -> Table | None:
    """Which classes overlap most in latent space"""
    if len(scored_classes(runs)) < 2:
        return None
    rows: list[dict[str, Any]] = []
    for levels, cell in runs_by_cell(runs, study).items():
        pairs = {}
        for one, other in itertools.combinations(scored_classes(runs), 2):
            shares = (cell[f"test/class_{a}/neighbours_{b}"] for a, b in ((one, other), (other, one)))
            pairs[f"{one} and {other}"] = sum(shares) / 2
        each = pd.DataFrame(pairs)
        most = each.idxmax(axis=1)
        for pair in each.mean().sort_values(ascending=False).index[:MOST_PAIRS]:
            share, half = interval(each[pair].dropna())
            rows.append(dict(zip(study.factors, levels, strict=True)) | {
                "pair": pair, "share": share, "share_ci95": half, "most": int((most == pair).sum()),
                "seeds": len(cell)})  # fmt: skip
    full = pd.DataFrame(rows)
    shown = level_columns(full, study)
    shown["classes"] = full["pair"]
    shown["share"] = interval_column(full, "share", 3)
    shown["first in"] = [f"{most} of {seeds} seeds" for most, seeds in zip(full["most"], full["seeds"], strict=True)]
    notes = [
        f"The other class's share of the {NEIGHBOURS} nearest other test images in latent space, mean of both ways; "
        f"the first {MOST_PAIRS} of {each.shape[1]} pairs. {OVER_SEEDS}"
    ]
    return Table(full, shown, notes)


def class_layouts(cell: pd.DataFrame) -> dict[int, Array]:
    """Return the position of each class in latent space, [C, 2], for each seed.

    The result is empty unless D=2 and three or more classes have scores.
    """
    columns = [[f"test/class_{label}/mu_{d}" for d in (1, 2)] for label in scored_classes(cell)]
    if len(columns) < 3 or columns[0][0] not in cell:
        return {}
    complete = cell.dropna(subset=list(itertools.chain(*columns)))
    return {int(run["seed"]): np.array([[run[c] for c in pair] for pair in columns]) for _, run in complete.iterrows()}


def same_plane(runs: pd.DataFrame, study: Study) -> Table | None:
    """Whether seeds give the same latent plane, D=2: distances of class layouts, 0 the same, 1 nothing in common"""
    rows: list[dict[str, Any]] = []
    for levels, cell in runs_by_cell(runs, study).items():
        pairs = list(itertools.combinations(class_layouts(cell).values(), 2))
        for name, move in ALIGNMENTS.items() if pairs else ():
            found = np.array([distance(A, B, move) for A, B in pairs])
            others = np.array([unrelated(A, B, move) for A, B in pairs])
            beyond = (1 + (others <= found[:, None]).sum(1)) / (1 + UNRELATED)
            rows.append(dict(zip(study.factors, levels, strict=True)) | {
                "up_to": name, "pairs": len(pairs), "median": np.median(found), "least": found.min(),
                "most": found.max(), "unrelated_median": np.median(others),
                "unrelated_5_percent": np.quantile(others, ALIKE), "alike": int((beyond <= ALIKE).sum())})  # fmt: skip
    if not rows:
        return None
    full = pd.DataFrame(rows)
    shown = level_columns(full, study)
    shown["up to"] = full["up_to"]
    shown["distance"] = [f"{m:.3f}" for m in full["median"]]
    shown["least to most"] = [f"{low:.3f} to {high:.3f}" for low, high in zip(full["least"], full["most"], strict=True)]
    shown["unrelated"] = [f"{median:.3f}" for median in full["unrelated_median"]]
    shown["5 % of them below"] = [f"{low:.3f}" for low in full["unrelated_5_percent"]]
    shown["alike"] = [f"{alike} of {pairs}" for alike, pairs in zip(full["alike"], full["pairs"], strict=True)]
    notes = [
        "Of each pair of seeds: the share of one layout's sum of squares that the other leaves unexplained, both "
        "centred, one scale free, at the best move of the named kind; median, least and most over the pairs, which "
        "share seeds and are not independent.",
        f"Unrelated: the same pairs with the classes of one in {UNRELATED:,} random orders. Alike: closer than 95 % of "
        "their own unrelated ones.",
    ]
    return Table(full, shown, notes)
