"""What the user of `vaestudy reproduce` asks for. Nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from vaestudy.cli.evidence_request import EvidenceRequest


@dataclass(frozen=True)
class ReproduceRequest(EvidenceRequest):
    """What the user asks for, after all checks."""

    protocols: tuple[str, ...]
    seeds: int | None
    """None for each protocol's own number."""
