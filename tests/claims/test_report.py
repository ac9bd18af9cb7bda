"""The report on the claims: complete, escaped, without anything from elsewhere, and the same for the same runs."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.evidence import evidence
from tests.support.reports import all_runs, link, report_on
from vaestudy.claims.c04 import DRAWS_ONE_EPOCH
from vaestudy.claims.criterion import Below, Exceeds, Within
from vaestudy.claims.family import judge_family
from vaestudy.claims.looks import COMMITTED, Looks
from vaestudy.claims.registry import CLAIMS
from vaestudy.claims.report.contents import Report, command_of, report_of
from vaestudy.claims.report.figure import alternative_text, claim_figure, limits
from vaestudy.claims.report.files import PAGE, TEXT, data_files, report_files
from vaestudy.claims.report.logged import EXPERIMENT, log_report
from vaestudy.claims.report.markdown import BEGIN, END, markdown, readme_table, with_table
from vaestudy.claims.report.page import web_page
from vaestudy.claims.report.texts import p_sentence, p_text
from vaestudy.cli.study import study_main
from vaestudy.errors import BadInput
from vaestudy.evidence.evidence import SOURCE
from vaestudy.reporting.pages import Picture
from vaestudy.runtime import addresses
from vaestudy.runtime.files import write_files
from vaestudy.tracking.mlflow_tracker import Tracker

VOID = {"meta", "link", "img", "br"}
SOME = [CLAIMS[name] for name in ("C4", "C5", "C14")]


class Page(HTMLParser):
    """What tests ask of a page. A tag that is not closed, or closed in the wrong order, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def report() -> Report:
    return report_on(all_runs(), looks={"C3": 3})[0]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    some, family = report_on(all_runs("C4", "C5", "C14"), SOME)
    return report_files(some, family)


def pictures(report: Report) -> dict[str, Picture]:
    return {claim.id: Picture(b"png", "a picture") for claim in report.claims}


def test_the_page_is_whole_and_stands_alone(report: Report) -> None:
    page = Page(text := web_page(report, pictures(report)))
    anchors = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    links = [attributes["href"] for attributes in page.all("a")]
    inside = {address[1:] for address in links if address.startswith("#")}
    assert inside <= anchors
    assert {claim.anchor for claim in report.claims} | {arm.anchor for arm in report.arms} <= inside
    runs = [run for arm in report.arms for run in arm.runs]
    assert len(runs) == sum(arm.seeds for arm in report.arms)
    assert {run.link for run in runs} == {address for address in links if not address.startswith("#")}
    assert {image["src"][:22] for image in page.all("img")} == {"data:image/png;base64,"}
    assert not page.all("script")
    assert {each["href"] for each in page.all("link")} == {"data:,"}
    assert not re.search(r"@import|url\(", text)


def test_the_page_can_be_used_without_eyes_or_mouse(report: Report) -> None:
    page = Page(web_page(report, pictures(report)))
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) == 1 + len(report.claims)
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    headings = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert page.all("a")[0]["href"] == "#main"


def test_all_text_is_escaped() -> None:
    report, _ = report_on(all_runs("C14"), [CLAIMS["C14"]])
    evil = "</td><script>alert('x')</script>| `a` & <b>"
    (claim,) = report.claims
    parts = tuple(replace(part, question=evil, why=evil, estimate=evil, sentence=evil) for part in claim.parts)
    (bad,) = (replace(report, claims=(replace(claim, words=evil, summary=evil, parts=parts),)),)
    text = web_page(bad, {"C14": Picture(b"", evil)})
    assert not Page(text).all("script")
    assert "&lt;script&gt;" in text
    rows = [line for line in markdown(bad, {"C14": evil}).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 9}
    assert "<script" not in re.sub(r"\\<", "", markdown(bad, {"C14": evil}))


def test_the_markdown_has_every_claim_part_and_run(report: Report) -> None:
    text = markdown(report, dict.fromkeys(CLAIMS, "a picture"))
    anchors = set(re.findall(r'<a id="([^"]+)">', text))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) == anchors
    assert set(re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)) == {f"claims/{name}.png" for name in CLAIMS}
    for claim in report.claims:
        assert f"## {claim.id}: " in text
        assert all(f"| {part.question}" in text for part in claim.parts)
    assert all(run.link in text for arm in report.arms for run in arm.runs)


