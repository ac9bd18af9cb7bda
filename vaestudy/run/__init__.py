"""One run, from its configuration to its record.

`vaestudy.run` is both this package and a public function: a call of the package calls `vaestudy.run.execute.run`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that can be called."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call `vaestudy.run.execute.run`. It is imported at the call, because torch is slow to import."""
        return importlib.import_module("vaestudy.run.execute").run(*arguments, **named)


sys.modules[__name__].__class__ = _CallablePackage
