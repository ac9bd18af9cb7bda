"""Validate the user's values, and report the first mistake as one line.

The line names the field as the user wrote it (as a flag or as a Python name), its value, and the values that are valid.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from vaestudy.config import compatibility
from vaestudy.errors import BadInput, unknown_name

Model = TypeVar("Model", bound=BaseModel)
NAMED_BY_CALLER = {"fields are named": "by the caller"}
"""The context in which `validated` creates a model: it writes the message itself, with its own names of the fields."""


def validated(model: type[Model], values: dict[str, Any], name: Callable[[str], str] = str) -> Model:
    """Return a validated `model` with these values.

    Args:
        model: the class to create.
        values: field -> value.
        name: maps a field to the name that the user knows, e.g. to a flag.

    Raises:
        BadInput: a value is not valid; the message is one line about the first mistake.
    """
    try:
        return model.model_validate(values, context=NAMED_BY_CALLER)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(error_line(model, first, name)) from None


def validated_field(model: type[BaseModel], field: str, value: Any, name: Callable[[str], str] = str) -> Any:
    """Return the validated value of one field of `model`. Whether it is valid together with others is not checked.

    Args:
        model: the class that declares the field.
        field: the field.
        value: its value as the user gave it.
        name: maps a field to the name that the user knows, e.g. to a flag.

    Raises:
        BadInput: the value is not valid.
    """
    info = model.model_fields[field]
    annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BadInput(error_line(model, error.errors()[0] | {"loc": (field,)}, name)) from None


def error_line(model: type[BaseModel], error: Any, name: Callable[[str], str] = str) -> str:
    """Return the message for one pydantic error: one line with the field, the value and the values that are valid."""
    if isinstance(cause := error.get("ctx", {}).get("error"), compatibility.Conflict):
        shown = f"{cause.value:g}" if isinstance(cause.value, float) else cause.value
        why = cause.why.format_map({field: name(field) for field in model.model_fields})
        return f"{name(cause.field)} {shown}: {why}"
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return unknown_name("option", name(field), map(name, model.model_fields))
    shown = error["input"] if isinstance(error["input"], str) else json.dumps(error["input"], default=str)
    if isinstance(cause, ValueError) and "choose from" in str(cause):
        return f"{name(field)}: {cause}"
    return f"{name(field)} {shown}: must be {expected_values(model, field)}"


def library_message(error: Any) -> str:
    """Return the message of one pydantic error, for the middle of a line: it begins with a small letter."""
    text = str(error["msg"])
    return f"{text[0].lower()}{text[1:]}"


def field_schema(model: type[BaseModel], field: str) -> dict[str, Any]:
    """Return the JSON schema of a field's values; for an optional field, the schema without None."""
    schema: dict[str, Any] = _properties(model)[field]
    return next((s for s in schema.get("anyOf", []) if s.get("type") != "null"), schema)


@functools.cache
def _properties(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schemas of a model's fields. The result is cached, because pydantic needs 0.1 s to compute it."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    return properties


def expected_values(model: type[BaseModel], field: str) -> str:
    """Return a description of the values that a field accepts, e.g. "a whole number, 1 or more"."""
    schema = field_schema(model, field)
    if schema["type"] == "array":
        return f"one or more, each {_limits(schema['items'])}"
    return _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    """Return the type and the limits of a JSON schema as text."""
    names = {"integer": "a whole number", "number": "a finite number", "boolean": "true or false", "string": "a name"}
    text = names[schema["type"]]
    if not math.isnan(low := schema.get("minimum", math.nan)):
        text += f", {low:g} or more"
    if not math.isnan(low := schema.get("exclusiveMinimum", math.nan)):
        text += f", above {low:g}"
    if not math.isnan(high := schema.get("exclusiveMaximum", math.nan)):
        text += f", below {high:g}"
    if "maximum" in schema:
        text += f", {schema['maximum']:,} or less"
    return text
