"""The checks of a figure and of a table of a study, on synthetic runs.

The studies are some of this file, and those of the project that name the figure or table.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from vaestudy.config import user_parts
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, Part, require
from vaestudy.conformance.synthetic import synthetic_runs
from vaestudy.plotting import to_png
from vaestudy.reporting.tables.summary import Table
from vaestudy.runtime.project import studies_folder
from vaestudy.study.declaration import Study

FIGURE_CHECKS = Checks()
TABLE_CHECKS = Checks()


def _study(name: str, base: dict[str, Any], factors: dict[str, tuple[Any, ...]]) -> Study:
    """Return a study whose baseline has the first level of each factor."""
    fields: dict[str, Any] = {"dataset": "mnist-5k", "iwae": (1, 100), "epochs": 10, "valid_size": 500} | base
    baseline = {factor: levels[0] for factor, levels in factors.items()}
    return Study(
        name=name, doc="Is this drawn?", base=RunConfig(**fields), factors=factors, baseline=baseline, figures=()
    )


@functools.cache
def own_studies() -> dict[str, Study]:
    """Return studies that together record every metric: what they are of -> the study."""
    gradients = {"gradient_images": 20, "gradient_estimators": ("sgvb-b", "stl")}
    return {
        "D, with class scores": _study("classes", {"class_scores": True}, {"latent_dim": (2, 10)}),
        "M, L and the scaling, with costs": _study(
            "costs",
            {"milestones": (100, 1_000, 10_000)} | gradients,
            {"minibatch": (100, 20), "samples": (1, 10), "lr_scaling": ("none", "linear")},
        ),
        "estimators, with gradient noise": _study(
            "estimators", gradients, {"estimator": ("sgvb-b", "stl"), "samples": (1, 5)}
        ),
        "likelihoods and D, with annealed importance sampling": _study(
            "annealed",
            {"pixels": "dequantised", "ais_images": 100, "ais_simulated": 50, "ais_split": True},
            {"likelihood": ("continuous-bernoulli", "gaussian"), "latent_dim": (2, 20)},
        ),
        "beta and D": _study("betas", {"pixels": "dequantised", "likelihood": "gaussian"},
                             {"beta": (1.0, 0.1, 10.0), "latent_dim": (2, 20)}),
        "likelihoods": _study(
            "likelihoods",
            {"pixels": "dequantised"},
            {"likelihood": ("continuous-bernoulli", "gaussian"), "likelihood_scale": ("per-pixel", "fixed")},
        ),
    }  # fmt: skip


def studies_for(name: str) -> dict[str, Study]:
    """Return the studies on which a figure or table is tried: what they are of -> the study."""
    found = dict(own_studies())
    for path in sorted(studies_folder().glob("[a-z]*.py")):
        if name in path.read_text(encoding="utf-8", errors="replace"):
            for study in _studies_of(path):
                if name in (*study.figures, *study.tables) and study.factors:
                    found[f"the project's study {study.name}"] = study
    return found


def _studies_of(path: Path) -> list[Study]:
    """Return the studies that a file declares."""
    user_parts.load_file(path)
    files = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    modules = [module for module in files if Path(str(module.__file__)).resolve() == path.resolve()]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Study)]


@functools.cache
def _runs_of(declaration: str) -> pd.DataFrame:
    return synthetic_runs(Study.stored(declaration))


def runs_of(study: Study) -> pd.DataFrame:
    """Return the synthetic runs of a study, made once per process."""
    return _runs_of(study.model_dump_json())


@dataclass(frozen=True)
class Made:
    """What a figure or table makes of a study."""

    study: Study
    result: Any


@functools.cache
def _made_by(function: Callable[..., Any], name: str) -> dict[str, Made]:
    return {what: Made(study, function(runs_of(study).copy(), study)) for what, study in studies_for(name).items()}


def made(part: Part) -> dict[str, Made]:
    """Return what a figure or table makes of each study: what the study is of -> the result, made once per process."""
    return _made_by(part.load(), part.name)


def first_made(part: Part) -> Made:
    """Return what a figure or table makes of the first study that has something for it."""
    return next(each for each in made(part).values() if each.result is not None)


def require_made(part: Part, kind: type) -> None:
    """Raise unless a part makes a `kind`, or None, of each study, and a `kind` of one or more."""
    found = made(part)
    for what, each in found.items():
        good = each.result is None or isinstance(each.result, kind)
        require(good, f"it returns a {type(each.result).__name__}, for a study of {what}")
    require(
        any(each.result is not None for each in found.values()),
        f"it returns None for all studies: {'; '.join(found)}. If a study of the project names it, it is tried on it",
    )


@FIGURE_CHECKS.first
def draws(part: Part) -> None:
    """It returns a Matplotlib Figure, or None where the runs have nothing to show in it."""
    require_made(part, Figure)


@FIGURE_CHECKS
def same_picture_twice(part: Part) -> None:
    """The figure has something in it, and the same bytes each time."""
    first = first_made(part)
    figures = first.result, part.load()(runs_of(first.study).copy(), first.study)
    require(all(figure.axes or figure.images for figure in figures), "the figure is empty")
    one, again = (to_png(figure, dots=40) for figure in figures)
    require(one == again, "the picture differs when it is drawn again")


@TABLE_CHECKS.first
def makes_a_table(part: Part) -> None:
    """It returns a Table, or None where the runs have nothing to show in it."""
    require_made(part, Table)


@TABLE_CHECKS
def rows_fit(part: Part) -> None:
    """The numbers and the text of the table have the same rows, one or more; the text is text, notes are lines."""
    tables = {what: each.result for what, each in made(part).items() if each.result is not None}
    for what, table in tables.items():
        rows = len(table.full), len(table.shown)
        require(
            rows[0] == rows[1] > 0, f"it has {rows[0]} rows of numbers and {rows[1]} of text, for a study of {what}"
        )
        for column in table.shown:
            strange = [value for value in table.shown[column] if not isinstance(value, str)]
            require(not strange, f"the column {column!r} of the text has {strange[:1]}, for a study of {what}")
        require(all(isinstance(note, str) for note in table.notes), f"a note is no text, for a study of {what}")


@TABLE_CHECKS
def has_a_title(part: Part) -> None:
    """It has a title: the first line of its docstring."""
    require((part.load().__doc__ or "").strip(), "the function has no docstring")


@TABLE_CHECKS
def same_table_twice(part: Part) -> None:
    """The same runs give the same table."""
    first = first_made(part)
    one, again = first.result, part.load()(runs_of(first.study).copy(), first.study)
    require(one.full.equals(again.full) and one.shown.equals(again.shown), "the table differs when it is made again")


@FIGURE_CHECKS
@TABLE_CHECKS
def leaves_its_inputs(part: Part) -> None:
    """It leaves the runs and the study as they are."""
    study = first_made(part).study
    runs, settings = runs_of(study).copy(), dict(mpl.rcParams)
    declared = study.model_dump_json()
    part.load()(runs, study)
    require(runs.equals(runs_of(study)), "it changes the runs, which other tables and figures read, too")
    require(study.model_dump_json() == declared, "it changes the study")
    require(dict(mpl.rcParams) == settings, "it changes Matplotlib's settings (rcParams)")
