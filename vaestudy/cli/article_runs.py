"""The further looks of `vaestudy article` at claims that are undecided."""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.looks import LOOKS
from vaestudy.cli.article_evidence import Article
from vaestudy.evidence.needs import Need


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
    """Return the arms of a claim that get more seeds, with their seeds; none if it is decided or cannot be decided."""
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
