"""The answer to a mistake in a study's file: one line and exit code 2, as for a mistake on its command line.

A study is declared while Python reads the file, before `study_main` is called. `BadInput` is a normal exception there,
which tests and notebooks catch and show as usual. If nothing catches it and the script ends, Python calls
`sys.excepthook`, which decides what is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from vaestudy.errors import BadInput


def answer_in_one_line() -> None:
    """Make a script that ends by a mistake in a declaration print one line and exit with code 2.

    All other exceptions are passed to the hook that was there before.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, BadInput) or hasattr(sys, "ps1"):  # an interactive session goes on
            before(kind, error, trace)
            return
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        raise SystemExit(2)

    sys.excepthook = hook
