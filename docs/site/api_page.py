"""The page of the Python interface: the public names. mkdocstrings reads their docstrings from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import parts_page

import vaestudy

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Python interface

    import vaestudy

These are all public names, `vaestudy.__all__`. A name is imported only when it is first used, so `import vaestudy`
itself is quick.
"""
REGISTRIES = """## Registries

The parts of each kind, with a decorator `part` that adds one. [Every part](parts.md) lists them.

| name | kind |
| --- | --- |"""
TITLES = {
    "config": "Configurations",
    "study": "Studies and searches",
    "run": "Train and score without tracking",
    "tracking": "Tracked runs",
    "model": "Parts of models",
    "errors": "Errors",
    "cli": "The command line of a study",
}
"""Room that defines a name -> the heading of its section, in the order of the page. Other rooms come last."""


def page() -> str:
    """Return the page as Markdown."""
    sections: dict[str, list[str]] = {}
    registries = parts_page.registries()
    for name, path in defined_in().items():
        if name not in registries:
            sections.setdefault(path.split(".")[1], []).append(f"::: {path}")
    lines = [HEAD]
    for room, names in sorted(sections.items(), key=lambda each: [*TITLES, each[0]].index(each[0])):
        lines += [f"## {TITLES.get(room, room.capitalize())}", "", "\n\n".join(names), ""]
    lines += [REGISTRIES]
    lines += [f"| `vaestudy.{name}` | {registries[name].kind} |" for name in defined_in() if name in registries]
    return "\n".join(lines) + "\n"


def defined_in() -> dict[str, str]:
    """Return the public names in the order of their rooms: name -> the name with its module.

    The package imports them for type checkers alone, which is where they are read from.

    Raises:
        KeyError: a public name is not imported there.
    """
    tree = ast.parse((ROOT / "vaestudy" / "__init__.py").read_text(encoding="utf-8"))
    found = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vaestudy.")
        for alias in node.names
    }
    public = {name: found[name] for name in vaestudy.__all__}
    return dict(sorted(public.items(), key=lambda item: (item[1], item[0])))
