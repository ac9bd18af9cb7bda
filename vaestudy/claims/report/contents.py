"""The contents of the report: plain text and numbers, from which the web page and the Markdown file are made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vaestudy.claims.criterion import number
from vaestudy.claims.family import FamilyVerdict, where_it_matters
from vaestudy.claims.part import PartVerdict
from vaestudy.claims.report.texts import (
    how_text,
    p_text,
    short_estimate,
    summary_text,
    sure_in_full,
    sure_text,
)
from vaestudy.evidence.evidence import SOURCE, TRACKED, Evidence
from vaestudy.evidence.needs import Need, declared_study
from vaestudy.study.declaration import level_text

TITLE = "The article, claim by claim"
QUICK = "A look on little data, not a result: few images, few epochs, two seeds."
DIGITS = 8
"""The number of digits of a run's id that the report shows."""
Link = Callable[[str, str], str]
"""A function that returns the address of a run's page from the ids of its experiment and of the run."""


@dataclass(frozen=True)
class RunEntry:
    """A run behind a number."""

    id: str
    seed: int
    diverged: bool
    source: str
    """Where it was read from: TRACKED, or a file in docs/data."""
    link: str
    """The address of its page in MLflow; empty if it is not tracked here."""

    @property
    def shown(self) -> str:
        """Return the first digits of the id."""
        return self.id[:DIGITS]


@dataclass(frozen=True)
class ArmEntry:
    """An arm: one configuration, with its runs."""

    anchor: str
    name: str
    command: str
    """The command that makes the runs."""
    study_file: str
    """The file that declares all that the name does not say."""
    seeds: int
    """The number of seeds that are needed."""
    runs: tuple[RunEntry, ...]
    revisions: tuple[str, ...]
    """The code revisions of the runs."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return where the runs were read from."""
        return tuple(sorted({run.source for run in self.runs}))


@dataclass(frozen=True)
class PartEntry:
    """A part of a claim, as text."""

    question: str
    role: str
    asked: str
    why: str
    answer: str
    sentence: str
    """The answer in one sentence, without a full stop."""
    estimate: str
    n: str
    how: str
    p_holds: str
    p_fails: str
    arms: tuple[ArmEntry, ...]


@dataclass(frozen=True)
class ClaimEntry:
    """A claim, as text."""

    id: str
    words: str
    asked: str
    verdict: str
    summary: str
    """The answer in one short sentence, with the number that decides."""
    sure: str
    """How sure the answer is, in few words."""
    sure_in_full: str
    command: str
    figure: str
    """Where the figure of the study is that shows the answer."""
    parts: tuple[PartEntry, ...]

    @property
    def anchor(self) -> str:
        """Return the name of the claim's section in addresses."""
        return self.id.lower()


@dataclass(frozen=True)
class Report:
    """All that the report says."""

    claims: tuple[ClaimEntry, ...]
    arms: tuple[ArmEntry, ...]
    notes: tuple[str, ...]
    title: str = TITLE
    quick: bool = field(default=False)


def report_of(
    family: Sequence[FamilyVerdict],
    evidence: Evidence,
    needs: Mapping[str, Sequence[Need]],
    looks: Mapping[str, int],
    link: Link | None = None,
) -> Report:
    """Return the report.

    Args:
        family: the verdicts of all claims.
        evidence: the runs that the verdicts rest on.
        needs: name of a claim that is reported -> what it needs, with its seeds.
        looks: name of a claim -> the number of its looks, of claims with more than one.
        link: how a tracked run is linked; None for no links.
    """
    shown = [each for each in family if each.alone.claim.id in needs]
    arms: dict[Need, ArmEntry] = {}
    for one in (one for each in shown for one in needs[each.alone.claim.id]):
        arms.setdefault(one.with_seeds(1), _arm(f"arm-{len(arms) + 1}", one, evidence, link))
    notes = [*_data_notes(evidence, arms), where_it_matters(shown)]
    notes += [f"{name} was judged in up to {count} looks, each at 1/{count} of the level." for name, count in
              sorted(looks.items()) if name in needs]  # fmt: skip
    return Report(
        claims=tuple(_claim(each, arms, evidence) for each in shown),
        arms=tuple(arms.values()),
        notes=tuple([QUICK, *notes] if evidence.quick else notes),
        quick=evidence.quick,
    )


