"""The declaration of a study: its question, base configuration, factors, tables and figures, and the cells they give.

A `Study` is plain data, and this file imports nothing slow. From a study to its runs:

    Study -> `levels_to_run`: the levels of each factor -> `cells_to_run`: one cell for each combination of levels and
    each seed -> one `RunConfig` for each cell
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vaestudy.config.compatibility import OPTION_DEFAULTS, has_option
from vaestudy.config.fields import Choice, Count
from vaestudy.config.registry import LIKELIHOODS, STUDY_FIGURES, STUDY_TABLES
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name

Level = int | float | str | bool | tuple[int, ...]
Levels = dict[str, tuple[Level, ...]]

NATS = ("elbo", "iwae_", "continuous_bernoulli_iwae_", "log_likelihood", "kl")
"""How the names of metrics in nats of pixels begin, after the last "/"."""
QUICK_CHANGES: dict[str, Any] = {"subset": 1000, "epochs": 2, "iwae": (1, 10, 100), "figures": ("reconstructions",)}
"""Configuration fields that `--quick` sets."""
QUICK_SEEDS = 2
QUICK_GRADIENT_IMAGES = 20
QUICK_CELLS = 12
"""The number of combinations of levels above which `--quick` leaves out levels."""


class Study(BaseModel):
    """One question, and the declaration of the experiment that answers it.

    The cells are all combinations of the factors' levels, times the seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    """The study's name. It names the make target, the experiment in MLflow and the folder of the tables."""
    doc: str
    """The docstring of the study's file (`doc=__doc__`). Its first line is the question that the study answers."""
    base: RunConfig
    """The base configuration. Each cell is this configuration with the cell's levels and seed."""
    factors: Levels
    """Field of `RunConfig` -> its levels. All combinations of the levels are run, with each seed. The seed must not be
    given here: it is a factor of every study."""
    full: Levels = {}
    """Factor -> further levels, usually costly ones, that are run only with `--full`."""
    leave_out: tuple[dict[str, Level], ...] = ()
    """Combinations of levels that are not run, because they are undefined or equal to another cell. Each entry gives
    levels of some factors; all cells that have these levels are left out."""
    baseline: dict[str, Level]
    """A level for each factor. All other cells are compared with the cell of these levels, at the same seed."""
    seeds: Count = 3
    """The number of seeds without `--seeds`. The seeds are 0, 1, ..., `seeds` - 1."""
    tabulate: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "test/elbo",
        "test/log_likelihood",
        "test/kl",
        "test/iwae_100",
        "test/active_units",
    )
    """The metrics in the study's table, one column each. The first is the main metric: the table also shows its
    difference to the baseline, and the progress display shows it when a run ends."""
    figures: tuple[
        Annotated[str, AfterValidator(Choice.of(STUDY_FIGURES))],
        ...,
    ] = ("bound_and_parts",)
    """Names of the figures that are drawn from all runs of the study."""
    tables: tuple[
        Annotated[str, AfterValidator(Choice.of(STUDY_TABLES))],
        ...,
    ] = ()
    """Names of further tables, in addition to the table of all cells."""
    gallery: str = ""
    """Name of a figure of single runs, or empty. The figures of several runs are joined into one picture: one finished
    run for each combination of levels that are not numbers. Numeric factors are at the baseline's levels."""

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        """Raise unless the factors exist, the baseline fits them, and the metrics in nats may share a column."""
        fields = set(RunConfig.model_fields) - {"seed"}
        if strange := (set(self.factors) | set(self.full)) - fields:
            raise ValueError(unknown_name("factor", min(strange), sorted(fields)))
        if set(self.baseline) != set(self.factors) or set(self.full) - set(self.factors):
            raise ValueError("baseline must give a level for each factor, and full only extend factors")
        if strange := {name for rule in self.leave_out for name in rule} - set(self.factors):
            raise ValueError(unknown_name("factor", min(strange), self.factors))
        families = self.families
        if len(families) > 1 and (nats := [metric for metric in self.tabulate if is_nats_of_pixels(metric)]):
            raise ValueError(f"nats of {' and '.join(families)} likelihoods cannot share a column ({', '.join(nats)})")
        return self

    @property
    def families(self) -> list[str]:
        """Return the families of the likelihoods in the study. Nats may be ranked only within one family."""
        likelihoods = self.factors.get("likelihood", (self.base.likelihood,)) + self.full.get("likelihood", ())
        return sorted({LIKELIHOODS[str(name)].family for name in likelihoods})

    @property
    def question(self) -> str:
        """Return the first line of `doc`."""
        return self.doc.strip().splitlines()[0]

    def levels_to_run(self, *, full: bool, quick: bool, given: Levels) -> Levels:
        """Return the levels to run of each factor.

        Args:
            full: add the levels of `full`.
            quick: if there are more than `QUICK_CELLS` combinations, use only the first, the last and the baseline's
                level of each factor.
            given: levels from the command line; they replace the declared ones.
        """
        levels = {}
        for name, declared in self.factors.items():
            levels[name] = given.get(name, declared + (self.full.get(name, ()) if full else ()))
        if quick and _product(levels) > QUICK_CELLS:
            kept = {name: {values[0], self.baseline[name], values[-1]} for name, values in levels.items()}
            levels = {name: tuple(v for v in values if v in kept[name]) for name, values in levels.items()}
        return levels

    def cells_to_run(self, base: RunConfig, levels: Levels, seeds: int) -> list[Cell]:
        """Return the cells to run.

        Raises:
            BadInput: a cell's configuration is not valid, or all cells are left out.
        """
        if not (wanted := make_cells(base, levels, seeds, self.leave_out)):
            shown = "; ".join(", ".join(f"{n}={level_text(v)}" for n, v in rule.items()) for rule in self.leave_out)
            raise BadInput(f"no cell is left: the study leaves out {shown}")
        return wanted


