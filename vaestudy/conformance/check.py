"""Checks of parts: what a check is, what it answers, and how the checks of one part are made.

A check is a function of a `Part`. Its docstring is the sentence that says what is required. It returns nothing if the
part does that, and raises `Violation` with what it found if not. Nothing slow is imported here.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from vaestudy.config.registry import Registry
from vaestudy.errors import reason_of
from vaestudy.runtime.project import checkout, project

Function = Callable[["Part"], None]


class Violation(Exception):
    """A part does not do what a check requires. The message says what was found, with numbers."""


class DoesNotApply(Exception):
    """A check has no meaning for a part. The message says why."""


@dataclass(frozen=True)
class Part:
    """A member of a registry."""

    kind: str
    """The kind's name in commands, such as "likelihood"."""
    registry: Registry[Any]
    name: str
    root: Path = Path()
    """The folder of the data sets."""

    @property
    def spec(self) -> Any:
        """The declaration of the part."""
        return self.registry[self.name]

    def load(self) -> Any:
        """Return the function or class that implements the part."""
        return self.registry.load(self.name)

    @property
    def where(self) -> str:
        """The file and the line of the part's code, as "parts.py:12"; only the file if the line is not known."""
        code = inspect.unwrap(found) if callable(found := self.load()) else type(found)
        try:
            file, line = inspect.getsourcefile(code), inspect.getsourcelines(code)[1]
        except (OSError, TypeError):  # a built-in function, or an object without a file
            origin = self.registry.origin(self.name)
            return _shown(origin) if origin else "built in"
        return f"{_shown(Path(str(file)))}:{line}"


@dataclass(frozen=True)
class Check:
    """One thing that is required of every part of a kind."""

    name: str
    required: str
    """A sentence that says what is required."""
    function: Callable[[Part], None]
    first: bool = False
    """Whether the checks after it make sense only if it passes."""


class Checks(list[Check]):
    """The checks of a kind, in the order in which they are made.

    Called, it is a decorator that makes a function a check. The function's docstring says what is required.
    """

    def __call__(self, function: Function) -> Function:
        """Add a check and return its function."""
        return self._added(function, first=False)

    def first(self, function: Function) -> Function:
        """Add a check without which those after it make no sense, and return its function."""
        return self._added(function, first=True)

    def _added(self, function: Function, *, first: bool) -> Function:
        self.append(Check(function.__name__, " ".join((function.__doc__ or "").split()), function, first))
        return function


class Status(Enum):
    """What a check has answered."""

    PASSED = "pass"
    FAILED = "FAIL"
    LEFT_OUT = "n/a"


@dataclass(frozen=True)
class Outcome:
    """The answer of a check for a part."""

    check: Check
    status: Status
    found: str = ""
    """What was found, or why the check has no meaning for the part; empty if it passed."""
    where: str = ""
    """The file and the line to look at, if it failed."""
    trace: str = ""
    """The traceback, if the part's code raised an error."""


def outcome_of(check: Check, part: Part) -> Outcome:
    """Make one check of a part. An error that the part's code raises is a failure of the check."""
    try:
        check.function(part)
    except Violation as violation:
        return Outcome(check, Status.FAILED, str(violation), part.where)
    except DoesNotApply as reason:
        return Outcome(check, Status.LEFT_OUT, str(reason))
    except Exception as error:  # the code of a user may raise anything
        where = _line_of(error, part) or part.where
        return Outcome(check, Status.FAILED, f"its code raised {reason_of(error)}", where, traceback.format_exc())
    return Outcome(check, Status.PASSED)


def outcomes_of(checks: Iterable[Check], part: Part) -> Iterator[Outcome]:
    """Make the checks of a part in their order; end after a check that fails and that the others need."""
    for check in checks:
        yield (outcome := outcome_of(check, part))
        if check.first and outcome.status is Status.FAILED:
            return


def require(condition: Any, found: str) -> None:
    """Raise unless a condition is true.

    Args:
        condition: a bool, or a tensor of one element.
        found: what was found if it is false.

    Raises:
        Violation: it is false.
    """
    if not bool(condition):
        raise Violation(found)


def _line_of(error: Exception, part: Part) -> str:
    """Return the last line of the part's own file through which an error came, as "parts.py:12"; else an empty text."""
    origin = part.registry.origin(part.name)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if origin is not None and Path(frame.filename).resolve() == origin]
    return f"{_shown(origin)}:{lines[-1]}" if origin is not None and lines else ""


def _shown(path: Path) -> str:
    """Return a path as short as it is clear: relative to the project's folder or to that of the package."""
    path = path.resolve()
    for folder in (project().resolve(), checkout()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)
