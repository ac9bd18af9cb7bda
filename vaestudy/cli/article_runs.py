"""The runs of `vaestudy article`: those that the claims lack, and those of further looks."""

from __future__ import annotations

from vaestudy.claims.claim import Claim
from vaestudy.claims.looks import LOOKS
from vaestudy.claims.needs import Need, SweepNeeds
from vaestudy.claims.plan import missing_runs
from vaestudy.cli.article_evidence import Article
from vaestudy.data.datasets import find_dataset
from vaestudy.errors import TrackerUnavailable
from vaestudy.run import execute
from vaestudy.runtime.paths import cores
from vaestudy.study.plan import Plan
from vaestudy.sweep.driver import run_sweep
from vaestudy.sweep.shared_pool import SharedPool
from vaestudy.sweep.worker_pool import WorkersLost
from vaestudy.training import memory


def run_missing(article: Article) -> bool:
    """Run what the chosen claims lack, and collect the runs again; return whether all of it is there now.

    Raises:
        BadInput: the data set is not there, the runs do not fit into memory, or another driver works on a sweep.
    """
    request, needs = article.request, article.needs(article.chosen)
    missing = missing_runs(needs, article.evidence)
    if not missing:
        return True
    assert request.locations is not None
    if (note := find_dataset(request.dataset, request.locations.data_root)[1]) is not None:
        article.err.print(note, style="yellow")
    configs = [cell.config for entry in missing for cell in entry.cells]
    at_once = cores() if request.options.workers is None else request.options.workers
    memory.require_memory(configs, min(at_once or 1, len(configs)))
    studies = dict.fromkeys(entry.sweep.study.name for entry in missing)
    article.err.print(f"{len(configs)} runs are missing: {', '.join(studies)}")
    workers, complete = SharedPool(len(configs)), True
    try:
        for entry in missing:
            complete = _run(entry, article, workers) and complete
    finally:
        workers.close()
    try:
        article.collect()
    except TrackerUnavailable as error:
        article.err.print(f"the runs cannot be read back: {error}", style="red")
        return False
    return complete


def _run(entry: SweepNeeds, article: Article, workers: SharedPool) -> bool:
    """Run the missing cells of a sweep by the machinery of studies; return whether each has an outcome in MLflow."""
    request, sweep = article.request, entry.sweep
    assert request.locations is not None
    execute.require_device(sweep.base.device)
    plan = Plan(sweep.study, sweep.base, {}, 0, tuple(entry.cells))
    try:
        outcome = run_sweep(sweep, plan, request.options, request.locations, article.err, workers.lend)
    except (WorkersLost, TrackerUnavailable) as error:
        article.err.print(f"study {sweep.study.name}: {error}", style="red")
        return False
    problems = {
        f"{outcome.unstarted} runs were not started; the same command goes on once there is room": outcome.unstarted,
        f"{outcome.waiting} results wait on disk for the tracker; `vaestudy sync` delivers them": outcome.waiting,
        f"{outcome.crashed} runs crashed; their traceback.txt in MLflow says why": outcome.crashed,
    }
    for line, count in problems.items():
        if count:
            article.err.print(f"study {sweep.study.name}: {line}", style="red")
    return not any(problems.values())


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
