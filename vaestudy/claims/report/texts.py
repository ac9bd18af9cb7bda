"""Short texts of the report: p-values, estimates, how an interval was made, and how sure an answer is."""

from __future__ import annotations

from vaestudy.claims.claim import Verdict
from vaestudy.claims.family import FamilyVerdict
from vaestudy.claims.part import PartVerdict
from vaestudy.claims.wording import interval_text

SMALLEST_P = 0.001
"""Smaller p-values are not told apart: they depend on the tails of the assumed distribution."""

MISSING = "Not measured yet: its runs are missing."


def p_text(p: float) -> str:
    """Return a p-value with few digits, such as "0.012" or "0.37"; "< 0.001" if it is small."""
    if p < SMALLEST_P:
        return f"< {SMALLEST_P:.3f}"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}" if p < 0.995 else "1"


def p_sentence(p: float) -> str:
    """Return a p-value as "p = 0.012" or "p < 0.001"."""
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def short_estimate(found: PartVerdict) -> str:
    """Return the estimate of a part with its interval, or why there is none."""
    if found.estimate is None:
        return f"not measured: {found.decision.reason}"
    return interval_text(found.estimate, found.part.criterion.unit)


def how_text(found: PartVerdict) -> str:
    """Return how the interval of a part was made: paired or pooled, the correlation, and the runs that were lost."""
    estimate = found.estimate
    if estimate is None:
        return ""
    parts = [estimate.how] + [f"{estimate.scale} scale"] * (estimate.scale == "log")
    if estimate.correlation == estimate.correlation:
        parts.append(f"correlation {estimate.correlation:+.2f}")
    if estimate.lost:
        parts.append(f"{estimate.lost} run{'s' * (estimate.lost != 1)} did not survive")
    return ", ".join(parts)


def summary_text(verdict: Verdict) -> str:
    """Return the answer of a claim for a table: one short sentence with the number that decides."""
    if all(part.estimate is None for part in verdict.parts):
        return MISSING
    return f"{verdict.summary[0].upper()}{verdict.summary[1:]}."


def sure_text(found: FamilyVerdict) -> str:
    """Return how sure an answer is, for a table; Holm's correction is named where it changes the verdict."""
    if found.alone.verdict == "undecided":
        return what_would_settle(found.alone)
    corrected = f"; {found.corrected} with Holm's correction" if found.differs else ""
    return f"{p_sentence(found.alone.p)}{corrected}"


def sure_in_full(found: FamilyVerdict) -> str:
    """Return how sure an answer is: its p-value alone, and among all claims."""
    if found.alone.verdict == "undecided":
        return what_would_settle(found.alone)
    corrected = f"{p_sentence(found.p_corrected)} with Holm's correction for all claims"
    so = f", so it would be {found.corrected}" if found.differs else ""
    return f"{p_sentence(found.alone.p)} for this claim alone; {corrected}{so}"


def what_would_settle(verdict: Verdict) -> str:
    """Return what would decide all open parts of an undecided claim."""
    known = [part for part in verdict.deciding if part.estimate is not None and part.estimate.n > 1]
    if len(known) < len(verdict.deciding):
        return "runs are missing"
    more = [part.decision.more_seeds for part in known if part.decision.more_seeds]
    over = "run" if known and all(part.estimate and part.estimate.over == "runs" for part in known) else "seed"
    if not known:
        return "the parts differ, but not clearly enough"
    if not more:
        return "no feasible number of seeds would decide it"
    needed = f"about {max(more)} more {over}{'s' * (max(more) > 1)}"
    if len(more) == len(known):
        return f"{needed} would decide it"
    others = f"other{'s' * (len(known) - len(more) > 1)}"
    return f"{needed} would decide {len(more)} of its {len(known)} open parts, no feasible number the {others}"
