"""The page of every part: the members of the registries, with what they declare."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cells import cell

from vaestudy import RunConfig
from vaestudy.cli.flags import flag
from vaestudy.config import registry
from vaestudy.config.fields import choice_of, item_metadata
from vaestudy.config.registry import DatasetSpec, Registry, Spec
from vaestudy.reporting.files import markdown_table

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Every part

A part is a member of a registry. This page lists those of the package. [projects.md](../projects.md) says how to add
your own, and [`vaestudy/config/registry.py`](../../vaestudy/config/registry.py) describes what each kind declares.
"""
HEADINGS = ("name", "what it is", "declares")
SKIPPED = ("name", "implementation", "sizes", "draw_once")
"""Fields of specs that are not shown: code, and names."""


def registries() -> dict[str, Registry[Any]]:
    """Return the registries: name in Python -> registry."""
    return {name: each for name, each in vars(registry).items() if isinstance(each, Registry)}


def page() -> str:
    """Return the page as Markdown."""
    lines = [HEAD]
    for name, each in registries().items():
        lines += [f"## {each.kind[0].upper()}{each.kind[1:]}", "", _head(name, each), ""]
        rows = [(f"`{part}`", cell(summary(each[part])), _declared(each[part])) for part in each]
        shown = [i for i, texts in enumerate(zip(*rows, strict=True)) if any(texts)]
        lines += markdown_table([HEADINGS[i] for i in shown], [[row[i] for i in shown] for row in rows])
        lines.append("")
    return "\n".join(lines)


def _head(name: str, each: Registry[Any]) -> str:
    """Return the sentence above a table: the flags that take a part, and the decorator that adds one."""
    flags = ", ".join(f"`{flag(field)}`" for field in RunConfig.model_fields if _takes(field, each))
    return f"Flags: {flags or 'none; a study names it'}. Your own: `@vaestudy.{name}.part(...)`."


def _takes(field: str, each: Registry[Any]) -> bool:
    """Return whether a field of the configuration names a part of a registry."""
    info = RunConfig.model_fields[field]
    choice = choice_of(info.metadata) or choice_of(item_metadata(info.annotation))
    return choice is not None and choice.registry is each


def summary(spec: Spec) -> str:
    """Return the first sentence of a part's docstring; it is read from the source, as torch takes seconds to import."""
    module, _, name = str(spec.implementation).partition(":")
    for path in (ROOT / f"{module.replace('.', '/')}.py", ROOT / module.replace(".", "/") / "__init__.py"):
        if path.is_file():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                    return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return "" if module.startswith("vaestudy.") else f"{module}.{name}"


def _declared(spec: Spec) -> str:
    """Return what a spec declares: beyond the defaults of its kind, or of a data set all."""
    return "; ".join(_shown(spec))


def _shown(spec: Spec) -> Iterator[str]:
    """Return the fields of a spec that are shown."""
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if field.name not in SKIPPED and (value != default or isinstance(spec, DatasetSpec)):
            yield f"`{field.name}` {cell(_text(value))}"


def _text(value: object) -> str:
    """Return the value of a field of a spec as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, tuple):
        return " to ".join(map(str, value)) if all(isinstance(v, float) for v in value) else ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