def is_nats_of_pixels(metric: str) -> bool:
    """Return whether a metric is in nats of pixels, and so can be compared only within one family of likelihoods."""
    return metric.rpartition("/")[2].startswith(NATS)


def _product(levels: Levels) -> int:
    """Return the number of combinations of levels."""
    total = 1
    for values in levels.values():
        total *= len(values)
    return total


@dataclass(frozen=True)
class Cell:
    """One combination of levels and one seed. It needs exactly one run."""

    levels: dict[str, Level]
    config: RunConfig

    @property
    def name(self) -> str:
        """Return the cell's levels and seed as text; this is the name of its run."""
        shown = [f"{name}={level_text(value)}" for name, value in self.levels.items()]
        return ", ".join([*shown, f"seed={self.config.seed}"])


def make_cells(base: RunConfig, levels: Levels, seeds: int, leave_out: Iterable[dict[str, Level]] = ()) -> list[Cell]:
    """Return all cells except those of `leave_out`.

    The seed is the outermost loop: all cells of one seed come before those of the next. So an interrupted study has
    complete replicates.

    A likelihood is combined only with the levels of options that it has; any other option keeps its default.
    """
    combined: dict[tuple[Level, ...], dict[str, Level]] = {}
    for values in itertools.product(*levels.values()):
        wanted = dict(zip(levels, values, strict=True))
        likelihood = str(wanted.get("likelihood", base.likelihood))
        settled = {n: level if has_option(likelihood, n) else OPTION_DEFAULTS[n] for n, level in wanted.items()}
        if not any(rule.items() <= settled.items() for rule in leave_out):
            combined.setdefault(tuple(settled.values()), settled)
    return [Cell(c, base.with_changes(**c, seed=seed)) for seed in range(seeds) for c in combined.values()]


def quick_config(base: RunConfig) -> RunConfig:
    """Return the base configuration for `--quick`: few images, few epochs, one figure for each run.

    If the study's base names figures other than the default ones, these are drawn instead.
    """
    own = {"figures": base.figures} if base.figures != RunConfig().figures else {}
    return base.with_changes(**QUICK_CHANGES | own, gradient_images=min(base.gradient_images, QUICK_GRADIENT_IMAGES))


def level_text(value: Any) -> str:
    """Return a level as text; it is the same in names, tables and file names."""
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
