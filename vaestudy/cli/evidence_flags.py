"""The flags that `vaestudy article` and `vaestudy reproduce` share, and the checks of them.

Nothing slow is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from vaestudy.cli.flags import flag
from vaestudy.cli.parsing import data_root_of
from vaestudy.config.fields import Choice, CountOrZero
from vaestudy.config.registry import DATASETS
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.sweep.sweep_options import Locations, SweepOptions

PUBLISHED = "mnist"
"""The data set of the committed runs, and of what is published in docs/."""
QUICK_DATASET = "mnist-5k"
"""The data set of --quick."""


class EvidenceFlags(BaseModel):
    """Flags of a command that runs what is missing and judges all of it. Their docstrings are the help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # Only a data set of which the keys of all runs are known before the data is read.
    dataset: Annotated[str, AfterValidator(Choice.of(DATASETS, only=lambda spec: not spec.by_content))] = ""
    """The data set of all runs [default: mnist; with --quick mnist-5k]."""
    quick: bool = False
    """Few images, few epochs and two seeds of each arm, in under five minutes: a look, not a result."""
    plan: bool = False
    """Show the runs that are there and those that are missing. Run nothing and write nothing."""
    offline: bool = False
    """Use the committed runs of docs/data only; run nothing."""
    publish: bool = False
    """Write what the command makes to docs/, and its runs to docs/data/."""
    workers: CountOrZero | None = None
    """Number of worker processes. Each executes one run at a time [default: the cores; 0: this process]."""
    retries: CountOrZero = 1
    """How often a crashed run is repeated."""

    @property
    def dataset_to_use(self) -> str:
        """Return the data set of all runs."""
        return self.dataset or (QUICK_DATASET if self.quick else PUBLISHED)

    @property
    def options(self) -> SweepOptions:
        """Return the options of the sweeps."""
        return SweepOptions(quick=self.quick, workers=self.workers, retries=self.retries)


def require_together(values: Mapping[str, Any], not_together: Mapping[str, tuple[str, ...]]) -> None:
    """Raise unless the flags that were given go together.

    Args:
        values: the flags that were given.
        not_together: flag -> flags that do not go with it.

    Raises:
        BadInput: two flags do not go together.
    """
    for name, others in not_together.items():
        if name in values and (other := next((each for each in others if each in values), None)):
            raise BadInput(f"{flag(other)}: not with {flag(name)}")
    if "publish" in values and values.get("dataset", PUBLISHED) != PUBLISHED:
        raise BadInput(f"--dataset {values['dataset']}: not with --publish, which is for {PUBLISHED}")


def locations_of(values: dict[str, Any]) -> Locations | None:
    """Remove the locations from the flags' values and return them; None with `--offline`.

    Raises:
        BadInput: a location cannot be used.
    """
    if "offline" in values:
        return None
    root = data_root_of(values)
    return Locations(root, addresses.tracking_uri(values.pop("tracking_uri", None), must_answer=False))


def require_folder(folder: Path, named: str) -> None:
    """Raise unless a folder is there or can be made, and can be written to. Else hours of runs would have no report.

    Args:
        folder: the folder.
        named: how the user named it, for the message.

    Raises:
        BadInput: a file is in its place, its path cannot be used, or it cannot be written to.
    """
    try:
        there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
        is_folder, writable = there.is_dir(), os.access(there, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:  # a name that is too long, or a folder that may not be searched
        raise BadInput(f"{named}: cannot be used ({getattr(error, 'strerror', None) or error})") from None
    if not is_folder:
        raise BadInput(f"{named}: {there} is no folder")
    if not writable:
        raise BadInput(f"{named}: {there} cannot be written to")
