"""The declaration of a study: its question, base configuration, factors, tables and figures, and the cells they give.

A `Study` is plain data, and this file imports nothing slow. From a study to its runs:

    Study -> `levels_to_run`: the levels of each factor -> `cells_to_run`: one cell for each combination of levels and
    each seed -> one `RunConfig` for each cell
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vaestudy.config.fields import Choice, Count
from vaestudy.config.messages import library_message
from vaestudy.config.registry import LIKELIHOODS, STUDY_FIGURES, STUDY_TABLES
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.runtime.project import command_with_flags, study_command
from vaestudy.study import checks
from vaestudy.study.levels import Level as Level
from vaestudy.study.levels import Levels as Levels
from vaestudy.study.levels import combinations
from vaestudy.study.levels import level_text as level_text
from vaestudy.study.search import Search

NATS = ("elbo", "iwae_", "ais_", "continuous_bernoulli_iwae_", "continuous_bernoulli_ais_", "log_likelihood", "kl")
"""How the names of metrics in nats of pixels begin, after the last "/"."""
QUICK_CHANGES: dict[str, Any] = {"subset": 1000, "epochs": 2, "iwae": (1, 10, 100), "figures": ("reconstructions",)}
"""Configuration fields that `--quick` sets."""
STORED = {"stored": True}
"""The context in which pydantic reads a declaration from a record."""
QUICK_SEEDS = 2
QUICK_AIS = {"ais_images": 20, "ais_temperatures": 50, "ais_chains": 4, "ais_simulated": 10}
"""The largest values of the settings of annealed importance sampling with `--quick`."""
QUICK_GRADIENT_IMAGES = 20
LONGEST_NAME = 80  # it is a part of file names, which have at most 255 bytes
QUICK_CELLS = 12
"""The number of combinations of levels above which `--quick` leaves out levels."""


class Study(BaseModel):
    """One question, and the declaration of the experiment that answers it.

    The cells are all combinations of the factors' levels, times the seeds.

    Raises:
        BadInput: a field is not valid, or the fields do not fit together (`study/checks.py`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=LONGEST_NAME)]
    """The study's name. It names the make target, the experiment in MLflow and the folder of the tables."""
    doc: str
    """The docstring of the study's file (`doc=__doc__`). Its first line is the question that the study answers."""
    base: RunConfig
    """The base configuration. Each cell is this configuration with the cell's levels and seed."""
    factors: Levels = {}
    """Field of `RunConfig` -> its levels. All combinations of the levels are run, with each seed. The seed must not be
    given here: it is a factor of every study. A study with a search needs no factors."""
    full: Levels = {}
    """Factor -> further levels, usually costly ones, that are run only with `--full`."""
    leave_out: tuple[dict[str, Level], ...] = ()
    """Combinations of levels that are not run, because they are undefined or equal to another cell. Each entry gives
    levels of some factors; all cells that have these levels are left out."""
    search: Search | None = None
    """A search, in place of factors or beside them. Without factors, its best configuration is compared with the base,
    each trained with fresh seeds."""
    baseline: dict[str, Level] = {}
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
    made_by: str = ""
    """The command that runs the study [default: make study-NAME]."""

    @classmethod
    def stored(cls, declaration: str | dict[str, Any]) -> Study:
        """Return a study that was recorded, from its JSON or from the fields in it.

        What an earlier revision accepted stays readable: the levels are not changed, and `study/checks.py` is left out.
        """
        if isinstance(declaration, str):
            return cls.model_validate_json(declaration, context=STORED)
        return cls.model_validate(declaration, context=STORED)

    @model_validator(mode="wrap")
    @classmethod
    def _declared(cls, data: Any, handler: ModelWrapValidatorHandler[Study], info: ValidationInfo) -> Study:
        """Validate the fields, and report the first mistake of a declaration as one line."""
        if info.context is STORED or not isinstance(data, Mapping):
            return handler(data)
        try:
            study = handler(checks.canonical(data))
        except ValidationError as error:
            raise BadInput(_error_line(error.errors()[0])) from None
        checks.require_consistent(study)
        study._require_one_family()
        return study

    def _require_one_family(self) -> None:
        """Raise an error if one column would contain nats of different families of likelihoods.

        Raises:
            BadInput: the likelihoods are of several families.
        """
        families = self.families
        if len(families) > 1 and (nats := [metric for metric in self.tabulate if is_nats_of_pixels(metric)]):
            raise BadInput(f"nats of {' and '.join(families)} likelihoods cannot share a column ({', '.join(nats)})")

    def with_search(self, search: Search) -> Study:
        """Return this study with another search.

        Raises:
            BadInput: the search does not fit to the study.
        """
        declared = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**declared | {"search": search})

    @property
    def families(self) -> list[str]:
        """Return the families of the likelihoods in the study. Nats may be ranked only within one family."""
        likelihoods = self.factors.get("likelihood", (self.base.likelihood,)) + self.full.get("likelihood", ())
        return sorted({LIKELIHOODS[str(name)].family for name in likelihoods})

    @property
    def question(self) -> str:
        """Return the first line of `doc`, or the name of a study that was recorded without one."""
        return (self.doc.strip().splitlines() or [self.name])[0]

    def command(self, flags: str = "") -> str:
        """Return the command that runs the study here, with further flags."""
        return command_with_flags(self.made_by, flags) if self.made_by else study_command(self.name, flags)

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


