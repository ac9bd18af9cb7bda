"""The command `vaestudy new`: write a project, a folder with a study, where the command line of vaestudy works."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from vaestudy.cli.flags import Parser
from vaestudy.errors import BadInput
from vaestudy.runtime.files import write_files

TEMPLATE = "vaestudy.cli", "template"
"""The package and the folder in it that has the files of a new project."""
RENAMED = {"gitignore": ".gitignore"}
"""File of the template -> its name in the project. Tools would read the template's own file by its final name."""


def new_command(arguments: list[str]) -> int:
    """write a new project: a folder with a study of your own"""
    parser = Parser("vaestudy new", "Write a new project: a folder with a first study, a README and a .gitignore.")
    parser.add_argument("project", metavar="PROJECT", help="The folder of the project. It must be missing or empty")
    folder = Path(parser.parse(arguments)["project"])
    require_new(folder)
    package, template = TEMPLATE
    files = _contents(resources.files(package) / template)
    write_files(folder, files, "the project")
    print(f"wrote {folder}: {', '.join(sorted(files))}\nNow: cd {folder} && vaestudy run first-study --quick")
    return 0


def require_new(folder: Path) -> None:
    """Raise unless a folder is empty or missing.

    Raises:
        BadInput: it has files, it is a file, or it cannot be read.
    """
    try:
        if folder.is_dir():
            if any(folder.iterdir()):
                raise BadInput(f"{folder}: the folder is not empty; choose a new one")
        elif folder.exists():
            raise BadInput(f"{folder}: is a file; choose a new folder")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror})") from None


def _contents(folder: Traversable, above: str = "") -> dict[str, bytes]:
    """Return the files of the template: path in the project -> content."""
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found |= _contents(entry, f"{above}{entry.name}/")
        elif entry.is_file():
            found[above + RENAMED.get(entry.name, entry.name)] = entry.read_bytes()
    return found
