"""The parts that users declare outside the package: in their project's files, and in installed packages.

A part joins its registry by a decorator, `LIKELIHOODS.part("laplace", ...)` above the class. It may stand in

    parts.py         in the project's folder
    studies/*.py     in the file of the study that uses it
    a package        that names its module by an entry point of the group `vaestudy.parts`

These files are imported when a registry is asked for a name that the package does not have, or for all its names. So a
command that names no such part imports none of them. Any other process, such as a worker or `vaestudy evaluate`, finds
the parts in the same way. A file that lies elsewhere, such as a script, is handed to the workers
(`files`, `load_file`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from vaestudy.errors import BadInput, one_line
from vaestudy.runtime import project

ENTRY_POINTS = "vaestudy.parts"
"""The group of entry points. The value of each is a module, which declares its parts when it is imported."""
DECORATOR = ".part("
"""Files of studies that do not contain this text declare no parts and are not imported."""

_loaded: set[Path] = set()
_declaring: dict[Path, None] = {}
_state = {"searched": False}


def load() -> None:
    """Import all files that may declare parts, once per process.

    Raises:
        BadInput: a file cannot be imported; the message names it and the line.
    """
    if _state["searched"]:
        return
    _state["searched"] = True  # before the files, which may ask a registry themselves
    try:
        for entry in entry_points(group=ENTRY_POINTS):
            try:
                entry.load()
            except Exception as error:
                raise BadInput(f"the parts of {entry.value}: {_reason(error)}") from error
        for path in project_files():
            load_file(path)
    except BadInput:
        _state["searched"] = False  # the next question gives the same answer
        raise


def project_files() -> list[Path]:
    """Return the files of the project that may declare parts."""
    folder = project.project()
    studies = sorted((folder / project.STUDIES).glob("[a-z]*.py"))
    return [path for path in (folder / project.PARTS, *studies) if _declares(path)]


def _declares(path: Path) -> bool:
    """Return whether a file is there and declares parts, judged by its text."""
    try:
        return DECORATOR in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def load_file(path: Path) -> None:
    """Import a file that declares parts, once per process; the program's own file is not imported again.

    Raises:
        BadInput: it cannot be imported.
    """
    path = path.resolve()
    if path in _loaded or path in _files_of_main():
        return
    _loaded.add(path)
    name = f"vaestudy_parts_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name of the file ends in .py, or it runs as a program already
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        _loaded.discard(path)
        raise BadInput(f"{path}: {_reason(error)}") from error


def declared_in(module: str) -> Path | None:
    """Note that a module declares a part; return its file, or None if it has none.

    Args:
        module: the name of the module that contains the part's code.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    _declaring[path] = None
    return path


def files() -> tuple[Path, ...]:
    """Return the files that have declared parts in this process; a worker imports them by `load_file`."""
    return tuple(path for path in _declaring if path.suffix == ".py")


def _files_of_main() -> set[Path]:
    """Return the file of the running program; a spawned process has that of its parent under a second name."""
    modules: list[ModuleType | None] = [sys.modules.get(name) for name in ("__main__", "__mp_main__")]
    return {Path(file).resolve() for each in modules if (file := getattr(each, "__file__", None))}


def _reason(error: Exception) -> str:
    """Return an error of a user's file as one line, with the line of the file where it was raised."""
    trace, line = error.__traceback__, getattr(error, "lineno", None)
    while trace is not None:
        line = trace.tb_lineno if "importlib" not in trace.tb_frame.f_code.co_filename else line
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno
    kind = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
    return f"line {line}: {kind}{one_line(str(error))}"
