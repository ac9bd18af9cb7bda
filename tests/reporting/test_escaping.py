"""Text as LaTeX, Markdown, HTML and on a terminal: any character is shown as it is, and breaks nothing."""

from __future__ import annotations

import html.parser
import io
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from vaestudy.reporting import export
from vaestudy.reporting.escaping import LATEX, latex, markdown_cell, markdown_line, one_text_line
from vaestudy.reporting.table_files import table_files
from vaestudy.reporting.tables.formats import LABELS
from vaestudy.reporting.tables.summary import Table
from vaestudy.runtime import console

SPECIAL = "\\&%#_^${}~<>|\"'`*[]!\n\r\x00\x85\u2028 -=Δ±µ–…«»a1"
ANY_TEXT = st.text(st.one_of(st.sampled_from(SPECIAL), st.characters(codec="utf-8")), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-115.41 ± 0.36", r"$-115.41 \pm 0.36$"), ("-4,671 ± 3", r"$-4{,}671 \pm 3$"), ("s_run ±", r"s\_run $\pm$"),
     ("5.66e9 ± 1.22e12", r"$5.66 \times 10^{9} \pm 1.22 \times 10^{12}$"), ("1e-05", "1e-05"), ("", ""),
     ("Δ log-lik.", r"$\Delta$ log-lik."), ("epochs to 95 %", r"epochs to 95 \%")],
)  # fmt: skip
def test_numbers_and_headings_in_latex(text: str, expected: str) -> None:
    assert latex(text) == expected


@pytest.mark.parametrize(
    ("character", "expected"),
    [("&", r"\&"), ("%", r"\%"), ("#", r"\#"), ("_", r"\_"), ("$", r"\$"), ("{", r"\{"), ("}", r"\}"),
     ("^", r"\textasciicircum{}"), ("~", r"\textasciitilde{}"), ("\\", r"\textbackslash{}"), ("<", "$<$"), (">", "$>$"),
     ("|", "$|$"), ('"', "''"), ("Δ", r"$\Delta$"), ("±", r"$\pm$"), ("µ", r"$\mu$"), ("–", "--"), ("…", r"\ldots{}"),
     ("«", "``"), ("»", "''"), ("é", "é"), ("\n", " "), ("\x00", " ")],
)  # fmt: skip
def test_each_character_in_latex(character: str, expected: str) -> None:
    assert latex(f"a{character}b") == f"a{expected}b"


def test_every_character_that_latex_reserves_is_escaped() -> None:
    assert set("\\&%#_^${}~") <= set(LATEX)


@pytest.mark.parametrize("text", ["[1cm]", "*", " [x]"])
def test_what_a_line_end_would_take_for_its_argument(text: str) -> None:
    assert latex(text).startswith("{}")


def columns_of(row: str) -> int:
    """Return the number of columns of a row of a LaTeX table; fail if the row would not compile."""
    depth, math, columns, rest = 0, False, 1, row
    while rest:
        token = re.match(r"\\[A-Za-z]+|\\.|.", rest)
        assert token is not None
        rest = rest[token.end() :]
        match token.group():
            case "{":
                depth += 1
            case "}":
                depth -= 1
                assert depth >= 0
            case "$":
                math = not math
            case "&":
                assert not math
                columns += 1
            case "_" | "^":
                assert math
            case r"\\":
                assert depth  # within a heading of several lines
            case one:
                assert one not in ("%", "#", "~", "\\")
    assert depth == 0
    assert not math
    return columns


@settings(deadline=None, max_examples=60)
@given(st.lists(ANY_TEXT, min_size=2, max_size=2, unique=True), st.lists(ANY_TEXT, min_size=2, max_size=2), ANY_TEXT)
def test_a_table_of_any_text_keeps_its_form(heads: list[str], cells: list[str], note: str) -> None:
    shown = pd.DataFrame([cells], columns=pd.Index(heads))
    files = table_files("table", Table(shown, shown, []), note, [note])
    lines = files["tables/table.tex"].decode().split("\n")
    (caption,) = (line for line in lines if line.startswith(r"\caption{"))
    assert columns_of(caption.replace("&", "").removeprefix(r"\caption")) == 1
    inside = lines[next(i for i, line in enumerate(lines) if line.startswith(r"\begin{tabular}{@{}")) :]
    assert inside[-1] == ""
    rows = [line.removesuffix(r" \\") for line in inside if line.endswith(r"\\")]
    assert [columns_of(row) for row in rows] == [2, 2]
    table = [line for line in files["tables/table.md"].decode().split("\n") if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table] == [3, 3, 3]


class Texts(html.parser.HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_holds_no_tag_of_the_text() -> None:
    shown = pd.DataFrame([["<i>&amp;"]], columns=["<b>head"])
    page = Texts(table_files("table", Table(shown, shown, []), "<u>title", ["<s>note"])["tables/table.html"].decode())
    assert not {"i", "b", "u", "s"} & set(page.tags)
    for text in ("<i>&amp;", "<b>head", "<u>title", "<s>note"):
        assert text in page.text


@pytest.mark.parametrize(
    ("text", "cell", "line"),
    [
        ("a|b", r"a\|b", "a|b"),
        ("a\nb", "a b", "a b"),
        ("a\\|b", r"a\\\|b", "a\\|b"),
        ("<b>x", r"\<b>x", r"\<b>x"),
        ("units with sigma < 0", "units with sigma < 0", "units with sigma < 0"),
        ("*a* `b`", r"\*a\* \`b\`", "*a* `b`"),
        ("&lt; a & b", r"\&lt; a & b", "&lt; a & b"),
        ("latent_dim -115.41 ± 0.36", "latent_dim -115.41 ± 0.36", "latent_dim -115.41 ± 0.36"),
    ],
)
def test_markdown(text: str, cell: str, line: str) -> None:
    assert (markdown_cell(text), markdown_line(text)) == (cell, line)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_comment_stays_on_one_line(end: str) -> None:
    assert len(one_text_line(f"a{end}b").splitlines()) == 1


def test_labels_need_no_escape_in_markdown() -> None:
    assert [text for text in LABELS.values() if markdown_cell(text) != text] == []


@pytest.mark.parametrize("text", ["What of E[x|z]?", "[/red]", "[bold]", ":smile:"])
def test_a_terminal_shows_brackets(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(pd.DataFrame({"a": [text]}), pd.DataFrame({"a": [text]}), [])
    console.print_uncut(Console(), export.screen(table, text))
    for one in console.consoles():
        one.print(text)
    with console.progress(Console(file=io.StringIO(), force_terminal=True)) as bar:
        bar.add_task(text, total=1, shown=text)
    captured = capsys.readouterr()
    assert captured.out.count(text) == 3
    assert text in captured.err
