"""The work of `vaestudy article`, after its flags have been validated: the plan, the missing runs, the looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vaestudy.claims.claim import Claim
from vaestudy.claims.collect import collect
from vaestudy.claims.committed import data_folder
from vaestudy.claims.evidence import Evidence
from vaestudy.claims.family import FamilyVerdict, judge_family
from vaestudy.claims.looks import COMMITTED, LOOKS, Looks
from vaestudy.claims.needs import Need, SweepNeeds
from vaestudy.claims.plan import Cost, PlannedClaim, at_scale, cost, missing_runs, planned
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.contents import Report, report_of
from vaestudy.claims.report.files import PAGE, data_files, new_readme, report_files, write_files
from vaestudy.claims.report.logged import log_report
from vaestudy.cli.article_request import Request
from vaestudy.data.datasets import find_dataset
from vaestudy.errors import BadInput, TrackerUnavailable
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.run import execute
from vaestudy.runtime.addresses import database_file
from vaestudy.runtime.console import consoles, print_uncut
from vaestudy.runtime.paths import cores, repository
from vaestudy.study.plan import Plan
from vaestudy.sweep.driver import run_sweep
from vaestudy.sweep.shared_pool import SharedPool
from vaestudy.sweep.worker_pool import WorkersLost
from vaestudy.tracking.mlflow_tracker import Tracker, require_tracker
from vaestudy.training import memory

QUICK_LINE = "--quick: few images, few epochs, two seeds: a look on little data, not a result"


@dataclass
class Article:
    """The evidence for the claims, and what was written down about them."""

    request: Request
    err: Console
    looks: Looks = field(init=False)
    evidence: Evidence = field(init=False)
    tracker: Tracker | None = field(init=False)

    def __post_init__(self) -> None:
        committed = [data_folder() / COMMITTED] if self.request.dataset == "mnist" else []
        self.looks = Looks() if self.request.quick else Looks.read(self.request.looks_file, *committed)
        self.collect()

    @property
    def chosen(self) -> list[Claim]:
        """Return the claims that the user asks for."""
        return [CLAIMS[name] for name in self.request.claims]

    def needs(self, claims: Iterable[Claim]) -> list[Need]:
        """Return what claims need, with the seeds of all looks, at the scale of the request."""
        return at_scale((one for claim in claims for one in self.looks.needs(claim)), self.request.quick)

    def collect(self) -> None:
        """Collect the runs of all claims that are there."""
        self.tracker = tracker_of(self.request)
        self.evidence = collect(self.needs(CLAIMS.values()), self.request.dataset, self.request.quick, self.tracker)

    def use_committed(self) -> None:
        """Use the committed runs alone from now on."""
        self.tracker = None
        self.evidence = collect(self.needs(CLAIMS.values()), self.request.dataset)

    def judge(self) -> list[FamilyVerdict]:
        """Return the verdicts of all claims.

        Raises:
            Incomparable: runs must not be compared.
        """
        return judge_family(CLAIMS.values(), self.evidence, self.looks.counts)


def tracker_of(request: Request) -> Tracker | None:
    """Return the tracker; None if nothing is tracked yet, or only committed runs are asked for."""
    if request.locations is None:
        return None
    database = database_file(request.locations.tracking_uri)
    if database is not None and not database.exists():
        return None
    return Tracker(request.locations.tracking_uri)


def show_plan(request: Request) -> int:
    """Print the runs that are there and those that are missing; return the exit code."""
    err, out = consoles()
    article = Article(request, err)
    with refusing_mixtures():
        rows = [
            planned(claim, article.needs([claim]), article.evidence, article.looks.counts.get(claim.id, 1))
            for claim in article.chosen
        ]
    workers = cores() if request.options.workers is None else max(1, request.options.workers)
    everything = article.needs(article.chosen)
    missing = sum(len(entry.cells) for entry in missing_runs(everything, article.evidence))
    print_uncut(out, plan_table(rows, missing, cost(everything, article.evidence), workers))
    out.print("Claims share runs: the last row counts each once. `vaestudy article` runs what is missing.")
    return 0


def plan_table(rows: list[PlannedClaim], missing: int, total: Cost, workers: int) -> Table:
    """Return the table of a plan.

    Args:
        rows: the claims.
        missing: the number of missing runs of all of them, each counted once.
        total: what these take.
        workers: the number of runs that are executed at the same time.
    """
    table = Table(title="runs of the claims", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("claim", "verdict now", "tracked", "committed", "missing", "minutes to go", "to decide it"):
        right = heading in ("tracked", "committed", "missing")
        table.add_column(heading, justify="right" if right else "left", max_width=60)
    for row in rows:
        counts = (row.tracked, row.committed, row.missing)
        time = minutes(row.cost, workers)
        table.add_row(row.verdict.claim.id, row.verdict.verdict, *map(str, counts), time, row.more)
    table.add_section()
    table.add_row("all", "", "", "", str(missing), minutes(total, workers), "")
    return table


def minutes(total: Cost, workers: int) -> str:
    """Return how long runs take as text, and how this is known; empty if there are none."""
    if not total.basis:
        return ""
    return f"{shown_minutes(total.seconds / workers / 60)} ({', '.join(total.basis)})"


def shown_minutes(value: float) -> str:
    """Return minutes as text."""
    return "?" if value != value else "under 1" if value < 1 else f"{value:.0f}"


def make_article(request: Request) -> int:
    """Run what the claims lack, judge them and write the report; return the exit code."""
    err, out = consoles()
    if request.locations is not None:
        require_tracker(request.locations.tracking_uri)
    if request.quick:
        err.print(QUICK_LINE, style="yellow")
    article = Article(request, err)
    done = run_missing(article) if request.locations is not None else True
    with refusing_mixtures():
        while done and request.until_decided and add_look(article):
            done = run_missing(article)
        return max(0 if done else 1, write_report(article, out))


@contextmanager
def refusing_mixtures() -> Iterator[None]:
    """Turn the error for runs that must not be compared into one line.

    Raises:
        BadInput: runs that a claim rests on are of several data sets, or must not be compared for another reason.
    """
    try:
        yield
    except Incomparable as error:
        raise BadInput(f"the runs that are there give no verdict: {error}") from None


def write_report(article: Article, out: Console) -> int:
    """Judge the claims, write the report, log it to MLflow, and print where it is; return the exit code.

    Raises:
        BadInput: a file cannot be written.
        Incomparable: runs must not be compared.
    """
    request = article.request
    if request.publish:  # what is published rests on the committed runs alone, so that anyone gets the same
        write_files(data_folder(), data_files(article.evidence, article.looks))
        article.use_committed()
    family, tracker = article.judge(), article.tracker
    needs = {claim.id: article.needs([claim]) for claim in article.chosen}
    link = tracker.link if tracker is not None else None
    report = report_of(family, article.evidence, needs, article.looks.counts, link)
    files = report_files(report, family)
    write_files(request.out, files)
    if request.publish:
        readme = repository() / "README.md"
        write_files(readme.parent, {readme.name: new_readme(readme, report)})
    print_uncut(out, summary_table(report))
    for note in report.notes:
        out.print(note)
    out.print(f"report    {request.out / PAGE}")
    if tracker is None:
        return 0
    try:
        out.print(f"in MLflow {tracker.link(*log_report(tracker, article.evidence, family, files))}")
    except TrackerUnavailable as error:
        article.err.print(f"the report is written, but could not be logged to MLflow: {error}", style="red")
        return 1
    return 0


def summary_table(report: Report) -> Table:
    """Return the table of all claims for a terminal."""
    table = Table(title=report.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("claim", "asked", "verdict", "how sure"):
        table.add_column(heading, max_width=48)
    for claim in report.claims:
        table.add_row(claim.id, claim.asked, claim.verdict, claim.sure)
    return table


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
    article.err.print(f"{len(configs)} runs are missing: {', '.join(entry.sweep.study.name for entry in missing)}")
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
