"""The printing of how a repeated run compares with its record."""

from __future__ import annotations

from vaestudy.runtime.console import consoles, print_json
from vaestudy.tracking.repetition import Comparison


def show_comparison(compared: Comparison | None, as_json: bool) -> int:
    """Print how a run compares with the one that it repeats; return the exit code, 1 if the two differ.

    Args:
        compared: the comparison; None if the run repeats none.
        as_json: whether stdout is for JSON alone. Differences are printed to stderr in either case.
    """
    if compared is None:
        return 0
    err, out = consoles()
    differs = compared.exact is False
    for line in compared.lines() if differs or not as_json else ():
        (err if differs else out).print(line, style="red" if differs else None)
    return 1 if differs else 0


def show_divergence(compared: Comparison, run_id: str | None, as_json: bool) -> None:
    """Print how a run that diverged compares with the one that it repeats.

    Args:
        compared: the comparison.
        run_id: the id of the run that diverged; None if the tracker is out of reach.
        as_json: whether to print one JSON object in place of lines.
    """
    if as_json:
        print_json({"run_id": run_id, "status": "FAILED"} | compared.to_json())
    show_comparison(compared, as_json)
