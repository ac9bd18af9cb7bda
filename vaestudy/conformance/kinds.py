"""The kinds of parts by their names in commands, and where the checks of each are. Nothing slow is imported here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaestudy.config.registry import (
    ACTIVATIONS,
    ARCHITECTURES,
    DATASETS,
    INITS,
    LIKELIHOODS,
    LR_SCALINGS,
    OBJECTIVES,
    OPTIMIZERS,
    PIXELS,
    RUN_FIGURES,
    SCHEDULES,
    SIGMAS,
    STUDY_FIGURES,
    STUDY_TABLES,
    Registry,
)
from vaestudy.conformance.check import Checks, Part
from vaestudy.errors import BadInput, unknown_name


@dataclass(frozen=True)
class Kind:
    """A kind of part."""

    registry: Registry[Any]
    module: str
    """The file of its checks in this folder."""
    checks: str = "CHECKS"
    """The name of the checks in the file."""

    @property
    def name(self) -> str:
        """The name in commands: that of messages, with hyphens."""
        return self.registry.kind.replace(" ", "-")

    def load_checks(self) -> Checks:
        """Import the checks and return them."""
        module = importlib.import_module(f"vaestudy.conformance.{self.module}")
        found: Checks = getattr(module, self.checks)
        return found


KINDS = {
    kind.name: kind
    for kind in (
        Kind(LIKELIHOODS, "likelihoods"),
        Kind(SIGMAS, "sigmas"),
        Kind(ARCHITECTURES, "architectures"),
        Kind(ACTIVATIONS, "layers", "ACTIVATION_CHECKS"),
        Kind(INITS, "layers", "INIT_CHECKS"),
        Kind(OBJECTIVES, "objectives"),
        Kind(OPTIMIZERS, "optimizers"),
        Kind(SCHEDULES, "schedules"),
        Kind(LR_SCALINGS, "schedules", "SCALING_CHECKS"),
        Kind(DATASETS, "data_sets"),
        Kind(PIXELS, "pixels"),
        Kind(RUN_FIGURES, "run_figures"),
        Kind(STUDY_FIGURES, "study_parts", "FIGURE_CHECKS"),
        Kind(STUDY_TABLES, "study_parts", "TABLE_CHECKS"),
    )
}
"""The name of a kind in commands -> the kind."""


def find_part(text: str, root: Path = Path()) -> Part:
    """Return the part that a text names: NAME, or KIND:NAME where parts of several kinds have the name.

    Raises:
        BadInput: there is no such part, or there are several.
    """
    kind, colon, name = text.partition(":")
    if colon:
        if kind not in KINDS:
            raise BadInput(unknown_name("kind of part", kind, KINDS))
        registry = KINDS[kind].registry
        if name not in registry:
            raise BadInput(unknown_name(registry.kind, name, registry))
        return Part(kind, registry, name, root)
    found = [known for known in KINDS if text in KINDS[known].registry]
    if not found:
        names = dict.fromkeys(name for known in KINDS.values() for name in known.registry)
        raise BadInput(unknown_name("part", text, names))
    if len(found) > 1:
        raise BadInput(f"part {text}: is of {len(found)} kinds; choose from: {', '.join(f'{k}:{text}' for k in found)}")
    return Part(found[0], KINDS[found[0]].registry, text, root)


def own_parts(root: Path = Path()) -> list[Part]:
    """Return the parts that the user declares outside the package, kind by kind."""
    return [
        Part(kind.name, kind.registry, name, root)
        for kind in KINDS.values()
        for name in kind.registry
        if kind.registry.origin(name) is not None
    ]


def parts_of(kind: str) -> list[Part]:
    """Return all parts of a kind."""
    return [Part(kind, KINDS[kind].registry, name) for name in KINDS[kind].registry]
