"""The runs of `vaestudy article`: those that the claims lack, and those of further looks."""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.looks import LOOKS
from vaestudy.cli.article_evidence import Article
from vaestudy.cli.evidence_work import run_needs
from vaestudy.errors import TrackerUnavailable
from vaestudy.evidence.missing import missing_runs
from vaestudy.evidence.needs import Need


def run_missing(article: Article) -> bool:
    """Run what the chosen claims lack, and collect the runs again; return whether all of it is there now.

    Raises:
        BadInput: the data set is not there, the runs do not fit into memory, or another driver works on a sweep.
    """
    missing = missing_runs(article.needs(article.chosen), article.evidence)
    if not missing:
        return True
    complete = run_needs(missing, article.request, article.err)
    try:
        article.collect()
    except TrackerUnavailable as error:
        article.err.print(f"the runs cannot be read back: {error}", style="red")
        return False
    return complete


def add_look(article: Article) -> bool:
    """Write down a further look at the chosen claims that are undecided; return whether there is any.

    The first look is made at ALPHA / LOOKS, too, as further ones may follow.
    """
    added = False
    for claim in article.chosen:
        if article.looks.left(claim) and (arms := _further_arms(claim, article)):
            article.looks.add(claim, arms)
            seeds = max(one.seeds for one in arms)
            article.err.print(f"{claim.id} is undecided; a further look with up to {seeds} seeds", style="yellow")
            added = True
    if added:
        article.looks.write(article.request.looks_file)
    return added


def _further_arms(claim: Claim, article: Article) -> list[Need]:
    """Return the arms of a claim that get more seeds, with their seeds; none if it is decided or cannot be."""
    verdict = claim.judge(article.evidence, LOOKS)
    if verdict.verdict != "undecided":
        return []
    so_far = {one.with_seeds(1): one.seeds for one in article.looks.needs(claim)}
    most = article.request.most_seeds
    arms = [one.with_seeds(min(one.seeds, most)) for one in verdict.wanted]
    arms = [one for one in arms if one.seeds > so_far[one.with_seeds(1)]]
    if not arms:
        line = f"{claim.id} stays undecided: up to {most} seeds would not decide it at this value and spread"
        article.err.print(line, style="yellow")
    return arms
