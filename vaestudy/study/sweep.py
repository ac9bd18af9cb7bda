"""TODO"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.paths import slug
from vaestudy.study.declaration import Study, level_text


@dataclass(frozen=True)
class Sweep:
    """One study on one data set at one scale: what is resumed, and what no other is mixed with."""

    study: Study
    base: RunConfig
    changed: dict[str, Any]
    """Base fields set on the command line."""
    quick: bool
    note: str | None

    @property
    def objective(self) -> str:
        """What Optuna is told of a run: never a number of the test split."""
        return "valid/elbo" if self.base.valid_size else "train/elbo"

    @property
    def base_name(self) -> str:
        parts = ["quick"] if self.quick else []
        parts.append(self.base.dataset)
        parts += [f"{name}={level_text(value)}" for name, value in self.changed.items() if name != "dataset"]
        return slug("-".join(parts))[:120]


def single_run(config: RunConfig) -> Sweep:
    """A run on its own, in the form of a sweep without factors."""
    doc = "Single runs of `vaestudy train`."
    study = Study(name="train", doc=doc, base=config, factors={}, baseline={}, figures=())
    return Sweep(study, config, {}, quick=False, note=None)
