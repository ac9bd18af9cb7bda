"""The work of `vaestudy check`, after its flags have been checked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rich.console import Console

from vaestudy.conformance.check import Outcome, Part, Status, outcomes_of
from vaestudy.conformance.kinds import KINDS
from vaestudy.runtime.console import consoles

STYLES = {Status.PASSED: "green", Status.FAILED: "bold red", Status.LEFT_OUT: "dim"}


def check(parts: Sequence[Part], with_traceback: bool) -> int:
    """Make the checks of parts and print one line for each; return the exit code: 1 if a check fails, else 0.

    Args:
        parts: the parts.
        with_traceback: whether to print the traceback of an error that a part's code raises.
    """
    torch.set_num_threads(1)
    err, out = consoles()
    failed = [part for part in parts if not _passes(part, out, err, with_traceback)]
    if len(parts) > 1:
        out.print(f"{len(parts) - len(failed)} of {len(parts)} parts pass")
    return 1 if failed else 0


def _passes(part: Part, out: Console, err: Console, with_traceback: bool) -> bool:
    """Make the checks of one part and print them; return whether none fails."""
    checks = KINDS[part.kind].load_checks()
    out.print(f"{part.registry.kind} {part.name}  {part.where}", style="bold")
    outcomes: list[Outcome] = []
    with err.status("checking"):
        for outcome in outcomes_of(checks, part):
            _show(outcome, out)
            if with_traceback and outcome.trace:
                out.print(outcome.trace)
            outcomes.append(outcome)
    failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
    passed = sum(outcome.status is Status.PASSED for outcome in outcomes)
    if left := len(checks) - len(outcomes):
        out.print(f"  {left} further checks need this one and were not made", style="dim")
    summary = f"{passed} passed, {failed} failed" if failed else f"all {passed} passed"
    out.print(f"  {summary}", style="red" if failed else "green")
    return not failed


def _show(outcome: Outcome, out: Console) -> None:
    """Print what a check requires; if it fails, what was found and where; if it does not apply, why."""
    out.print(f"  {outcome.status.value}  {outcome.check.required}", style=STYLES[outcome.status])
    if outcome.found:
        out.print(f"        {outcome.found}")
    if outcome.where:
        out.print(f"        {outcome.where}")
