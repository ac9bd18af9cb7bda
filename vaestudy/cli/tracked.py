"""An early check of what is tracked: that a study's name can be one of a tracked study."""

from __future__ import annotations

from vaestudy.errors import BadInput
from vaestudy.runtime import addresses, project
from vaestudy.study import discovery


def tracked_study(name: str, uri: str) -> str:
    """Return the name of a study of this project, or of one from elsewhere that may be tracked at `uri`.

    Raises:
        BadInput: there is no such study.
    """
    try:
        return discovery.find_study(project.studies_folder(), name).name
    except BadInput:
        elsewhere, database = name.replace("_", "-"), addresses.database_file(uri)
        if database is not None and not (database.parent / "artifacts" / elsewhere).is_dir():
            raise
        return elsewhere  # the tracker says whether it has it