def test_each_command_makes_the_runs_of_its_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that is given the flags has the cells of the need, in the sweep of the need."""
    from vaestudy.cli import commands
    from vaestudy.evidence.needs import declared_study

    asked = []
    monkeypatch.setattr(commands, "run_study", lambda sweep, plan, *rest: asked.append((sweep, plan)) or 0)
    monkeypatch.setattr("vaestudy.sweep.preparation.resolve", lambda base, root: (base.with_changes(
        valid_size=500 if base.valid_size is None else base.valid_size,
        epochs=75 if base.epochs is None else base.epochs), None))  # fmt: skip
    for quick in (False, True):
        for one in (DRAWS_ONE_EPOCH, *CLAIMS["C9"].needs, *CLAIMS["C5"].needs[:2], *CLAIMS["C1"].needs[:1]):
            command = re.fullmatch(r'make study-([a-z-]+) ARGS="(.*)"', command_of(one, "mnist-5k", quick))
            assert command is not None
            assert study_main(declared_study(command[1]), [*command[2].split(), "--yes"]) == 0
            sweep, plan = asked.pop()
            assert [c.config.key for c in plan.cells({})] == [c.config.key for c in one.cells("mnist-5k", quick)]
            assert sweep.base_name == one.sweep("mnist-5k", quick).base_name


def test_the_correction_is_reported_for_the_claims_of_the_report_alone() -> None:
    family = report_on(all_runs())[1]
    differing = [each.alone.claim for each in family if each.differs]
    same = next(each.alone.claim for each in family if not each.differs)
    assert differing, "the runs of this test must hold a claim whose verdict the correction changes"
    assert f"{differing[0].id} would be undecided." in " ".join(report_on(all_runs(), differing[:1])[0].notes)
    assert "Holm's correction for all claims changes no verdict." in report_on(all_runs(), [same])[0].notes


def test_a_claim_without_runs_says_so() -> None:
    report, _ = report_on(evidence(), [CLAIMS["C14"]])
    (claim,) = report.claims
    assert (claim.verdict, claim.summary) == ("undecided", "Not measured yet: its runs are missing.")
    assert claim.sure == claim.sure_in_full == "runs are missing"
    assert "60 of the runs that the claims need are missing" in report.notes[0]
    assert "seed 0" not in web_page(report, pictures(report))


def test_committed_runs_have_no_link() -> None:
    report, _ = report_on(all_runs("C14", **{SOURCE: "latent-dims.csv"}), [CLAIMS["C14"]])
    assert {run.link for arm in report.arms for run in arm.runs} == {""}
    assert {arm.sources for arm in report.arms} == {("latent-dims.csv",)}
    assert "60 runs in 6 arms, all read from docs/data." in report.notes[0]
    text = web_page(report, pictures(report))
    assert all(run.id in text for arm in report.arms for run in arm.runs)


def test_the_same_runs_give_the_same_bytes(files: dict[str, bytes]) -> None:
    some, family = report_on(all_runs("C4", "C5", "C14"), SOME)
    assert report_files(some, family) == files
    assert set(files) == {PAGE, TEXT, "claims/C4.png", "claims/C5.png", "claims/C14.png"}
    assert all(len(content) < 100_000 for name, content in files.items() if name.endswith(".png"))


def test_a_quick_report_is_marked_everywhere() -> None:
    runs = all_runs("C14")
    _, family = report_on(runs, [CLAIMS["C14"]])
    quick = replace(report_on(runs, [CLAIMS["C14"]])[0], quick=True)
    assert 'class="quick"' in web_page(quick, pictures(quick))
    title = claim_figure(family[-1].alone, True).get_suptitle()
    assert "NOT A RESULT" in title
    assert "NOT A RESULT" not in claim_figure(family[-1].alone, False).get_suptitle()


def test_the_figure_has_a_row_for_each_part_and_its_threshold() -> None:
    _, family = report_on(all_runs("C4"), [CLAIMS["C4"]])
    verdict = family[3].alone
    figure = claim_figure(verdict, False)
    assert [len(ax.get_yticks()) for ax in figure.axes] == [3, 2]
    assert [ax.get_xlabel() for ax in figure.axes] == ["nats", "times (ratio)"]
    top = figure.axes[0]
    drawn = [line.get_xdata() for line in top.get_lines()]
    first = verdict.parts[0].estimate
    assert first is not None
    assert any(list(x) == [first.low, first.high] for x in drawn)
    assert any(list(x) == [-0.5, -0.5] for x in drawn)
    text = alternative_text(verdict)
    assert all(part.part.name in text for part in verdict.parts)


def test_limits_of_criteria() -> None:
    assert limits(Exceeds("nats", "", 0.5)) == (0.5, math.inf)
    assert limits(Below("nats", "", 0.5)) == (-math.inf, 0.5)
    assert limits(Within("nats", "", -0.5, 0.5)) == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.01234, "0.012"), (1e-9, "< 0.001"), (0.0014, "0.001"), (0.0998, "0.10"), (0.9999, "1"), (0.5, "0.50")],
)
def test_p_values(p: float, text: str) -> None:
    assert p_text(p) == text
    assert p_sentence(p) == (f"p {text}" if p < 1e-3 else f"p = {text}")


def test_the_readme_gets_the_table_between_its_marks(report: Report) -> None:
    table = readme_table(report)
    assert table.count("\n| [C") == 14
    assert "(docs/claims.md#c14)" in table
    text = with_table(f"before\n{BEGIN}\nformer table\n{END}\nafter\n", table)
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "former table" not in text
    assert with_table(text, table) == text


def test_the_table_of_the_readme_is_short(report: Report) -> None:
    """One sentence a claim, also where most claims are undecided, and nothing of it twice."""
    for claim in report.claims:
        assert len(claim.summary) < 320
        assert claim.summary.count("(asked: ") <= 1
        assert len(re.findall(r" to [\d,.-]+( \w+)?\)", claim.summary)) <= 2
        assert "Holm" not in claim.sure or claim.verdict != "undecided"


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + END + END, BEGIN + BEGIN + END])
def test_a_readme_without_marks_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"README\.md: must have the lines"):
        with_table(text, "table")


def test_the_runs_behind_a_report_give_it_again(tmp_path: Path) -> None:
    """The committed files give the same verdicts and the same table."""
    from vaestudy.evidence.collect import collect

    runs = all_runs()
    looks = Looks({"C3": [{"m-vs-l (samples=1)": 12}]})
    write_files(tmp_path, data_files(runs, looks))
    assert Looks.read(tmp_path / "looks.json").counts == looks.counts
    again = collect([one for claim in CLAIMS.values() for one in claim.needs], "mnist", folder=tmp_path)
    before, after = (readme_table(report_on(each, looks=looks.counts)[0]) for each in (runs, again))
    assert re.findall(r"^\|.*", before, re.MULTILINE) == re.findall(r"^\|.*", after, re.MULTILINE)
    assert "386 runs in 51 arms, all read from docs/data" in after


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written to .*file"):
        write_files(tmp_path / "file", {"a": b""})


def test_a_report_is_logged_once(files: dict[str, bytes]) -> None:
    runs = all_runs("C4", "C5", "C14")
    _, family = report_on(runs, SOME)
    tracker = Tracker(addresses.tracking_uri(None))
    experiment, run_id = log_report(tracker, runs, family, files)
    assert experiment == tracker.experiments()[EXPERIMENT]
    assert log_report(tracker, runs, family, files) == (experiment, run_id)
    row = tracker.get(run_id)
    assert (row["status"], row["tags.role"], row["tags.data.name"]) == ("FINISHED", "article", "mnist")
    assert row["tags.verdict.C14"] == family[-1].alone.verdict
    assert row["metrics.claims/C14/p"] == pytest.approx(family[-1].alone.p)
    assert sum(row[f"metrics.claims/{name}"] for name in ("holds", "fails", "depends", "undecided")) == 14
    assert tracker.read_file(run_id, "claims/C4.png") == files["claims/C4.png"]
    other = files | {PAGE: b"other"}
    assert log_report(tracker, runs, family, other)[1] != run_id
    tracker.reopen(run_id)  # as if the process had been killed before the end
    assert log_report(tracker, runs, family, files)[1] == run_id
    assert tracker.get(run_id)["status"] == "FINISHED"


def test_links_are_those_of_the_tracker() -> None:
    report, _ = report_on(all_runs("C14"), [CLAIMS["C14"]])
    run = report.arms[0].runs[0]
    assert run.link == link("7", run.id)


def test_the_readme_is_in_step_with_the_committed_runs() -> None:
    """`vaestudy article --offline --publish` mends it."""
    from vaestudy.evidence.collect import collect
    from vaestudy.evidence.committed import data_folder
    from vaestudy.runtime.project import repository

    if not any((data_folder() / one.file).is_file() for claim in CLAIMS.values() for one in claim.needs):
        pytest.skip("docs/data has no runs yet")
    looks = Looks.read(data_folder() / COMMITTED)
    needs = {claim.id: looks.needs(claim) for claim in CLAIMS.values()}
    runs = collect([one for some in needs.values() for one in some], "mnist")
    family = judge_family(CLAIMS.values(), runs, looks.counts)
    readme = (repository() / "README.md").read_text(encoding="utf-8")
    assert with_table(readme, readme_table(report_of(family, runs, needs, looks.counts))) == readme
