"""One run, from its configuration to its record.

`vaestudy.run` is this package and a public function, too: to call the package is to call `vaestudy.run.execute.run`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that can be called."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call `vaestudy.run.execute.run`, which is imported only now, as torch is slow to import."""
        from vaestudy.run.execute import run

        return run(*arguments, **named)


sys.modules[__name__].__class__ = _CallablePackage
