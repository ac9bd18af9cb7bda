"""The types of configuration fields, with their limits, and functions that read the valid names of a field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from vaestudy.config.registry import Registry
from vaestudy.errors import unknown_name

LARGEST_COUNT = 2**31 - 1
"""The largest value of a field that counts something; Optuna's trials and torch take no larger one everywhere."""
LARGEST_SEED = 2**63 - 1
LARGEST_THREADS = 4096


def is_whole_number(text: str) -> bool:
    """Return whether a text consists of the digits 0 to 9 alone, with a sign or without.

    `str.isdigit` is also true of characters that `int` refuses, such as "²".
    """
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None


def plain_number(value: Any) -> Any:
    """Return `value` if it can be a whole number. Without this check, pydantic would accept True, 1.0 and "1_0".

    Raises:
        ValueError: `value` is a bool, a float, or text that contains more than a sign and digits.
    """
    if isinstance(value, bool | float) or (isinstance(value, str) and not is_whole_number(value.strip())):
        raise ValueError("not a whole number")
    return value


def _without_underscores(value: Any) -> Any:
    """Return `value` unless it is text with an underscore: pydantic would accept "1_0" as 10.

    Raises:
        ValueError: it is such a text.
    """
    if isinstance(value, str) and "_" in value:
        raise ValueError("not a number")
    return value


Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT), BeforeValidator(plain_number)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST_COUNT), BeforeValidator(plain_number)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), BeforeValidator(plain_number)]
Threads = Annotated[int, Field(ge=1, le=LARGEST_THREADS), BeforeValidator(plain_number)]
Temperatures = Annotated[int, Field(ge=2, le=1_000_000), BeforeValidator(plain_number)]
Chains = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(plain_number)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_without_underscores)]
Guard = Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False), BeforeValidator(_without_underscores)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), BeforeValidator(_without_underscores)]
Floor = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_without_underscores)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_without_underscores)]


class Choice:
    """A validator for a field whose value must be one of several names."""

    def __init__(
        self,
        kind: str,
        *names: str,
        registry: Registry[Any] | None = None,
        only: Callable[[Any], bool] = lambda spec: True,
    ) -> None:
        """Args:
        kind: what a name stands for, in messages.
        names: valid names.
        registry: its members are valid names too. They are read at each check, so later members are valid as well.
        only: takes the spec of a member and returns whether it is meant.
        """
        self.kind, self._names, self.registry, self._only = kind, names, registry, only

    @classmethod
    def of(cls, registry: Registry[Any], *names: str, only: Callable[[Any], bool] = lambda spec: True) -> Choice:
        """Return the choice among the members of a registry and some further names; the registry names the kind."""
        return cls(registry.kind, *names, registry=registry, only=only)

    @property
    def names(self) -> tuple[str, ...]:
        """All valid names."""
        registry = self.registry
        return self._names + (() if registry is None else tuple(n for n in registry if self._only(registry[n])))

    def _is_member(self, value: str) -> bool:
        """Return whether a value names a member of the registry that is meant."""
        return self.registry is not None and value in self.registry and self._only(self.registry[value])

    def __call__(self, value: str) -> str:
        """Return `value` if it is a valid name.

        Raises:
            ValueError: it is not.
        """
        if value not in self._names and not self._is_member(value):
            raise ValueError(unknown_name(self.kind, value, self.names))
        return value


def device_name(value: str) -> str:
    """Return `value` if it names a device.

    Raises:
        ValueError: it does not.
    """
    if not re.fullmatch(r"cpu|mps|cuda|(cpu|cuda|mps):[0-9]{1,3}", value):
        raise ValueError(unknown_name("device", value, ("cpu", "cuda", "cuda:N", "mps")))
    return value


def choice_of(metadata: Iterable[Any]) -> Choice | None:
    """Return a field's `Choice` validator; None if the field has none."""
    found = (item.func for item in metadata if isinstance(item, AfterValidator) and isinstance(item.func, Choice))
    return next(found, None)


def choice_names(metadata: Iterable[Any]) -> tuple[str, ...]:
    """Return the names that a field's `Choice` validator allows; empty if the field has no such validator."""
    choice = choice_of(metadata)
    return choice.names if choice is not None else ()


def item_metadata(annotation: Any) -> Iterable[Any]:
    """Return the metadata of the items of a type tuple[Annotated[T, ...], ...]; empty for other types."""
    arguments = getattr(annotation, "__args__", ())
    return getattr(arguments[0], "__metadata__", ()) if arguments else ()
