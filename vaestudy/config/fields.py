"""The types of configuration fields, with their limits, and functions that read the valid names of a field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from vaestudy.config.registry import Registry
from vaestudy.errors import unknown_name


def _plain_number(value: Any) -> Any:
    """Return `value` unless it is a bool or a float: pydantic would accept True and 1.0 as 1.

    Raises:
        ValueError: it is one of these.
    """
    if isinstance(value, bool | float):
        raise ValueError("not a whole number")
    return value


Count = Annotated[int, Field(ge=1), BeforeValidator(_plain_number)]
CountOrZero = Annotated[int, Field(ge=0), BeforeValidator(_plain_number)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Guard = Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)]
Floor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Choice:
    """A validator for a field whose value must be one of several names."""

    def __init__(self, kind: str, *names: str, registry: Registry[Any] | None = None) -> None:
        """Args:
        kind: what a name stands for, in messages.
        names: valid names.
        registry: its members are valid names too. They are read at each check, so later members are valid as well.
        """
        self.kind, self._names, self._registry = kind, names, registry

    @classmethod
    def of(cls, registry: Registry[Any], *names: str) -> Choice:
        """Return the choice among the members of a registry and some further names; the registry names the kind."""
        return cls(registry.kind, *names, registry=registry)

    @property
    def names(self) -> tuple[str, ...]:
        """All valid names."""
        return self._names + (tuple(self._registry) if self._registry is not None else ())

    def __call__(self, value: str) -> str:
        """Return `value` if it is a valid name.

        Raises:
            ValueError: it is not.
        """
        if value not in self.names:
            raise ValueError(unknown_name(self.kind, value, self.names))
        return value


def device_name(value: str) -> str:
    """Return `value` if it names a device.

    Raises:
        ValueError: it does not.
    """
    kind, _, index = value.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise ValueError(unknown_name("device", value, ("cpu", "cuda", "cuda:N", "mps")))
    return value


def choice_names(metadata: Iterable[Any]) -> tuple[str, ...]:
    """Return the names that a field's `Choice` validator allows; empty if the field has no such validator."""
    for item in metadata:
        if isinstance(item, AfterValidator) and isinstance(item.func, Choice):
            return item.func.names
    return ()


def item_metadata(annotation: Any) -> Iterable[Any]:
    """Return the metadata of the items of a type tuple[Annotated[T, ...], ...]; empty for other types."""
    arguments = getattr(annotation, "__args__", ())
    return getattr(arguments[0], "__metadata__", ()) if arguments else ()
