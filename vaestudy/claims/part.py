"""A part of a claim: one question with its measure and its criterion, and the answer that is computed for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vaestudy.claims.criterion import Criterion, Decision
from vaestudy.claims.measures import Measure, NotMeasured
from vaestudy.claims.wording import asked_text, part_sentence
from vaestudy.evidence.needs import Need

if TYPE_CHECKING:
    from vaestudy.evidence.estimates import Estimate
    from vaestudy.evidence.evidence import Evidence

Role = Literal["part", "decisive", "exploratory"]


@dataclass(frozen=True)
class Part:
    """A part of a claim: one question, how it is measured, and the criterion that decides it."""

    name: str
    """What sets this part apart from the others, such as "from D=10 to 20"."""
    question: str
    says: str
    """The sentence of the answer. `{value}` stands for the estimate with its interval. `{higher|lower}`, or any two
    words, stands for its amount with the word that fits its sign: the first one above 0, the second one below."""
    measure: Measure
    criterion: Criterion
    role: Role = "part"

    def judge(self, evidence: Evidence, alpha: float) -> PartVerdict:
        """Return the answer of this part.

        Raises:
            Incomparable: the runs must not be compared.
        """
        from vaestudy.evidence.evidence import SOURCE, TRACKED

        evidence.require_comparable(self.measure.needs, self.measure.metrics)
        every = (run for arm in self.measure.needs for run in evidence.runs(arm).to_dict("records"))
        runs = [run for run in every if run["seed"] >= self.measure.unused_seeds]
        ids = tuple(dict.fromkeys(str(run["run_id"]) for run in runs))
        committed = tuple(sorted({str(run[SOURCE]) for run in runs} - {TRACKED}))
        try:
            found = self.measure.estimate(evidence)
        except NotMeasured as error:
            return PartVerdict(self, None, Decision("undecided", 1.0, 1.0, None, str(error)), ids, committed)
        return PartVerdict(self, found, self.criterion.decide(found, alpha), ids, committed)


@dataclass(frozen=True)
class PartVerdict:
    """The answer of a part, with its evidence."""

    part: Part
    estimate: Estimate | None
    """None if there is no estimate; `decision.reason` says why."""
    decision: Decision
    run_ids: tuple[str, ...]
    committed: tuple[str, ...]
    """The files in docs/data that some of the runs were read from."""

    @property
    def sentence(self) -> str:
        """Return the answer of this part in one sentence, without a full stop."""
        return self._sentence()

    @property
    def short_sentence(self) -> str:
        """Return `sentence` with bare intervals, such as "(4.57 to 5.48)"."""
        return self._sentence(bare=True)

    @property
    def whole_sentence(self) -> str:
        """Return `sentence` with what was asked and, if it is undecided, what would decide it."""
        if self.estimate is None:
            return self.sentence
        decides = f"; {self.would_decide}" if self.decision.answer == "undecided" else ""
        return f"{self.sentence} (asked: {self.asked}){decides}"

    @property
    def would_decide(self) -> str:
        """Return what would decide this part, if it is undecided."""
        if self.estimate is None:
            return "its runs are missing"
        if self.estimate.n < 2:
            return "one seed shows no spread"
        if not self.estimate.high > self.estimate.low:
            return f"{self.estimate.n} seeds show no spread"
        more = self.decision.more_seeds
        if more is None:
            return "no feasible number of seeds would decide it at this value and spread"
        what = "run" if self.estimate.over == "runs" else "seed"
        return f"about {more} more {what}{'s' * (more != 1)} would decide it"

    @property
    def asked(self) -> str:
        """Return what the criterion asks, in the words of the sentence."""
        return asked_text(self.part.criterion, self.part.says)

    def _sentence(self, bare: bool = False) -> str:
        if self.estimate is None:
            return f"not measured: {self.decision.reason}"
        return part_sentence(self.part.says, self.part.criterion.unit, self.estimate, len(self.run_ids), bare)

    @property
    def wanted(self) -> tuple[Need, ...]:
        """Return the arms with as many seeds as would decide this part; empty if none are needed or it is unknown."""
        if self.estimate is None or not self.decision.more_seeds:
            return ()
        arms, runs = self.part.measure.needs, self.estimate.n + self.decision.more_seeds + self.estimate.lost
        seeds = math.ceil(runs / len(arms)) if self.estimate.over == "runs" else runs
        seeds += self.part.measure.unused_seeds
        return tuple(arm.with_seeds(max(arm.seeds, seeds)) for arm in arms)


def counted(parts: Sequence[PartVerdict]) -> list[PartVerdict]:
    """Return the parts that are not exploratory."""
    return [part for part in parts if part.part.role != "exploratory"]
