"""Tests of the imports between rooms (the sub-packages of vaestudy and its files at the top).

A room imports only rooms below it. No modules import each other in a circle. The modules that check the user's input
import nothing slow.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vaestudy

PACKAGE = Path(vaestudy.__file__).parent
ROOMS = (
    ("cli",),
    ("sweep", "claims", "reproductions", "conformance"),
    ("evidence",),
    ("reporting",),
    ("tracking",),
    ("run",),
    ("training",),
    ("scoring",),
    ("model", "data", "study"),
    ("config",),
    ("runtime",),
    ("errors", "plotting"),
)
"""The layers, from the top down. A room imports only rooms of lower layers, and no other room of its own layer."""

TOP = ("__init__", "__main__")
"""Entry points. They are above all rooms."""

OWNERS = {"mlflow": {"vaestudy.tracking"}, "optuna": {"vaestudy.sweep", "vaestudy.reporting.search"}}
"""Package -> the only parts that import it."""

QUICK_CHANGES = (
    "vaestudy.cli.main",
    "vaestudy.cli.study",
    "vaestudy.conformance.kinds",
    "vaestudy.study.discovery",
    "vaestudy.claims.registry",
    "vaestudy.reproductions.registry",
    "vaestudy.data.datasets",
    "vaestudy.training.memory",
    "vaestudy.scoring.ais_options",
)
"""Modules that are imported before the user's input has been validated."""

SLOW = {"torch", "torchvision", "mlflow", "optuna", "pandas", "matplotlib", "seaborn", "scipy", "sklearn"}
"""Packages that take long to import."""


def module_name(path: Path) -> str:
    """Return the dotted module name of a file of the package."""
    parts = ("vaestudy", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TEMPLATE = PACKAGE / "cli" / "template"
"""The files of a new project, which are a user's and import public names only."""
MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if TEMPLATE not in path.parents}


def room_of(module: str) -> str:
    """Return the room of a module `vaestudy.<room>...`."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(path: Path) -> set[str]:
    """Return the dotted names of everything that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_is_in_a_room() -> None:
    rooms = {room for layer in ROOMS for room in layer}
    assert {room_of(module) for module in MODULES} == rooms | set(TOP)


@pytest.mark.parametrize("room", [room for layer in ROOMS for room in layer])
def test_imports_point_one_way(room: str) -> None:
    layer = next(i for i, rooms in enumerate(ROOMS) if room in rooms)
    allowed = {room} | {lower for rooms in ROOMS[layer + 1 :] for lower in rooms}
    for module, path in MODULES.items():
        if room_of(module) == room:
            used = {room_of(name) for name in imports(path) if name.startswith("vaestudy.")}
            assert used <= allowed, f"{module} imports {used - allowed}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imports(path) & MODULES.keys() for module, path in MODULES.items()}
    while leaves := [module for module, used in graph.items() if not used & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert not graph, f"circles among {sorted(graph)}"


@pytest.mark.parametrize(("package", "owners"), OWNERS.items())
def test_trackers_have_few_importers(package: str, owners: set[str]) -> None:
    users = {m for m, path in MODULES.items() if any(n.split(".")[0] == package for n in imports(path))}
    assert {next((owner for owner in owners if user.startswith(f"{owner}.")), user) for user in users} == owners


def loaded(module: str, packages: set[str]) -> set[str]:
    """Return which of some packages an import of a module loads, in a process of its own."""
    code = f"import sys, {module}; print(*{packages!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", QUICK_CHANGES)
def test_what_answers_bad_input_imports_nothing_slow(module: str) -> None:
    assert loaded(module, SLOW) == set()


def test_a_worker_imports_only_what_a_run_uses() -> None:
    assert loaded("vaestudy.run.execute", SLOW) == {"torch", "matplotlib"}
