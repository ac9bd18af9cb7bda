"""The declaration of a search: the space, the budget, the objective, and Optuna's sampler and pruner.

A study declares a `Search` in place of factors, or beside them. `--tune` makes one for each arm of a study with
factors. This file imports nothing slow.

Each trial trains the model of one configuration and is scored on the validation images. The test images are not
touched: trials have `test_scores=False`. Trials use seeds from `TRIAL_SEED` on, and the runs that are reported use 0,
1, ..., so that the reported runs are fresh.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vaestudy.config.fields import Choice, Count, Seed
from vaestudy.config.messages import library_message
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.study.search_space import Choices, Space

TRIAL_SEED = 1_000_000
"""The seed of a trial's first run. The runs that are reported at the end have smaller seeds."""

OBJECTIVES = {"valid/elbo": "maximize", "valid/log_likelihood": "maximize", "valid/kl": "minimize"}
"""Metric that a search may optimise -> the direction, by Optuna's name."""

SAMPLERS = ("TPESampler", "GPSampler", "CmaEsSampler", "QMCSampler", "RandomSampler", "NSGAIISampler")
"""Optuna's samplers that a search may use, by Optuna's names."""
ONE_OBJECTIVE = ("CmaEsSampler",)
"""Samplers that cannot search for two objectives at once."""

NO_PRUNER = "NopPruner"
TAKEN_OVER = "taken_over"
"""The attribute of a trial with the times at which a later driver took it over, as ISO texts."""
SEED_PRUNER = "WilcoxonPruner"
"""The pruner that compares trials seed by seed. The others compare them epoch by epoch."""
PRUNERS = (NO_PRUNER, "HyperbandPruner", "MedianPruner", SEED_PRUNER)
"""Optuna's pruners that a search may use, by Optuna's names."""

Sampler = Annotated[str, AfterValidator(Choice("sampler", *SAMPLERS))]
Pruner = Annotated[str, AfterValidator(Choice("pruner", *PRUNERS))]


class Search(BaseModel):
    """A search for the best configuration.

    Raises:
        BadInput: a field is not valid, or the fields do not fit together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    space: Space
    """Field of `RunConfig` -> the range or the choices that are searched."""
    trials: Count | None = None
    """The budget as a number of trials."""
    epochs: Count | None = None
    """The budget as a number of epochs, summed over trials. A trial that is pruned saves epochs for others."""
    objectives: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=2),
        BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    ] = ("valid/elbo",)
    """The metric that is optimised, at the end of the last epoch. Two metrics give a front in place of one best."""
    sampler: Sampler = "TPESampler"
    """Optuna's sampler, which proposes configurations."""
    pruner: Pruner = NO_PRUNER
    """Optuna's pruner, which ends trials early."""
    seeds: Count = 1
    """The number of runs of a trial, each with a seed of its own. The trial's value is their mean."""
    seed: Seed = 0
    """The seed of the sampler."""
    per_arm: bool = False
    """Whether each arm of the study (a combination of levels) has a search of its own, with the same budget."""

    @model_validator(mode="wrap")
    @classmethod
    def _declared(cls, data: Any, handler: ModelWrapValidatorHandler[Search], info: ValidationInfo) -> Search:
        """Validate the fields, and report the first mistake as one line."""
        if info.context is not None:
            return handler(data)
        try:
            search = handler(data)
        except ValidationError as error:
            raise BadInput(_error_line(error.errors()[0])) from None
        search._require_consistent()
        return search

    def _require_consistent(self) -> None:
        """Raise unless the fields fit together.

        Raises:
            BadInput: they do not; the first problem is reported.
        """
        for metric in self.objectives:
            if metric not in OBJECTIVES:
                why = "the test images are only for the final scores" if metric.startswith("test/") else ""
                names = ", ".join(OBJECTIVES)
                raise BadInput(
                    f"objective {metric}: {why}; choose from: {names}"
                    if why
                    else unknown_name("objective", metric, OBJECTIVES)
                )
        if len(set(self.objectives)) < len(self.objectives):
            raise BadInput(f"objectives {', '.join(self.objectives)}: is given twice; two objectives must differ")
        if self.trials is None and self.epochs is None:
            raise BadInput("search: has no budget; give trials or epochs")
        if len(self.objectives) > 1 and self.pruner != NO_PRUNER:
            raise BadInput(f"pruner {self.pruner}: compares one objective; with two the pruner must be {NO_PRUNER}")
        if len(self.objectives) > 1 and self.sampler in ONE_OBJECTIVE:
            fit = ", ".join(name for name in SAMPLERS if name not in ONE_OBJECTIVE)
            raise BadInput(f"sampler {self.sampler}: searches for one objective; for two choose from: {fit}")
        if self.pruner == SEED_PRUNER and self.seeds < 2:
            raise BadInput(f"pruner {SEED_PRUNER}: compares seeds; seeds must be 2 or more, not {self.seeds}")
        if self.pruner not in (NO_PRUNER, SEED_PRUNER) and self.seeds > 1:
            raise BadInput(
                f"pruner {self.pruner}: compares the epochs of one run; seeds must be 1, not {self.seeds}, "
                f"or the pruner {SEED_PRUNER}"
            )

    def families(self, base: RunConfig) -> list[str]:
        """Return the families of the likelihoods that trials can have. Nats may be ranked only within one family."""
        dimension = self.space.get("likelihood")
        names = dimension.levels if isinstance(dimension, Choices) else (base.likelihood,)
        return sorted({LIKELIHOODS[str(name)].family for name in names})

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        """Return the seeds of a trial's runs."""
        return tuple(range(TRIAL_SEED, TRIAL_SEED + self.seeds))


def _error_line(error: Any) -> str:
    """Return the message for one of pydantic's errors in a declaration."""
    field, value = str(error["loc"][0]) if error["loc"] else "search", error["input"]
    match error["type"]:
        case "value_error" if field in ("trials", "epochs", "seeds"):
            return f"{field} {value!r}: must be a whole number, 1 or more"
        case "value_error":
            return f"{field}: {error['ctx']['error']}"
        case "missing":
            return f"search {field}: is missing"
        case "extra_forbidden":
            return unknown_name("field of a search", field, Search.model_fields)
        case "greater_than_equal":
            return f"{field} {value!r}: must be {error['ctx']['ge']} or more"
    return f"{'.'.join(map(str, error['loc']))} {value!r}: {library_message(error)}"
