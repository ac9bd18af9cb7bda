"""Parts of a user for tests: registered for one test, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from vaestudy.config.registry import Registry
from vaestudy.conformance.check import Outcome, Part, Status, outcomes_of
from vaestudy.conformance.kinds import KINDS


@contextmanager
def registered(kind: str, implementation: Any, name: str = "own", **fields: Any) -> Iterator[Part]:
    """Register a part of a kind as a user does, and forget it at the end."""
    registry: Registry[Any] = KINDS[kind].registry
    with (
        mock.patch.object(registry, "_specs", dict(registry)),
        mock.patch.object(registry, "_origins", {}),
    ):
        registry.part(name, **fields)(implementation)
        yield Part(kind, registry, name)


def outcomes(kind: str, implementation: Any, leave: tuple[str, ...] = (), **fields: Any) -> list[Outcome]:
    """Return what the checks of a kind answer for a part.

    Args:
        kind: the kind.
        implementation: the class or function.
        leave: names of checks that are not made.
        fields: the fields of its declaration.
    """
    checks = [check for check in KINDS[kind].load_checks() if check.name not in leave]
    with registered(kind, implementation, **fields) as part:
        return list(outcomes_of(checks, part))


def failures(kind: str, implementation: Any, leave: tuple[str, ...] = (), **fields: Any) -> dict[str, str]:
    """Return the checks that fail: name -> what was found."""
    found = outcomes(kind, implementation, leave, **fields)
    return {outcome.check.name: outcome.found for outcome in found if outcome.status is Status.FAILED}
