"""The committed files of all runs that claims rest on."""

from __future__ import annotations

from collections.abc import Iterable

from vaestudy.claims.claim import Claim
from vaestudy.evidence.committed import csv_text
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.needs import Need


def committed_files(claims: Iterable[Claim], evidence: Evidence) -> dict[str, str]:
    """Return the committed files for all runs that claims rest on: name -> content; a file without runs is left out."""
    needs: dict[str, list[Need]] = {}
    metrics: dict[str, set[str]] = {}
    for part in (part for claim in claims for part in claim.parts):
        for one in part.measure.needs:
            needs.setdefault(one.file, []).append(one)
            metrics.setdefault(one.file, set()).update(part.measure.metrics)
    texts = {name: csv_text(evidence, needs[name], metrics[name]) for name in sorted(needs)}
    return {name: text for name, text in texts.items() if text}
