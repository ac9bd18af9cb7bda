"""The command `vaestudy export`: its flags and their checks. Nothing slow is imported before these are made."""

from __future__ import annotations

import os
from pathlib import Path

from vaestudy.cli.flags import Parser
from vaestudy.cli.parsing import add_location_flags
from vaestudy.cli.tracked import tracked_study
from vaestudy.errors import BadInput
from vaestudy.runtime import addresses
from vaestudy.runtime.files import ZIP
from vaestudy.runtime.gc_pause import gc_paused
from vaestudy.tracking.database_checks import require_records


def export_command(arguments: list[str]) -> int:
    """pack a study's tables, figures and configurations into a folder or a zip"""
    parser = Parser(
        "vaestudy export",
        "Pack a study's tables, figures, configurations and revisions into a folder or a zip. "
        "manifest.json in it has the SHA-256 of each file; README.md and index.html describe the files.",
    )
    parser.add_argument("study", metavar="STUDY", help="The study")
    parser.add_argument("--to", required=True, metavar="PATH", help="A new or empty folder, or a new file NAME.zip")
    parser.add_argument("--sweep", metavar="NAME", help="Only this sweep of the study [default: all]")
    add_location_flags(parser, "tracking_uri")
    values = parser.parse(arguments)
    target = new_target(values["to"])
    uri = addresses.tracking_uri(values.get("tracking_uri"))
    require_records(uri)
    study = tracked_study(values["study"], uri)
    with gc_paused():
        from vaestudy.cli import export_work

    return export_work.export_study(uri, study, values.get("sweep"), target)


def new_target(name: str) -> Path:
    """Return the path of a folder or zip that can be made without replacing anything.

    Raises:
        BadInput: something is there, or its folder is missing or cannot be written to.
    """
    path = Path(name)
    try:
        path = path.absolute()
        if not name or not path.name:
            raise BadInput(f"--to {name}: must be a new or empty folder, or a new file NAME{ZIP}")
        if path.is_dir() and path.suffix != ZIP and not any(path.iterdir()):
            return path
        if path.exists() or path.is_symlink():
            what = "a folder with files in it" if path.is_dir() and any(path.iterdir()) else "there already"
            raise BadInput(f"--to {name}: is {what}; name a new or empty folder, or a new file NAME{ZIP}")
        if not path.parent.is_dir():
            raise BadInput(f"--to {name}: {path.parent} is no folder")
        writable = os.access(path.parent, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:  # a name that is too long or has a NUL
        raise BadInput(f"--to {name}: cannot be used ({error})") from None
    if not writable:
        raise BadInput(f"--to {name}: {path.parent} cannot be written to")
    return path