def _error_line(error: Any) -> str:
    """Return the message for one of pydantic's errors in a declaration."""
    field, value = ".".join(map(str, error["loc"])), error["input"]
    if field == "doc" and value is None:
        return "doc: the study's file has no docstring; its first line must be the question that the study answers"
    match error["type"]:
        case "value_error" if field == "seeds":
            return f"seeds {value!r}: must be a whole number, 1 or more"
        case "value_error":  # raised by a check of our own, whose message is complete
            return str(error["ctx"]["error"])
        case "missing":
            return f"{field}: is missing"
        case "extra_forbidden":
            return unknown_name("field", field, Study.model_fields)
        case "string_pattern_mismatch":
            return f"{field} {value!r}: must be lower-case letters, digits and hyphens, beginning with a letter"
    return f"{field} {value!r}: {library_message(error)}"


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
    label: str = ""
    """What the cell is, if it has no levels."""

    @property
    def name(self) -> str:
        """Return the cell's label, levels and seed as text; this is the name of its run."""
        shown = [self.label] * bool(self.label) + [f"{name}={level_text(value)}" for name, value in self.levels.items()]
        return ", ".join([*shown, f"seed={self.config.seed}"])


def make_cells(base: RunConfig, levels: Levels, seeds: int, leave_out: Iterable[dict[str, Level]] = ()) -> list[Cell]:
    """Return all cells except those of `leave_out`.

    The seed is the outermost loop: all cells of one seed come before those of the next. So an interrupted study has
    complete replicates.

    A likelihood is combined only with the levels of options that it has; any other option keeps its default.
    """
    combined = combinations(base.likelihood, levels, leave_out)
    return [Cell(c, base.with_changes(**c, seed=seed)) for seed in range(seeds) for c in combined]


def quick_config(base: RunConfig) -> RunConfig:
    """Return the base configuration for `--quick`: few images, few epochs, one figure for each run.

    If the study's base names figures other than the default ones, these are drawn instead. If its IWAE bounds have
    fewer samples, they stay.
    """
    own: dict[str, Any] = {"figures": base.figures} if base.figures != RunConfig().figures else {}
    own |= {field: min(getattr(base, field), most) for field, most in QUICK_AIS.items()} if base.ais_images else {}
    own |= {"iwae": base.iwae} if max(base.iwae, default=0) < max(QUICK_CHANGES["iwae"]) else {}
    return base.with_changes(**QUICK_CHANGES | own, gradient_images=min(base.gradient_images, QUICK_GRADIENT_IMAGES))
