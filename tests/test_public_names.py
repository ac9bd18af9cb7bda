"""`import vaestudy`: what it offers, and that it is quick."""

from __future__ import annotations

import ast
import importlib
import importlib.resources
import inspect
import subprocess
import sys

import pytest

import vaestudy


@pytest.mark.parametrize("name", vaestudy.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(vaestudy, name) is not None
    assert name in dir(vaestudy)


def test_type_checkers_know_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(inspect.getsource(vaestudy))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    lazily = vaestudy._MODULES | vaestudy._FUNCTIONS
    assert typed == {name: f"vaestudy.{module}" for name, module in lazily.items()}
    assert sorted(typed) == sorted(vaestudy.__all__)
    assert importlib.resources.files(vaestudy).joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", ["data", "run"])
def test_a_function_with_the_name_of_a_package_is_both(name: str) -> None:
    """In any order of imports: the attribute is the package, and a call of it calls the function."""
    package = importlib.import_module(f"vaestudy.{name}")
    assert getattr(vaestudy, name) is package
    function = getattr(importlib.import_module(f"vaestudy.{vaestudy._FUNCTIONS[name]}"), name)
    with pytest.raises(vaestudy.BadInput) as by_package:
        package(vaestudy.RunConfig(), data_dir="/nowhere")
    with pytest.raises(vaestudy.BadInput) as by_function:
        function(vaestudy.RunConfig(), data_dir="/nowhere")
    assert str(by_package.value) == str(by_function.value)
    for code in (
        f"import vaestudy.{name}; print(callable(vaestudy.{name}))",
        f"import vaestudy; vaestudy.{name}; import vaestudy.{name}; print(callable(vaestudy.{name}))",
        f"from vaestudy import {name}; print(callable({name}))",
    ):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'studdy_main'; its public names: .*study_main"):
        _ = vaestudy.studdy_main


def test_importing_it_imports_nothing_slow() -> None:
    used = "vaestudy.RunConfig, vaestudy.Study, vaestudy.data, vaestudy.run"
    slow = "{'torch', 'numpy', 'pandas', 'mlflow', 'optuna'} & set(sys.modules)"
    code = f"import sys, vaestudy; {used}; print({slow} or 'nothing')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nothing"


def test_a_run_without_tracking(mlruns, capsys: pytest.CaptureFixture[str]) -> None:
    """The package `vaestudy.run` is the function, whether or not a module of it was imported before."""
    from vaestudy.run import execute

    config = vaestudy.RunConfig(
        dataset="mnist-5k", subset=60, epochs=1, hidden=(8,), iwae=(1,), figures=(), minibatch=90
    )
    record = vaestudy.run(config)
    assert record.metrics["test/elbo"] < 0
    assert record.config.valid_size == 500
    assert "one step an epoch" in capsys.readouterr().err
    assert record.metrics["test/elbo"] == execute.run(config, report=lambda line: None).metrics["test/elbo"]
    assert not mlruns.exists()
