"""The project: the folder that holds a user's studies/, parts and mlruns/. A checkout of vaestudy is one, too."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from vaestudy.errors import BadInput

PROJECT_VARIABLE = "VAESTUDY_PROJECT"
"""The environment variable that names the project's folder. Worker processes inherit it."""
STUDIES = "studies"
PARTS = "parts.py"
"""The name of the file in a project's folder that declares the user's own parts."""


def checkout() -> Path:
    """Return the folder that contains the package: the root of a checkout, or `site-packages`."""
    spec = importlib.util.find_spec("vaestudy")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package vaestudy is not on the import path")
    return Path(spec.origin).resolve().parents[1]


def repository() -> Path:
    """Return the root of the checkout that this package runs from, or the current directory if there is no checkout."""
    return checkout() if is_checkout(checkout()) else Path.cwd()


def is_checkout(folder: Path) -> bool:
    """Return whether a folder is the root of a checkout of vaestudy, with its Makefile and the article's studies."""
    return all((folder / name).exists() for name in ("pyproject.toml", "Makefile", "vaestudy/__init__.py"))


def project() -> Path:
    """Return the folder of the project.

    It is the first of these: the folder that VAESTUDY_PROJECT names; the current directory or the nearest folder above
    it that is a project; the checkout that this package runs from; the current directory.
    """
    if named := os.environ.get(PROJECT_VARIABLE):
        return Path(named).absolute()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if is_project(folder)), repository())


def is_project(folder: Path) -> bool:
    """Return whether a folder has a study in its folder studies/, or a file parts.py that uses vaestudy."""
    try:
        if any((folder / STUDIES).glob("[a-z]*.py")):
            return True
        parts = folder / PARTS
        return parts.is_file() and "vaestudy" in parts.read_text(encoding="utf-8", errors="replace")
    except OSError:  # a folder that may not be searched
        return False


def choose_project(folder: str) -> None:
    """Make a folder the project of this process and of its workers.

    Raises:
        BadInput: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise BadInput(f"--project {folder}: no such folder; `vaestudy new {folder}` makes a project")
    os.environ[PROJECT_VARIABLE] = str(Path(folder).absolute())


def study_file() -> Path | None:
    """Return the file of the program that runs, if it is in a folder studies/; else None."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(file).absolute() if file else None
    return path if path is not None and path.parent.name == STUDIES else None


def choose_project_of_study_file() -> None:
    """Make the folder above studies/ the project, if the program that runs is a file in a folder of this name.

    Then a study writes to its own project, whatever the current directory is. VAESTUDY_PROJECT takes precedence.
    """
    if (path := study_file()) is not None and not os.environ.get(PROJECT_VARIABLE):
        choose_project(str(path.parents[1]))


def studies_folder() -> Path:
    """Return the folder of the project's studies."""
    return project() / STUDIES


def study_command(name: str, flags: str = "") -> str:
    """Return the command that runs a study here: by make in a checkout, else by `vaestudy run`."""
    return command_with_flags(f"make study-{name}" if is_checkout(project()) else f"vaestudy run {name}", flags)


def command_with_flags(command: str, flags: str) -> str:
    """Return a command with flags; make takes them in the variable ARGS."""
    if command.startswith("make "):
        return command + (f' ARGS="{flags}"' if " " in flags else f" ARGS={flags}" if flags else "")
    return " ".join([command, *flags.split()])


def first_steps() -> str:
    """Return what to do in a folder without a study, for the end of a message."""
    if is_checkout(project()):
        return "run one, e.g. `make study-latent-dims`"
    if is_project(project()):
        return "run one of `vaestudy studies` by `vaestudy run NAME`"
    return f"{project()} has no studies; `vaestudy new PROJECT` makes a project with one"
