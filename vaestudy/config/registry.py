"""The registries, read from their source without importing it: names and what members declare, for the command line."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@functools.cache
def _body(module: str) -> list[ast.stmt]:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")).body


@functools.cache
def _registry(registry: str, module: str) -> dict[str, ast.expr]:
    """The dict `registry` in `vaestudy/<module>.py`: key -> the expression of its value."""
    for node in _body(module):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == registry for target in targets)
        if named and isinstance(value := getattr(node, "value", None), ast.Dict):
            pairs = zip(value.keys, value.values, strict=True)
            return {ast.literal_eval(key): member for key, member in pairs if key is not None}
    raise LookupError(f"vaestudy/{module}.py assigns no dict named {registry}")


def registered(registry: str, module: str) -> tuple[str, ...]:
    """The keys of the dict `registry` in `vaestudy/<module>.py`."""
    return tuple(_registry(registry, module))


@functools.cache
def declared(registry: str, module: str, name: str) -> dict[str, Any]:
    """The literal class attributes of the member `name`: those of its class's own body alone, not inherited ones."""
    member = _registry(registry, module)[name]
    called = member.func if isinstance(member, ast.Call) else member
    if not isinstance(called, ast.Name):
        raise LookupError(f"vaestudy/{module}.py: the member {name!r} of {registry} is no class")
    found: dict[str, Any] = {}
    for node in _class(called.id, module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(value := getattr(node, "value", None), ast.expr):
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:
                continue  # computed, not declared
    return found


def _class(name: str, module: str) -> ast.ClassDef:
    """The class `name` as `vaestudy/<module>.py` defines or imports it."""
    for node in _body(module):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _class(name, (node.module or "").removeprefix("vaestudy.").replace(".", "/"))
    raise LookupError(f"vaestudy/{module}.py neither defines nor imports {name}")
