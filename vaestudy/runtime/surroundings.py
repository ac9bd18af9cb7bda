"""What the process inherits from its surroundings, and which of it must not matter.

Other programs leave settings in the environment: a backend for matplotlib's windows, a width of the terminal that is no
number, an encoding without «±». `settle` is called once, at the start of a command, in a process that is ours alone. It
also covers the worker processes that the command starts, as they inherit the environment.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import warnings
from pathlib import Path

from vaestudy.runtime.paths import MLRUNS_VARIABLE, mlruns

SPELLED_OUT = {"±": "+/-", "Δ": "Delta ", "µ": "u", "«": '"', "»": '"', "’": "'", "–": "-", "…": "...", "×": "x"}
"""Character -> the text that replaces it if the output's encoding does not contain the character."""

UNSHOWN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""The warnings that Python does not show unless it is asked to."""


def settle() -> None:
    """Remove or replace settings in the environment that were made for other programs.

    * Text in an encoding without «±» or «Δ» is spelled out; nothing that is printed raises UnicodeEncodeError.
    * Pictures are drawn to files, so no window system is needed, whatever MPLBACKEND says.
    * A COLUMNS or LINES that is no number counts as not set.
    * Warnings of libraries stay warnings; PYTHONWARNINGS=error would end their import.
    * A relative VAESTUDY_MLRUNS means the same folder in every process.
    * A user without a home gets one under mlruns/, as libraries ask for it when they are imported.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=spell_out.__name__)
    os.environ["MPLBACKEND"] = "agg"
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch(r"[1-9][0-9]{0,3}", os.environ.get(name, "80")):
            del os.environ[name]
    if os.environ.pop("PYTHONWARNINGS", ""):
        warnings.simplefilter("default")
        for category in UNSHOWN:  # as without the variable
            warnings.simplefilter("ignore", category)
    if named := os.environ.get(MLRUNS_VARIABLE):
        os.environ[MLRUNS_VARIABLE] = str(Path(named).absolute())
    try:
        Path.home()
    except (RuntimeError, KeyError):  # a user id that the system does not know, and HOME is not set
        os.environ["HOME"] = str(mlruns() / "home")


def spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return text in place of the characters that an encoding lacks; `codecs` calls this function."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = "".join(SPELLED_OUT.get(character, character) for character in lacking)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(spell_out.__name__, spell_out)
