"""TODO"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

from vaestudy.config.registry import Registry
from vaestudy.errors import unknown_name


class Choice:
    """A validator for a field that takes one of some names, given outright or read from a registry."""

    def __init__(self, kind: str, *names: str, registry: Registry[Any] | None = None) -> None:
        self.kind, self._names, self._registry = kind, names, registry

    @property
    def names(self) -> tuple[str, ...]:
        return self._names + (tuple(self._registry) if self._registry is not None else ())

    def __call__(self, value: str) -> str:
        if value not in self.names:
            raise ValueError(unknown_name(self.kind, value, self.names))
        return value


def _plain_number(value: Any) -> Any:
    """Whole numbers only: pydantic would take True for 1 and 1.0 for 1."""
    if isinstance(value, bool | float):
        raise ValueError("not a whole number")
    return value


def _device(value: str) -> str:
    kind, _, index = value.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(unknown_name("device", value, ("cpu", "cuda", "cuda:N", "mps")))
    return value


Count = Annotated[int, Field(ge=1), BeforeValidator(_plain_number)]

CountOrZero = Annotated[int, Field(ge=0), BeforeValidator(_plain_number)]

Counts = Annotated[tuple[Count, ...], Field(min_length=1)]

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Guard = Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)]

Floor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def choice_names(metadata: Iterable[Any]) -> tuple[str, ...]:
    """The names a field's validators allow, if they do."""
    for item in metadata:
        if isinstance(item, AfterValidator) and isinstance(item.func, Choice):
            return item.func.names
    return ()


def item_metadata(annotation: Any) -> Iterable[Any]:
    """The metadata of the items of a tuple[Annotated[T, ...], ...]."""
    arguments = getattr(annotation, "__args__", ())
    return getattr(arguments[0], "__metadata__", ()) if arguments else ()
