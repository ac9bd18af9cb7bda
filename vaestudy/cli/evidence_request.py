"""What the user of `vaestudy article` or `vaestudy reproduce` asks for. Nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaestudy.sweep.sweep_options import Locations, SweepOptions


@dataclass(frozen=True)
class EvidenceRequest:
    """What the user asks for, after all checks."""

    dataset: str
    quick: bool
    options: SweepOptions
    locations: Locations | None
    """None with --offline."""
    out: Path
    """The folder of what is written."""
    publish: bool
