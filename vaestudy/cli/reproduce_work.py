"""The work of `vaestudy reproduce`, after its flags have been validated: the plan, and the table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vaestudy.cli.evidence_work import minutes, refusing_mixtures, run_missing, tracker_of
from vaestudy.cli.reproduce_request import ReproduceRequest
from vaestudy.evidence.collect import collect
from vaestudy.evidence.committed import csv_text, data_folder
from vaestudy.evidence.evidence import Evidence
from vaestudy.evidence.missing import at_scale, cost, count_runs
from vaestudy.evidence.needs import Need
from vaestudy.reporting.costs import SECONDS
from vaestudy.reporting.files import read_text, with_generated
from vaestudy.reproductions.comparison import PUBLISHED_ON, Comparison, comparisons
from vaestudy.reproductions.protocol import ESTIMATED, Protocol
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.reproductions.table import BEGIN, END, HEADINGS, markdown, rows
from vaestudy.runtime.console import consoles, print_uncut
from vaestudy.runtime.files import write_files
from vaestudy.tracking.mlflow_tracker import require_tracker

PAGE = "reproduce.md"
"""The name of the table's file."""
QUICK_LINE = (
    "--quick: few images, one or two epochs, two seeds, and at most 100 importance samples: a look, not a result"
)


@dataclass
class Reproduction:
    """The chosen protocols and their runs."""

    request: ReproduceRequest
    err: Console
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        self.collect()

    @property
    def chosen(self) -> list[Protocol]:
        """Return the protocols that the user asks for."""
        return [PROTOCOLS[name] for name in self.request.protocols]

    def needs(self, protocols: Iterable[Protocol]) -> list[Need]:
        """Return what protocols need, at the scale of the request."""
        request = self.request
        found = [one for each in protocols for one in each.needs(request.dataset, request.quick, request.seeds)]
        return at_scale(found, request.quick)

    @property
    def chosen_needs(self) -> list[Need]:
        """Return what the chosen protocols need."""
        return self.needs(self.chosen)

    def collect(self) -> None:
        """Find the runs of the chosen protocols, tracked or committed."""
        request = self.request
        self.evidence = collect(self.needs(self.chosen), request.dataset, request.quick, tracker_of(request))

    def use_committed(self) -> None:
        """Use the committed runs alone from now on."""
        self.evidence = collect(self.needs(self.chosen), self.request.dataset)

    def compare(self) -> list[Comparison]:
        """Return the comparisons of the chosen protocols.

        Raises:
            Incomparable: runs must not be compared.
        """
        return comparisons(self.chosen, self.evidence, self.request.seeds)


def show_plan(request: ReproduceRequest) -> int:
    """Print the runs that are there and those that are missing; return the exit code."""
    err, out = consoles()
    work = Reproduction(request, err)
    table = Table(title="runs of the protocols", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("protocol", "tracked", "committed", "missing", "minutes to go"):
        table.add_column(heading, justify="left" if heading in ("protocol", "minutes to go") else "right")
    for protocol in work.chosen:
        table.add_row(protocol.name, *_planned(work, [protocol]))
    table.add_section()
    table.add_row("all", *_planned(work, work.chosen))
    print_uncut(out, table)
    out.print("`vaestudy reproduce` runs what is missing.")
    return 0


def _planned(work: Reproduction, protocols: list[Protocol]) -> tuple[str, ...]:
    """Return the cells of the plan for some protocols: numbers of runs, and minutes."""
    needs = work.needs(protocols)
    counts = count_runs(needs, work.evidence)
    total = cost(needs, work.evidence, declared_seconds)
    return str(counts.tracked), str(counts.committed), str(counts.missing), minutes(total, work.request.options)


def declared_seconds(one: Need, dataset: str) -> tuple[float, str] | None:
    """Return (the seconds of a run that its protocol declares, ESTIMATED); None for other images."""
    if dataset != PUBLISHED_ON:
        return None
    (protocol,) = (each for each in PROTOCOLS.values() if each.study.name == one.study)
    return protocol.seconds(one), ESTIMATED


def make_table(request: ReproduceRequest) -> int:
    """Run what the protocols lack, compare, and write the table; return the exit code."""
    err, out = consoles()
    if request.publish:
        published(request, "")  # a page without marks is refused before the runs
    if request.locations is not None:
        require_tracker(request.locations.tracking_uri)
    if request.quick:
        err.print(QUICK_LINE, style="yellow")
    work = Reproduction(request, err)
    done = run_missing(work) if request.locations is not None else True
    with refusing_mixtures("no comparison"):
        write_table(work, out)
    return 0 if done else 1


def write_table(work: Reproduction, out: Console) -> None:
    """Compare, write the table, and print it and where it is.

    Raises:
        BadInput: a file cannot be written, or docs/reproduce.md has no marks for the table.
        Incomparable: runs must not be compared.
    """
    request = work.request
    if request.publish:  # what is published rests on the committed runs alone, so that anyone gets the same
        write_files(data_folder(), data_files(work), "the runs of the protocols")
        work.use_committed()
    found = work.compare()
    look = request.quick or request.dataset != PUBLISHED_ON
    text = markdown(found, look)
    if request.publish:
        text = published(request, text)
    write_files(request.out, {PAGE: text.encode()}, "the table")
    print_uncut(out, screen(found))
    out.print(f"table     {request.out / PAGE}")


def published(request: ReproduceRequest, text: str) -> str:
    """Return the text of docs/reproduce.md with another table.

    Raises:
        BadInput: it cannot be read, or has no marks for the table.
    """
    return with_generated(read_text(request.out / PAGE), text, (BEGIN, END), PAGE)


def data_files(work: Reproduction) -> dict[str, bytes]:
    """Return the committed files of the protocols' runs: name -> content; a protocol without runs has no file."""
    texts = {}
    for protocol in work.chosen:
        needs = work.needs([protocol])
        metrics = {number.metric for number in protocol.numbers} | {SECONDS}
        if text := csv_text(work.evidence, needs, metrics):
            texts[needs[0].file] = text.encode()
    return texts


def screen(found: list[Comparison]) -> Table:
    """Return the table for a terminal, without the last column, which the file has."""
    table = Table(title="published protocols, nats per image", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS[:-1]:
        table.add_column(heading, max_width=44)
    for cells in rows(found):
        table.add_row(*cells[:-1])
    return table
