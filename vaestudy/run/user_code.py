"""The users' files that declare parts which a run uses: their digests for the run's tags, and their text for its files.

The code revision of vaestudy says nothing about a part that a user declares. So the run keeps the part's file itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import AfterValidator

from vaestudy.config.fields import Choice, item_metadata
from vaestudy.config.run_config import RunConfig
from vaestudy.runtime.project import project


def files_of(config: RunConfig) -> list[Path]:
    """Return the users' files that declare parts which a configuration names, in the order of its fields."""
    found: dict[Path, None] = {}
    for name, field in RunConfig.model_fields.items():
        for metadata in (*field.metadata, *item_metadata(field.annotation)):
            if not isinstance(metadata, AfterValidator) or not isinstance(metadata.func, Choice):
                continue
            value = getattr(config, name)
            for each in value if isinstance(value, tuple) else (value,):
                if (registry := metadata.func.registry) is not None and (origin := registry.origin(each)):
                    found[origin] = None
    return list(found)


def user_code(config: RunConfig) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return what a run records of the users' code that it uses; empty if there is none.

    Returns:
        (the tag `parts`: file -> SHA-256, as JSON; path in the run's folder -> content of the file).
    """
    contents = {path: path.read_bytes() for path in files_of(config)}
    if not contents:
        return {}, {}
    names = {path: _shown(path) for path in contents}
    digests = {names[path]: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    files = {f"parts/{path.name}": content for path, content in contents.items()}
    return {"parts": json.dumps(digests)}, files


def _shown(path: Path) -> str:
    """Return a path relative to the project's folder, or its name if it lies elsewhere."""
    folder = project().resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