def _claim(found: FamilyVerdict, arms: Mapping[Need, ArmEntry], evidence: Evidence) -> ClaimEntry:
    """Return the entry of a claim."""
    verdict, claim = found.alone, found.alone.claim
    study, picture = claim.figure
    scale = "--quick " if evidence.quick else ""
    dataset = (
        "" if evidence.dataset == ("mnist-5k" if evidence.quick else "mnist") else f" --dataset {evidence.dataset}"
    )
    return ClaimEntry(
        id=claim.id,
        words=claim.words,
        asked=claim.question,
        verdict=verdict.verdict,
        summary=summary_text(verdict),
        sure=sure_text(found),
        sure_in_full=sure_in_full(found),
        command=f'make article ARGS="{scale}--claims {claim.id}{dataset}"',
        figure=f"The figure {picture} of the study {study} shows more (make study-{study}).",
        parts=tuple(_part(part, arms) for part in verdict.parts),
    )


def _part(found: PartVerdict, arms: Mapping[Need, ArmEntry]) -> PartEntry:
    """Return the entry of a part."""
    part, decision = found.part, found.decision
    return PartEntry(
        question=part.question,
        role="" if part.role == "part" else part.role,
        asked=part.criterion.words,
        why=part.criterion.why,
        answer=decision.answer,
        sentence=found.whole_sentence,
        estimate=short_estimate(found),
        n=f"{found.estimate.n} {found.estimate.over}" if found.estimate is not None else "0",
        how=how_text(found),
        p_holds=p_text(decision.p_holds),
        p_fails=p_text(decision.p_fails),
        arms=tuple(arms[one.with_seeds(1)] for one in part.measure.needs),
    )


def _arm(anchor: str, one: Need, evidence: Evidence, link: Link | None) -> ArmEntry:
    """Return the entry of an arm."""
    runs = evidence.runs(one)
    records = runs.to_dict("records") if len(runs) else []
    return ArmEntry(
        anchor=anchor,
        name=one.name,
        command=command_of(one, evidence.dataset, evidence.quick),
        study_file=f"studies/{one.study.replace('-', '_')}.py",
        seeds=one.seeds,
        runs=tuple(_run(run, link) for run in records),
        revisions=tuple(sorted({str(run["tags.code.revision"])[:DIGITS] for run in records})),
    )


def _run(run: Mapping[Hashable, object], link: Link | None) -> RunEntry:
    """Return the entry of a run."""
    run_id, source = str(run["run_id"]), str(run[SOURCE])
    address = link(str(run["experiment"]), run_id) if link is not None and source == TRACKED else ""
    return RunEntry(run_id, int(str(run["seed"])), run["status"] != "FINISHED", source, address)


def command_of(one: Need, dataset: str, quick: bool) -> str:
    """Return the command that makes the runs of a need, and no others."""
    levels = declared_study(one.study).baseline | dict(one.levels)
    values = {"dataset": dataset, "seeds": one.seeds} | dict(one.flags) | levels
    flags = [f"--{name.replace('_', '-')} {level_text(value)}" for name, value in values.items()]
    return f'make study-{one.study} ARGS="{" ".join(["--quick"] * quick + flags)}"'


def _data_notes(evidence: Evidence, arms: Mapping[Need, ArmEntry]) -> Iterable[str]:
    """Return what the runs are of, and where they were read from."""
    runs = {run for arm in arms.values() for run in arm.runs}
    committed = sum(run.source != TRACKED for run in runs)
    lacking = sum(max(0, arm.seeds - len(arm.runs)) for arm in arms.values())
    source = "all" if committed == len(runs) else f"{number(committed)} of them"
    yield (
        f"All runs are of the data set {evidence.dataset}: {number(len(runs))} runs in {len(arms)} arms, {source} read "
        "from docs/data." + (f" {number(lacking)} of the runs that the claims need are missing." if lacking else "")
    )
    yield (
        "An answer holds or fails only if a one-sided test at 2.5 % shows it; all intervals are 95 % intervals over "
        "seeds. Criteria were fixed before the data; a part that was added later says so. The method is on the page "
        "docs/article.md."
    )
