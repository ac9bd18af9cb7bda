"""The work of `vaestudy article`, after its flags have been validated: the plan, and the report."""

from __future__ import annotations

from rich.console import Console

from vaestudy.claims.plan import planned
from vaestudy.claims.report.contents import report_of
from vaestudy.claims.report.files import PAGE, data_files, new_readme, report_files, require_marks
from vaestudy.claims.report.logged import log_report
from vaestudy.cli.article_evidence import Article
from vaestudy.cli.article_request import Request
from vaestudy.cli.article_runs import add_look
from vaestudy.cli.article_tables import plan_table, summary_table
from vaestudy.cli.evidence_work import refusing_mixtures, run_missing, tracker_of
from vaestudy.errors import TrackerUnavailable
from vaestudy.evidence.committed import data_folder
from vaestudy.evidence.missing import cost, missing_runs
from vaestudy.runtime.console import consoles, print_uncut
from vaestudy.runtime.files import write_files
from vaestudy.runtime.project import repository
from vaestudy.tracking.mlflow_tracker import require_tracker

QUICK_LINE = "--quick: few images, few epochs, two seeds: a look on little data, not a result"


def show_plan(request: Request) -> int:
    """Print the runs that are there and those that are missing; return the exit code."""
    err, out = consoles()
    article = Article(request, err)
    with refusing_mixtures("no verdict"):
        rows = [
            planned(claim, article.needs([claim]), article.evidence, article.looks.counts.get(claim.id, 1))
            for claim in article.chosen
        ]
    everything = article.chosen_needs
    missing = sum(len(entry.cells) for entry in missing_runs(everything, article.evidence))
    print_uncut(out, plan_table(rows, missing, cost(everything, article.evidence), request.options))
    out.print("Claims share runs: the last row counts each once. `vaestudy article` runs what is missing.")
    return 0


def make_article(request: Request) -> int:
    """Run what the claims lack, judge them and write the report; return the exit code."""
    err, out = consoles()
    if request.publish:
        require_marks(repository() / "README.md")  # a README without marks is refused before the runs
    if request.locations is not None:
        require_tracker(request.locations.tracking_uri)
    if request.quick:
        err.print(QUICK_LINE, style="yellow")
    article = Article(request, err)
    done = run_missing(article) if request.locations is not None else True
    with refusing_mixtures("no verdict"):
        while done and request.until_decided and add_look(article):
            done = run_missing(article)
        return max(0 if done else 1, write_report(article, out))


def write_report(article: Article, out: Console) -> int:
    """Judge the claims, write the report, log it to MLflow, and print where it is; return the exit code.

    Raises:
        BadInput: a file cannot be written.
        Incomparable: runs must not be compared.
    """
    request = article.request
    if request.publish:  # what is published rests on the committed runs alone, so that anyone gets the same
        write_files(data_folder(), data_files(article.evidence, article.looks), "the runs of the claims")
        article.use_committed()
    family, tracker = article.judge(), tracker_of(request)
    needs = {claim.id: article.needs([claim]) for claim in article.chosen}
    link = tracker.link if tracker is not None and not request.publish else None
    report = report_of(family, article.evidence, needs, article.looks.counts, link)
    files = report_files(report, family)
    write_files(request.out, files)
    if request.publish:
        readme = repository() / "README.md"
        write_files(readme.parent, {readme.name: new_readme(readme, report)}, "the table of claims")
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
