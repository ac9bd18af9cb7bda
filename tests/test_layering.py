"""Imports point one way: a module imports only those above it in this list."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vaestudy
from vaestudy.config.registry import declared
from vaestudy.config.run_config import registered

PACKAGE = Path(vaestudy.__file__).parent
ORDER = [
    "registry",
    "options",
    "config",
    "noise",
    "places",
    "heap",
    "books",
    "provenance",
    "console",
    "interrupt",
    "flags",
    "pixels",
    "special",
    "sigma",
    "likelihood",
    "bernoulli",
    "gaussian",
    "beta",
    "levels",
    "likelihoods",
    "data",
    "memory",
    "model",
    "estimators",
    "optimizers",
    "backend",
    "checkpoint",
    "calibration",
    "evaluate",
    "classes",
    "along",
    "gradients",
    "replay",
    "train",
    "figures",
    "run",
    "design",
    "tracking",
    "tables",
    "cells",
    "budgets",
    "planes",
    "class_tables",
    "study_tables",
    "cost_figures",
    "noise_figures",
    "class_figures",
    "arm_figures",
    "study_figures",
    "export",
    "spool",
    "workers",
    "board",
    "delivery",
    "study",
    "commands",
    "cli",
]
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
OWNERS = {"mlflow": "tracking", "optuna": "study"}


def imports(module: str, top_level_only: bool = False) -> set[str]:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_its_place() -> None:
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    ours = {name.split(".")[1] for name in imports(module, top_level_only=module == "cli") if "vaestudy." in name}
    later = ours & set(ORDER[ORDER.index(module) :])
    assert not later, f"{module} imports {later}"


@pytest.mark.parametrize(("package", "owner"), OWNERS.items())
def test_trackers_have_one_importer(package: str, owner: str) -> None:
    users = {m for m in MODULES if any(name.split(".")[0] == package for name in imports(m))}
    assert users == {owner}


@pytest.mark.parametrize(
    "module", ["registry", "options", "config", "places", "flags", "design", "cli", "data", "memory"]
)
def test_what_answers_bad_input_imports_nothing_slow(module: str) -> None:
    slow = {"torch", "mlflow", "optuna", "pandas", "matplotlib", "seaborn", "torchvision"}
    assert not {name.split(".")[0] for name in imports(module, top_level_only=True)} & slow


@pytest.mark.parametrize(
    ("registry", "module"),
    [
        ("DATASETS", "data/datasets"),
        ("PIXELS", "data/pixels"),
        ("SIGMAS", "model/sigma"),
        ("LIKELIHOODS", "model/likelihoods/registry"),
        ("ESTIMATORS", "training/objectives"),
        ("FIGURES", "run/figures"),
        ("STUDY_FIGURES", "reporting/figures/bound"),
        ("STUDY_TABLES", "reporting/tables/cost"),
        ("OPTIMIZERS", "training/optimizers"),
        ("SCHEDULES", "training/train"),
        ("LR_SCALINGS", "training/train"),
        ("INITS", "model/vae"),
        ("ACTIVATIONS", "model/vae"),
    ],
)
def test_names_read_from_the_source_are_the_registry(registry: str, module: str) -> None:
    loaded = getattr(__import__(f"vaestudy.{module}", fromlist=[registry]), registry)
    assert registered(registry, module) == tuple(loaded)


def test_what_members_declare_is_read_from_the_source() -> None:
    """Through the import that brings a class into its registry, literal attributes of its own body alone."""
    beta = declared("LIKELIHOODS", "model/likelihoods/registry", "beta")
    assert beta["family"] == "density"
    assert beta["limits"] == (0.01, 10.0)
    assert "heads" not in beta
    assert declared("SIGMAS", "model/sigma", "bounded")["bounds"] == (0.001, 2.0)
    with pytest.raises(LookupError, match="assigns no dict named NOTHING"):
        declared("NOTHING", "estimators", "x")
