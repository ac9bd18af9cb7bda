"""The answer of a claim in one short sentence, for tables: the part that decides, with its number and interval.

    holds       the part that holds least clearly
    fails       the part that fails most clearly; of decisive parts, if one fails
    depends     the part that holds most clearly, and the part that fails most clearly
    undecided   the part that leaves it open: a decisive one, or the one that is farthest from an answer

The other parts are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from vaestudy.claims.part import PartVerdict, counted


def summary_sentence(verdict: str, every: Sequence[PartVerdict]) -> str:
    """Return the answer of a claim in one short sentence. The verdict and the full stop are left out."""
    parts = counted(every)
    holds, fails, still_open = (
        [part for part in parts if part.decision.answer == answer] for answer in ("holds", "fails", "undecided")
    )
    match verdict:
        case "holds":
            return _all(parts, "hold", "the least clear") + _said(max(parts, key=_p_holds))
        case "fails":
            decisive = [part for part in fails if part.part.role == "decisive"]
            if decisive:
                return _said(shown := min(decisive, key=_p_fails)) + _others(parts, shown)
            return _all(parts, "fail", "the clearest") + _said(min(parts, key=_p_fails))
        case "undecided" if still_open:
            shown = max(still_open, key=_openness)
            return _said(shown) + _others(parts, shown)
    yes, no = min(holds, key=_p_holds), min(fails, key=_p_fails)
    asked = f" (asked: {no.asked})" if yes.asked == no.asked else ""
    left = f"; {len(still_open)} open" if still_open else ""
    head = "the parts differ, but not clearly enough; " if verdict == "undecided" else ""
    return (
        f"{head}yes in {len(holds)} of {len(parts)} parts: {yes.short_sentence}; "
        f"no in {len(fails)}: {no.short_sentence}{asked}{left}"
    )


def _p_holds(part: PartVerdict) -> float:
    return part.decision.p_holds


def _p_fails(part: PartVerdict) -> float:
    return part.decision.p_fails


def _openness(part: PartVerdict) -> tuple[bool, float]:
    """Return how much an undecided part leaves its claim open: whether it is decisive, and how far an answer is."""
    return part.part.role == "decisive", min(_p_holds(part), _p_fails(part))


def _said(part: PartVerdict) -> str:
    """Return the sentence of a part, with what was asked."""
    return f"{part.short_sentence} (asked: {part.asked})"


def _all(parts: Sequence[PartVerdict], do: str, which: str) -> str:
    """Return the beginning of a sentence on parts with one answer; empty if there is one part."""
    return f"all {len(parts)} parts {do}; {which}: " if len(parts) > 1 else ""


def _others(parts: Sequence[PartVerdict], shown: PartVerdict) -> str:
    """Return the answers of the other parts, counted; empty if there are none."""
    others = [part.decision.answer for part in parts if part is not shown]
    words = {"holds": ("holds", "hold"), "fails": ("fails", "fail"), "undecided": ("is open", "are open")}
    counts = [(others.count(answer), *each) for answer, each in words.items() if answer in others]
    if not counts:
        return ""
    if len(counts) == 1:
        (n, one, many), *_ = counts
        return f"; the other part {one}" if n == 1 else f"; the {n} other parts {many}"
    texts = [f"{n} {one if n == 1 else many}" for n, one, many in counts]
    return f"; of the {len(others)} other parts {', '.join(texts[:-1])} and {texts[-1]}"
