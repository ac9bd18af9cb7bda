"""LaTeX of a table: symbols, aligned numbers, what is bold, columns that keep the books, and that it compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.reporting.test_summary import STUDY, VALUES, runs
from vaestudy.reporting import runs_frame
from vaestudy.reporting.latex_numbers import padded, s_column
from vaestudy.reporting.latex_table import LONG, LatexStyle, heading, latex_table, without_books
from vaestudy.reporting.tables import best, summary
from vaestudy.reporting.tables.formats import LABELS
from vaestudy.reporting.tables.summary import Table

PACKAGES = ("booktabs", "threeparttable", "longtable", "rotating", "siunitx")
ARTICLE_TABLE = {
    "latent_dim": ["2", "3", "50"],
    "ELBO": ["-155.13 ± 0.78", "-142.25 ± 0.76", "-106.77 ± 0.29"],
    "Δ ELBO": ["", "+12.88 ± 0.97", "+48.37 ± 0.62"],
    "log-lik.": ["-149.50 ± 1.02", "-134.69 ± 0.82", "-81.53 ± 0.37"],
    "KL": ["5.64 ± 0.25", "7.56 ± 0.23", "25.24 ± 0.19"],
    "IWAE 100": ["-152.64 ± 0.65", "-140.24 ± 0.78", "-102.13 ± 0.16"],
    "active units": ["2.0 ± 0.0", "3.0 ± 0.0", "31.4 ± 4.2"],
    "seeds": ["5", "5", "5"],
    "failed": ["0", "0", "0"],
    "s/run": ["30.5", "31.2", "30.9"],
}
"""The columns of the README's table."""


def paper_table() -> Table:
    shown = pd.DataFrame(ARTICLE_TABLE)
    return Table(shown, shown, [], {"IWAE 100": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latent_dim", "$D$"),
        ("minibatch", "$M$"),
        ("samples", "$L$"),
        ("ELBO", "ELBO"),
        ("Δ IWAE 100", r"$\Delta$ IWAE$_{100}$"),
        ("learning_rate", "learning rate"),
        ("unclear samples", "unclear samples"),
        ("encoder: Var_eps, L=1", r"encoder: $\mathrm{Var}_{\varepsilon}$, $L=1$"),
        ("abs(log-lik.)/KL", "$|$log-lik.$|$/KL"),
        ("Δ: mean difference to latent_dim=2, sigma=raw", r"$\Delta$: mean difference to $D=2$, $\sigma$=raw"),
        ("to learning_rate=0.001.", "to learning rate=$0.001$."),
        ("likelihood=beta", "likelihood=beta"),
        ("ELBO -111.69 ± 0.13, ELBO - KL", r"ELBO $-111.69 \pm 0.13$, ELBO $-$ KL"),
        ("ELBO -1.53e32 ± 3.5e+31", r"ELBO $-1.53 \times 10^{32} \pm 3.5 \times 10^{31}$"),
        ("learning_rate=1e-05 beats 0.5", r"learning rate=$1 \times 10^{-5}$ beats 0.5"),
        ("at 5. Then", "at 5. Then"),
        ("hidden=64x32", "hidden=64x32"),
    ],
)
def test_symbols(text: str, expected: str) -> None:
    assert heading(text) == expected


def test_decimals_and_intervals_stand_below_each_other() -> None:
    assert padded(["-155.1 ± 10.5", "", "+4.87", "3 ± 0.25"]) == [
        r"$-155.1\phantom{0} \pm 10.5\phantom{0}$",
        "",
        r"$+4.87\phantom{{} \pm 10.5}$",
        r"$3\phantom{.00} \pm \phantom{0}0.25$",
    ]
    assert padded(["1 ± 0.1", "2 ± 0.1"], bold=1) == [r"$1 \pm 0.1$", r"$\mathbf{2 \pm 0.1}$"]
    assert padded(["193,000 ± 40,000", "9 ± 1"])[0] == r"$193{,}000 \pm 40{,}000$"
    assert padded(["raw", "1e-05", "0.001"]) == ["raw", r"$1 \times 10^{-5}$", "$0.001$"]


