"""The users' files that declare parts which a run uses: their digests for the run's tags, and their text for its files.

The code revision of vaestudy says nothing about a part that a user declares. So the run keeps the part's file itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import AfterValidator

from vaestudy.config.fields import Choice, item_metadata
from vaestudy.config.registry import Registry
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.runtime.project import PARTS, project


def parts_of(config: RunConfig) -> list[tuple[Registry[Any], str]]:
    """Return the parts that a configuration names, in the order of its fields: (the registry of the kind, the name)."""
    found: list[tuple[Registry[Any], str]] = []
    for name, field in RunConfig.model_fields.items():
        for metadata in (*field.metadata, *item_metadata(field.annotation)):
            if not isinstance(metadata, AfterValidator) or not isinstance(metadata.func, Choice):
                continue
            value = getattr(config, name)
            if (registry := metadata.func.registry) is not None:
                found += [(registry, each) for each in (value if isinstance(value, tuple) else (value,))]
    return found


def files_of(config: RunConfig) -> list[Path]:
    """Return the users' files that declare parts which a configuration names, in the order of its fields."""
    origins = [registry.origin(name) for registry, name in parts_of(config)]
    return list(dict.fromkeys(origin for origin in origins if origin is not None))


def require_files(config: RunConfig) -> None:
    """Raise if a configuration names a part that another process cannot import.

    Raises:
        BadInput: there is such a part.
    """
    for registry, name in parts_of(config):
        if registry.has_no_file(name):
            raise BadInput(
                f"{registry.kind} {name} is declared without a file, so worker processes cannot import it: write it to "
                f"{PARTS} in the project's folder, or run with workers=0"
            )


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
