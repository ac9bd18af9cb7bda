"""The work of `vaestudy export`, after its flags have been checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vaestudy.errors import BadInput
from vaestudy.reporting.bundle import bundle_files, zipped
from vaestudy.runtime.console import consoles
from vaestudy.runtime.files import ZIP, write_files
from vaestudy.tracking.mlflow_tracker import Tracker


def export_study(uri: str, study: str, sweep: str | None, target: Path) -> int:
    """Pack a study into a folder or a zip; return the exit code.

    Args:
        uri: the address of the tracker.
        study: the study's name.
        sweep: only this sweep; None for all.
        target: the folder, or the file that ends in .zip.

    Raises:
        BadInput: no such study or sweep is tracked, or the target cannot be written.
    """
    err, out = consoles()
    with err.status("making tables and figures"):
        files = bundle_files(Tracker(uri), study, sweep)
    if target.suffix == ZIP:
        write_files(target.parent, {target.name: zipped(files, target.stem)}, "the export")
    else:
        write_folder(target, files)
    size = sum(map(len, files.values()))
    out.print(f"wrote {target}: {len(files)} files, {size / 1e6:.1f} MB; README.md describes them")
    return 0


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder, which appears when all are written.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise BadInput(f"the export cannot be written to {target.parent}: {error.strerror}") from None
    try:
        scratch.chmod(0o755)
        write_files(scratch, files, "the export")
        if target.is_dir():
            target.rmdir()  # it is empty, else this fails
        scratch.replace(target)
    except OSError as error:
        raise BadInput(f"the export cannot be written to {target}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
