"""A sweep: one study on one data set at one scale (quick or normal) with one set of changed base fields.

The sweep is the unit that is resumed. Runs of different sweeps never stand in one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.paths import slug
from vaestudy.study.declaration import Study, level_text

NO_SWEEP = ""
"""The name of the sweep of single runs, which belong to none."""


@dataclass(frozen=True)
class Sweep:
    """One study on one data set at one scale."""

    study: Study
    base: RunConfig
    """The configuration that all cells share: the study's base, changed by the command line and by `--quick`."""
    changed: dict[str, Any]
    """Fields of the base that were set on the command line."""
    quick: bool
    """Whether the scale is `--quick`."""
    note: str | None
    """A remark about the data set for the user, for example that `auto` fell back to another one."""

    @property
    def objective(self) -> str:
        """Return the metric that is reported to Optuna: the ELBO on valid, or on train without valid; never on test."""
        return "valid/elbo" if self.base.valid_size else "train/elbo"

    @property
    def base_name(self) -> str:
        """Return the name of the sweep's first generation; later ones add ~2, ~3, ..."""
        parts = ["quick"] if self.quick else []
        parts.append(self.base.dataset)
        parts += [f"{name}={level_text(value)}" for name, value in self.changed.items() if name != "dataset"]
        return slug("-".join(parts))[:120]


def single_run(config: RunConfig) -> Sweep:
    """Return a sweep without factors, as which a single run of `vaestudy train` is published."""
    doc = "Single runs of `vaestudy train`."
    study = Study(name="train", doc=doc, base=config, factors={}, baseline={}, figures=())
    return Sweep(study, config, {}, quick=False, note=None)
