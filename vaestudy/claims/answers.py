"""The answer of a claim in plain English, from the answers of its parts."""

from __future__ import annotations

from collections.abc import Sequence

from vaestudy.claims.part import PartVerdict, counted

NOT_CLEAR = "The parts differ, but not clearly enough for an answer that was chosen among several."


def verdict_sentence(verdict: str, every: Sequence[PartVerdict]) -> str:
    """Return the answer of a claim: its verdict, and what each part that counts has shown."""
    parts = counted(every)
    answers = {answer: [p for p in parts if p.decision.answer == answer] for answer in ("holds", "fails", "undecided")}
    match verdict:
        case "holds":
            return f"Yes: {_joined(parts)}."
        case "fails" if not answers["holds"] and not answers["undecided"]:
            return f"No: {_joined(parts)}."
        case "fails":
            decisive = [p for p in answers["fails"] if p.part.role == "decisive"]
            rest = [p for p in parts if p not in decisive]
            return f"No: {_joined(decisive)}. {_other_answers(rest)}".strip()
        case "depends":
            return f"It depends. {_other_answers(parts)}"
        case _:
            found = _other_answers([p for p in parts if p.decision.answer != "undecided"])
            open_parts = " ".join(f"Undecided {_named(p)}; {what_would_decide(p)}." for p in answers["undecided"])
            return f"{open_parts or f'Undecided. {NOT_CLEAR}'} {found}".strip()


def what_would_decide(part: PartVerdict) -> str:
    """Return what would decide an undecided part."""
    if part.estimate is None:
        return "its runs are missing"
    if part.estimate.n < 2:
        return "one seed shows no spread"
    if not part.estimate.high > part.estimate.low:
        return f"{part.estimate.n} seeds show no spread"
    more = part.decision.more_seeds
    if more is None:
        return "no feasible number of seeds would decide it at this value and spread"
    what = "run" if part.estimate.over == "runs" else "seed"
    return f"about {more} more {what}{'s' * (more != 1)} would decide it"


def _named(part: PartVerdict) -> str:
    return f"{part.part.name}: {part.sentence} (asked: {part.asked})"


def _joined(parts: list[PartVerdict]) -> str:
    return "; ".join(part.sentence for part in parts)


def _other_answers(parts: list[PartVerdict]) -> str:
    """Return the parts by their answers, one sentence each."""
    words = {"holds": "It holds", "fails": "It does not hold", "undecided": "It is undecided"}
    return " ".join(f"{words[p.decision.answer]} {p.part.name}: {p.sentence}." for p in sorted(parts, key=_by_answer))


def _by_answer(part: PartVerdict) -> int:
    return ["holds", "fails", "undecided"].index(part.decision.answer)
