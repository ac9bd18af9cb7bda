"""A sweep: one study on one data set at one scale (quick or normal) with one set of changed base fields.

The sweep is the unit that is resumed. Runs of different sweeps never stand in one table.

**Names.** A sweep's name says what it is: the data set and the changed fields in the order of `RunConfig`, as in
"mnist-5k-epochs=2". If that text is not exact (too long for a file name, or with characters that a file name may not
have), it is shortened and ends in a digest of what it stands for. So different sweeps have different names, and the
order of the flags does not matter. Only names of quick sweeps begin with "quick".

**Former names.** Earlier revisions rounded numbers to six digits, cut a name after 120 characters, and kept the order
of the command line, so one name could stand for several sweeps. A sweep that was recorded under such a name is
recognised by its base configuration, and is resumed under that name (`sweep/generations.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.paths import slug
from vaestudy.study.checks import SINGLE_RUNS
from vaestudy.study.declaration import Study, level_text

NO_SWEEP = ""
"""The name of the sweep of single runs, which belong to none."""
LONGEST = 120  # characters of a name without the number of its generation
NAMED = ("dataset", "data_digest")
"""Fields that the name of the data set stands for."""
DIGEST = 8  # hexadecimal digits
DIGEST_END = re.compile(rf"-[0-9a-f]{{{DIGEST}}}$")
OF_FACTORS = ("factor", "without")
"""The flags of a variant that say which factors the study has."""
DATASET = re.compile(r"(?!quick)[a-z0-9]([a-z0-9_-]*[a-z0-9])?")
"""Names of data sets that a sweep's name contains as they are. It has no ".", so it looks like no file of a table."""


@dataclass(frozen=True)
class Sweep:
    """One study on one data set at one scale."""

    study: Study
    base: RunConfig
    """The configuration that all cells share: the study's base, changed by the command line and by `--quick`."""
    changed: dict[str, Any]
    """Fields of the base that were set on the command line, in its order."""
    quick: bool
    """Whether the scale is `--quick`."""
    note: str | None
    """A remark about the data set for the user, for example that `auto` fell back to another one."""
    variant: dict[str, str] = field(default_factory=dict)
    """Flag -> its value as text. The name of the sweep contains these flags, such as `--tune`."""
    file: Path | None = None
    """The file that declares the study; None if it is not known."""

    @property
    def objective(self) -> str:
        """Return the metric that is reported to Optuna: the ELBO on valid, or on train without valid; never on test."""
        every_run_has_valid = self.base.valid_size and "valid_size" not in self.study.factors
        return "valid/elbo" if every_run_has_valid else "train/elbo"

    @property
    def base_name(self) -> str:
        """Return the name of the sweep's first generation; later ones add ~2, ~3, ..."""
        dataset = self.base.dataset_id
        fields = [name for name in RunConfig.model_fields if name in self.changed and name not in NAMED]
        named = [dataset, *(f"{name}={level_text(getattr(self.base, name))}" for name in fields)]
        named += [f"{name}={value}" for name, value in self.variant.items()]
        text = "-".join(["quick"] * self.quick + named)
        values = [*(getattr(self.base, name) for name in fields), *self.variant.values()]
        exact = DATASET.fullmatch(dataset) and all(map(_is_plain, values))
        if exact and len(text) <= LONGEST and not DIGEST_END.search(text):
            return text
        stands_for = self.base.model_dump(mode="json", include={*fields}) | {"dataset": dataset, "quick": self.quick}
        stands_for |= {"variant": self.variant} if self.variant else {}
        digest = hashlib.sha256(json.dumps(stands_for, sort_keys=True).encode()).hexdigest()[:DIGEST]
        readable = slug(text).replace("~", "-").lower().strip("-._+=")
        if not readable or readable.startswith("quick") != self.quick:
            readable = f"data-{readable}"
        return f"{readable[: LONGEST - DIGEST - 1].rstrip('-.')}-{digest}"

    @property
    def plain_name(self) -> str:
        """Return the base name of the sweep of the same factors without a search of its own."""
        return replace(self, variant={k: v for k, v in self.variant.items() if k in OF_FACTORS}).base_name

    @property
    def former_name(self) -> str:
        """Return the name that earlier revisions gave the sweep's first generation. Variants have no such name."""
        if self.variant:
            return self.base_name
        parts = ["quick"] if self.quick else []
        parts.append(self.base.dataset_id)
        parts += [f"{name}={_former_text(value)}" for name, value in self.changed.items() if name not in NAMED]
        return slug("-".join(parts))[:LONGEST]


def _is_plain(value: Any) -> bool:
    """Return whether a value's text in a name can be read in one way only, on every file system.

    A text contains no "=", so that each "=" stands behind a field's name; no "~", which marks a generation; and no
    upper case, as names that differ only in case are one file on some systems.
    """
    if isinstance(value, tuple):
        return all(_is_plain(item) and not (isinstance(item, str) and "x" in item) for item in value)
    return not isinstance(value, str) or re.fullmatch(r"[a-z0-9]([a-z0-9._+-]*[a-z0-9])?", value) is not None


def _former_text(value: Any) -> str:
    """Return a value as earlier revisions wrote it in a name."""
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def single_run(config: RunConfig) -> Sweep:
    """Return a sweep without factors, as which a single run of `vaestudy train` is published."""
    doc = "Single runs of `vaestudy train`."
    study = Study(name=SINGLE_RUNS, doc=doc, base=config, factors={}, baseline={}, figures=())
    return Sweep(study, config, {}, quick=False, note=None)
