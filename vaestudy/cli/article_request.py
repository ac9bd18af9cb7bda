"""What the user of `vaestudy article` asks for. Nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaestudy.cli.evidence_request import EvidenceRequest
from vaestudy.runtime.paths import mlruns


@dataclass(frozen=True)
class Request(EvidenceRequest):
    """What the user asks for, after all checks."""

    claims: tuple[str, ...]
    most_seeds: int
    """The largest number of seeds of an arm that a further look may have."""
    until_decided: bool

    @property
    def looks_file(self) -> Path:
        """Return the file of the looks at claims; with --quick there are no further ones."""
        return mlruns() / "article" / f"looks-{self.dataset}.json"