def test_columns_of_siunitx() -> None:
    kind, entries = s_column(["-155.13 ± 10.78", "", "+4.87 ± 0.29"], bold=2) or ("", [])
    assert kind == "S[table-format=+3.2(4)]"
    assert entries == ["-155.13 +- 10.78", "", r"\bfseries +4.87 +- 0.29"]
    assert s_column(["2", "10"]) == ("S[table-format=2]", ["2", "10"])
    assert s_column(["raw", "1"]) is None
    assert s_column(["1e-05"]) is None
    assert s_column(["2.0 ± 0.0", "3.0 ± 0.1"]) is None  # siunitx would leave ± 0.0 out
    assert s_column(["193 ± 0.1"]) is None  # another unit of the last digit
    assert s_column(["", ""]) is None


def test_the_columns_that_keep_the_books() -> None:
    shown, seeds = without_books(pd.DataFrame(ARTICLE_TABLE))
    assert (list(shown)[-1], seeds) == ("active units", "Means over 5 seeds.")
    changed = pd.DataFrame(ARTICLE_TABLE | {"seeds": ["5", "4", "5"], "failed": ["0", "1", "0"]})
    shown, seeds = without_books(changed)
    assert (list(shown)[-2:], seeds) == (["seeds", "failed"], "")
    assert without_books(pd.DataFrame({"seeds": ["1", "1"]}))[1] == "One seed."
    text = latex_table(paper_table(), "Title", [], "tab:x", LatexStyle(bookkeeping=True))
    assert "& {seeds} & {failed} & {s/run}" in text
    assert r"{\shortstack{active \\ units}}" in text  # the heading is wider than its entries
    assert "Means over" not in text


def test_a_table_that_is_pasted() -> None:
    text = latex_table(paper_table(), "How many? (mnist)", ["latent_dim=2 is small.", "Code: abc (clean)."], "tab:a-b")
    assert "% Code: abc" in text
    assert text.count("Code") == 1
    assert r"\label{tab:a-b}" in text
    assert r"\caption{How many? (mnist). Means over 5 seeds. Bold: " in text
    assert r"\item $D=2$ is small." in text
    assert r"$\mathbf{-102.13 \pm 0.16}$" in text
    assert text.count("mathbf") == 1
    assert r"\begin{table}" in text


def test_a_table_that_is_too_wide_is_turned_and_a_long_one_breaks() -> None:
    shown = pd.DataFrame({f"column {i}": ["-155.13 ± 0.78"] for i in range(9)})
    assert r"{\shortstack{epochs to \\ common \\ target}}" in latex_table(
        Table(pd.DataFrame(), pd.DataFrame({"epochs to common target": ["6.3 ± 1.43210"]}), []), "T", [], "tab:x"
    )
    assert r"\begin{sidewaystable}" in latex_table(Table(shown, shown, []), "T", [], "tab:x")
    shown = pd.DataFrame({"D": [str(i) for i in range(LONG + 1)]})
    assert r"\begin{longtable}" in latex_table(Table(shown, shown, []), "T", ["note"], "tab:x")


def cells(*values: tuple[float, ...], failed: int = -1) -> list[pd.DataFrame]:
    """Return the runs of some rows; the last run of the row `failed` has failed."""
    found = []
    for row, own in enumerate(values):
        status = ["FINISHED"] * len(own)
        if row == failed:
            status[-1] = "FAILED"
        found.append(pd.DataFrame({"seed": range(len(own)), "status": status, "test/elbo": own, "test/mse": own}))
    return found


@pytest.mark.parametrize(
    ("rows", "metric", "failed", "expected"),
    [
        (((-10.0, -11.0, -10.5), (-5.0, -6.1, -5.4), (-20.0, -20.5, -21.0)), "test/elbo", -1, 1),
        (((-10.0, -11.0, -10.5), (-5.0, -6.1, -5.4), (-20.0, -20.5, -21.0)), "test/mse", -1, 2),
        (((-10.0, -11.0, -10.5), (-5.0, -6.1, -5.4), (-5.5, -5.9, -5.2)), "test/elbo", -1, None),  # two alike
        (((-10.0, -11.0, -10.5), (-5.0, -6.1, -5.4)), "test/elbo", 1, None),  # the best has a failed run
        (((-10.0, -11.0, -10.5), (-5.0, -6.1, -5.4)), "test/elbo", 0, 1),
        (((-10.0,), (-5.0,)), "test/elbo", -1, None),  # one seed
        (((-10.0, -11.0),), "test/elbo", -1, None),  # one row
    ],
)
def test_which_row_is_the_best(
    rows: tuple[tuple[float, ...], ...], metric: str, failed: int, expected: int | None
) -> None:
    assert best.best_row(cells(*rows, failed=failed), metric) == expected


