"""An early check of what is tracked: that a study's name can be one of a tracked study."""

from __future__ import annotations

from pathlib import Path

from vaestudy.errors import BadInput, unknown_name
from vaestudy.runtime import addresses, project
from vaestudy.study import discovery


def tracked_study(name: str, uri: str) -> str:
    """Return the name of a study of this project, or of one from elsewhere that may be tracked at `uri`.

    Raises:
        BadInput: there is no such study; the message has the nearest name, and all names.
    """
    wanted, database = name.replace("_", "-"), addresses.database_file(uri)
    declared = [study.name for study in discovery.study_files(project.studies_folder())]
    if wanted in declared or database is None:
        return wanted  # the tracker says whether it has it
    elsewhere = _experiments_beside(database)
    if wanted not in elsewhere:
        raise BadInput(unknown_name("study", name, sorted({*declared, *elsewhere})))
    return wanted


def _experiments_beside(database: Path) -> list[str]:
    """Return the names of the experiments that have files beside a database: those of studies, and of single runs."""
    folder = database.parent / "artifacts"
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
