"""What the user of `vaestudy article` asks for. Nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaestudy.runtime.paths import mlruns
from vaestudy.sweep.sweep_options import Locations, SweepOptions

PUBLISHED = "mnist"
"""The data set of the committed runs and of the report in docs/."""


@dataclass(frozen=True)
class Request:
    """What the user asks for, after all checks."""

    claims: tuple[str, ...]
    dataset: str
    quick: bool
    options: SweepOptions
    locations: Locations | None
    """None with --offline."""
    out: Path
    """The folder of the report."""
    most_seeds: int
    """The largest number of seeds of an arm that a further look may have."""
    until_decided: bool
    publish: bool

    @property
    def looks_file(self) -> Path:
        """Return the file of the looks at claims; with --quick there are no further ones."""
        return mlruns() / "article" / f"looks-{self.dataset}.json"