@pytest.mark.parametrize(
    ("metric", "sign"),
    [("test/elbo", 1), ("test/iwae_5000", 1), ("test/bits_per_dim", -1), ("test/kl", 0), ("test/log_likelihood", 0),
     ("test/elbo_se", 0), ("train/elbo", 0), ("test/active_units", 0), ("test/mass_at_0", 0), ("seconds/train", 0)],
)  # fmt: skip
def test_which_direction_is_better(metric: str, sign: int) -> None:
    assert best.sign_of(metric) == sign


def test_equal_rows_are_rarely_told_apart() -> None:
    """Of rows that are equal, one is called the best in at most 5 % of studies (with two rows in 5 %)."""
    import numpy as np

    draws = np.random.default_rng(3).normal(size=(400, 2, 5))
    called = [best.best_row(cells(*map(tuple, rows)), "test/elbo") is not None for rows in draws]
    assert abs(np.mean(called) - 0.05) < 4 * (0.05 * 0.95 / 400) ** 0.5


def test_the_summary_says_which_row_is_the_best() -> None:
    table = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY)
    assert table.best == {"ELBO": 1}  # KL has no direction


def missing() -> str:
    """Return why LaTeX cannot be compiled here; empty if it can."""
    if not shutil.which("pdflatex"):
        return "" if shutil.which("tectonic") else "neither pdflatex nor tectonic is installed"
    found = {name: subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True, check=False) for name in PACKAGES}
    lacking = [name for name, done in found.items() if done.returncode]
    return f"LaTeX lacks {', '.join(lacking)}" if lacking else ""


def compiled(text: str, folder: Path) -> str:
    """Compile an article with some LaTeX; return the log of the compiler."""
    head = r"\documentclass{article}" + "".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    (folder / "paper.tex").write_text(f"{head}\n\\begin{{document}}\n{text}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"] if shutil.which("pdflatex") else ["tectonic"]
    done = subprocess.run([*command, "paper.tex"], cwd=folder, capture_output=True, check=False, timeout=240)
    shown = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if command == ["tectonic"] and done.returncode and re.search("download|connect|network|resolve", shown):
        pytest.skip("tectonic has no packages on disk and cannot download them")
    assert done.returncode == 0, shown[-3000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return shown


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_it_compiles(tmp_path: Path) -> None:
    """All kinds of tables in one document: none has an error, and the README's table fits the width of the page."""
    labels = pd.DataFrame({"heading": [*LABELS.values(), "Var_eps, L=1", "Δ IWAE 100", "«a» & 50 % of #1 ~ x_y^2 <>|"]})
    labels["learning_rate"] = (["0.001", "1e-05", "5.66e9 ± 1.22e12", ""] * len(labels))[: len(labels)]
    wide = pd.DataFrame({f"column {i}": ["-155.13 ± 0.78", "1 ± 0.2"] for i in range(9)})
    long = pd.concat([pd.DataFrame(ARTICLE_TABLE)] * 30, ignore_index=True)
    study = summary.summarise(runs_frame.tidy_runs(runs(VALUES), STUDY), STUDY)
    notes = [*study.notes, "|x - E[x|z]|^2 / |x|^2, «> N», beta_1 & 95 % ± µ — …"]
    text = ""
    for style in (LatexStyle(), LatexStyle(siunitx=True), LatexStyle(bookkeeping=True)):
        text += latex_table(paper_table(), "How many? (mnist)", notes, "tab:a", style)
        text += latex_table(Table(labels, labels, []), "Labels_and signs", notes, "tab:b", style)
        text += latex_table(Table(wide, wide, [], {"column 1": 0}), "Wide", notes, "tab:c", style)
        text += latex_table(Table(long, long, []), "Long", notes, "tab:d", style)
        text += latex_table(study, "The study", notes, "tab:e", style) + "\\clearpage\n"
    compiled(text.replace("tab:", "tab:x"), tmp_path)
    for style in (LatexStyle(), LatexStyle(siunitx=True)):
        log = compiled(latex_table(paper_table(), "How many? (mnist)", notes, "tab:a", style), tmp_path)
        assert "Overfull" not in log
