"""The evidence of `vaestudy article`, with the looks that were written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console

from vaestudy.claims.claim import Claim
from vaestudy.claims.family import FamilyVerdict, judge_family
from vaestudy.claims.looks import COMMITTED, Looks
from vaestudy.claims.registry import CLAIMS
from vaestudy.cli.article_request import Request
from vaestudy.cli.evidence_flags import PUBLISHED
from vaestudy.cli.evidence_work import tracker_of
from vaestudy.evidence.collect import collect
from vaestudy.evidence.committed import data_folder
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.missing import at_scale
from vaestudy.evidence.needs import Need


@dataclass
class Article:
    """The evidence for the claims, and what was written down about them."""

    request: Request
    err: Console
    looks: Looks = field(init=False)
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        committed = [data_folder() / COMMITTED] if self.request.dataset == PUBLISHED else []
        self.looks = Looks() if self.request.quick else Looks.read(self.request.looks_file, *committed)
        self.collect()

    @property
    def chosen(self) -> list[Claim]:
        """Return the claims that the user asks for."""
        return [CLAIMS[name] for name in self.request.claims]

    def needs(self, claims: Iterable[Claim]) -> list[Need]:
        """Return what claims need, with the seeds of all looks, at the scale of the request."""
        return at_scale((one for claim in claims for one in self.looks.needs(claim)), self.request.quick)

    @property
    def chosen_needs(self) -> list[Need]:
        """Return what the chosen claims need."""
        return self.needs(self.chosen)

    def collect(self) -> None:
        """Collect the runs that exist and that any claim needs."""
        tracker = tracker_of(self.request)
        self.evidence = collect(self.needs(CLAIMS.values()), self.request.dataset, self.request.quick, tracker)

    def use_committed(self) -> None:
        """Use the committed runs alone from now on."""
        self.evidence = collect(self.needs(CLAIMS.values()), self.request.dataset)

    def judge(self) -> list[FamilyVerdict]:
        """Return the verdicts of all claims.

        Raises:
            Incomparable: runs must not be compared.
        """
        return judge_family(CLAIMS.values(), self.evidence, self.looks.counts)
