"""A study, declared: a question, a base configuration, factors, what to tabulate and draw. Pure data, nothing slow.

Study -> levels(full, quick) -> cells: one per combination of levels, times seeds -> a RunConfig each
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
QUICK_CHANGES: dict[str, Any] = {"subset": 1000, "epochs": 2, "iwae": (1, 10, 100), "figures": ("reconstructions",)}
QUICK_SEEDS = 2
QUICK_GRADIENT_IMAGES = 20
QUICK_CELLS = 12


class Study(BaseModel):
    """One question, and the experiment that answers it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    """Its name everywhere: the make target, the MLflow experiment, the folder of its tables."""
    doc: str
    """The study file's docstring; its first line is the question."""
    base: RunConfig
    """What all cells share."""
    factors: Levels
    """Configuration field -> its levels, crossed with each other; seeds are a factor of every study."""
    full: Levels = {}
    """Levels that `--full` adds."""
    leave_out: tuple[dict[str, Level], ...] = ()
    """Combinations of some factors' levels that are not run: they are undefined, or the same as another cell."""
    baseline: dict[str, Level]
    """The cell to which the others are compared, seed by seed."""
    seeds: Count = 3
    """Default number of seeds, 0 up to it."""
    tabulate: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "test/elbo",
        "test/log_likelihood",
        "test/kl",
        "test/iwae_100",
        "test/active_units",
    )
    """Metrics with a column each; the first is told as each run ends, and its difference to the baseline is shown."""
    figures: tuple[
        Annotated[str, AfterValidator(Choice("study figure", registry=STUDY_FIGURES))],
        ...,
    ] = ("bound_and_parts",)
    """Pictures of the whole study."""
    tables: tuple[
        Annotated[str, AfterValidator(Choice("study table", registry=STUDY_TABLES))],
        ...,
    ] = ()
    """Tables beside the one of all cells."""
    gallery: str = ""
    """A picture of runs to be put together, one of each arm at the baseline's numbers."""

    @model_validator(mode="after")
    def _consistent(self) -> Study:
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
        """The kinds of likelihood among its cells; nats may be ranked within one of them alone."""
        likelihoods = self.factors.get("likelihood", (self.base.likelihood,)) + self.full.get("likelihood", ())
        return sorted({LIKELIHOODS[str(name)].family for name in likelihoods})

    @property
    def question(self) -> str:
        return self.doc.strip().splitlines()[0]

    def levels_to_run(self, *, full: bool, quick: bool, given: Levels) -> Levels:
        """The levels to run: as declared, or as `given` on the command line; few of each if `quick`."""
        levels = {}
        for name, declared in self.factors.items():
            levels[name] = given.get(name, declared + (self.full.get(name, ()) if full else ()))
        if quick and _product(levels) > QUICK_CELLS:
            kept = {name: {values[0], self.baseline[name], values[-1]} for name, values in levels.items()}
            levels = {name: tuple(v for v in values if v in kept[name]) for name, values in levels.items()}
        return levels

    def cells_to_run(self, base: RunConfig, levels: Levels, seeds: int) -> list[Cell]:
        """The cells to run.

        Raises:
            BadInput: a cell cannot be, or none is left.
        """
        if not (wanted := make_cells(base, levels, seeds, self.leave_out)):
            shown = "; ".join(", ".join(f"{n}={level_text(v)}" for n, v in rule.items()) for rule in self.leave_out)
            raise BadInput(f"no cell is left: the study leaves out {shown}")
        return wanted


def is_nats_of_pixels(metric: str) -> bool:
    """Whether a metric is nats that only likelihoods of one family share the zero of."""
    return metric.rpartition("/")[2].startswith(NATS)


def _product(levels: Levels) -> int:
    total = 1
    for values in levels.values():
        total *= len(values)
    return total


@dataclass(frozen=True)
class Cell:
    """One combination of levels and one seed: exactly one run."""

    levels: dict[str, Level]
    config: RunConfig

    @property
    def name(self) -> str:
        shown = [f"{name}={level_text(value)}" for name, value in self.levels.items()]
        return ", ".join([*shown, f"seed={self.config.seed}"])


def make_cells(base: RunConfig, levels: Levels, seeds: int, leave_out: Iterable[dict[str, Level]] = ()) -> list[Cell]:
    """All cells but those of `leave_out`, one seed after another: an interrupted study has whole replicates.

    A likelihood is crossed with the options that it has; of any other option it keeps the default.
    """
    combined: list[dict[str, Level]] = []
    for values in itertools.product(*levels.values()):
        wanted = dict(zip(levels, values, strict=True))
        likelihood = str(wanted.get("likelihood", base.likelihood))
        settled = {n: level if has_option(likelihood, n) else OPTION_DEFAULTS[n] for n, level in wanted.items()}
        if settled not in combined and not any(rule.items() <= settled.items() for rule in leave_out):
            combined.append(settled)
    return [Cell(c, base.with_changes(**c, seed=seed)) for seed in range(seeds) for c in combined]


def quick_config(base: RunConfig) -> RunConfig:
    """The base shrunk to a look: few images, few epochs, one picture a run unless the study has chosen its own."""
    own = {"figures": base.figures} if base.figures != RunConfig().figures else {}
    return base.with_changes(**QUICK_CHANGES | own, gradient_images=min(base.gradient_images, QUICK_GRADIENT_IMAGES))


def level_text(value: Any) -> str:
    """A level as text, the same in names, tables and file names."""
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
