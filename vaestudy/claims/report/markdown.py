"""The report as Markdown, and the table of claims in the README."""

from __future__ import annotations

from collections.abc import Iterable

from vaestudy.claims.report.contents import ArmEntry, ClaimEntry, Report
from vaestudy.reporting.escaping import markdown_cell, markdown_line
from vaestudy.reporting.files import markdown_table, with_generated

BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"
"""The marks in the README. The text between them is generated."""
PICTURES = "claims"
"""The folder of the pictures beside the Markdown file."""
PART_HEADINGS = ("part", "holds if shown to be", "answer", "estimate", "n", "interval", "p holds", "p fails")


def markdown(report: Report, texts: dict[str, str]) -> str:
    """Return the report as Markdown.

    Args:
        report: the contents.
        texts: name of a claim -> what its picture shows, for readers who do not see it.
    """
    lines = [f"# {report.title}", ""]
    for note in report.notes:
        lines += [markdown_line(note), ""]
    lines += [*_summary(report.claims, ""), ""]
    for claim in report.claims:
        lines += _section(claim, texts[claim.id])
    lines += ["## The runs behind the numbers", ""]
    for arm in report.arms:
        lines += [*_arm(arm), ""]
    return "\n".join(lines).rstrip() + "\n"


def readme_table(report: Report) -> str:
    """Return what stands between the marks in the README: a sentence on the method, and the table of claims."""
    about = (
        "What the article says was turned into questions, each with a criterion that was fixed before the data "
        "([how](docs/article.md)). An answer **holds** or **fails** if a one-sided test at 2.5 % shows it. It "
        "**depends** if some parts of the claim hold and others fail, and is **undecided** otherwise. Numbers in "
        "brackets are 95 % intervals over seeds. Each name leads to all parts of the claim and their runs."
    )
    made = f"{report.notes[0]} The command `vaestudy article --offline --publish` writes this table."
    return "\n".join([about, "", *_summary(report.claims, "docs/claims.md"), "", markdown_line(made), ""])


def with_table(readme: str, table: str) -> str:
    """Return the text of a README with another table between its marks.

    Raises:
        BadInput: the marks are not there, once each and in this order.
    """
    return with_generated(readme, table, (BEGIN, END), "README.md")


def _summary(claims: Iterable[ClaimEntry], page: str) -> list[str]:
    """Return the table of all claims; the name of a claim links to its section of a page."""
    rows = [
        (f"[{c.id}]({page}#{c.anchor})", markdown_cell(c.words),
         f"**{c.verdict}.** {markdown_cell(c.summary)}", markdown_cell(c.sure))
        for c in claims
    ]  # fmt: skip
    return markdown_table(("claim", "the article says", "what was found", "how sure"), rows)


def _section(claim: ClaimEntry, text: str) -> list[str]:
    """Return the section of a claim."""
    rows = [
        [markdown_cell(cell) for cell in (f"{p.question}{f' ({p.role})' if p.role else ''}", p.asked, p.answer,
                                          p.estimate, p.n, p.how, p.p_holds, p.p_fails)]
        for p in claim.parts
    ]  # fmt: skip
    said = [f"* **{p.answer}**{f' ({p.role})' if p.role else ''}: {markdown_line(p.sentence)}." for p in claim.parts]
    reasons = [f"* {markdown_line(why)}" for why in dict.fromkeys(part.why for part in claim.parts)]
    arms = "; ".join(dict.fromkeys(f"[{markdown_cell(a.name)}](#{a.anchor})" for p in claim.parts for a in p.arms))
    return [
        f'<a id="{claim.anchor}"></a>',
        "",
        f"## {claim.id}: {markdown_line(claim.words)}",
        "",
        f"{markdown_line(claim.asked)} **{claim.verdict}.** {markdown_line(claim.summary)}",
        "",
        f"How sure: {markdown_line(claim.sure_in_full)}.",
        "",
        "What each part has shown:",
        "",
        *said,
        "",
        f"![{_alternative_text(text)}]({PICTURES}/{claim.id}.png)",
        "",
        *markdown_table(PART_HEADINGS, rows),
        "",
        "Why these criteria:",
        "",
        *reasons,
        "",
        f"Runs: {arms}. Command: `{claim.command}`. {markdown_line(claim.figure)}",
        "",
    ]


def _arm(arm: ArmEntry) -> list[str]:
    """Return the lines of an arm."""
    runs = ", ".join(
        f"{run.seed}: " + (f"[{run.shown}]({run.link})" if run.link else f"`{run.id}`") + " (diverged)" * run.diverged
        for run in arm.runs
    )
    source = f" from {', '.join(arm.sources)}, code {', '.join(arm.revisions)}" if arm.sources else ""
    return [
        f'<a id="{arm.anchor}"></a>**{markdown_line(arm.name)}**: {len(arm.runs)} runs{source}, {arm.seeds} seeds are '
        f"needed. `{arm.command}`" + (f" Runs by seed: {runs}" if runs else ""),
    ]


def _alternative_text(text: str) -> str:
    """Return a picture's alternative text, escaped for Markdown, with its square brackets."""
    return markdown_line(text).replace("[", r"\[").replace("]", r"\]")
