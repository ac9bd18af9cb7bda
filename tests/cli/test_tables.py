"""Tests of `vaestudy tables`: tables of differences, LaTeX's flags, and what is refused before anything slow begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.test_layering import SLOW
from vaestudy.cli.main import main
from vaestudy.runtime import addresses
from vaestudy.tracking.recorded_cells import recorded_cells

FILE = "against-latent_dim=3"


def folder_of(store: Path) -> Path:
    return store / "tables" / "toy" / "mnist-5k"


def test_a_table_of_differences(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "toy", "--against", "latent-dim=3"]) == 0
    out = " ".join(capsys.readouterr().out.split())  # a narrow terminal wraps the title
    assert "Differences to latent_dim=3 (mnist-5k)" in out
    assert f"{FILE}.csv .md .tex .html" in out
    full = pd.read_csv(folder_of(store) / f"{FILE}.csv")
    assert full["latent_dim"].tolist() == [2]
    own = pd.read_csv(folder_of(store) / "table.csv").set_index("latent_dim")
    difference = own.loc[2, "test/elbo"] - own.loc[3, "test/elbo"]
    assert full["test/elbo_diff"][0] == pytest.approx(difference)
    for sign, row in ((1, full.loc[0]), (-1, own.loc[3])):
        assert row["test/elbo_mixed"] == pytest.approx(sign * difference, abs=1e-3)  # the scores are float32
        assert row["test/elbo_mixed_ci95"] > 0
        assert (row["test/elbo_mixed_seeds"], row["test/elbo_mixed_images"]) == (2, 30)
    assert f"{difference:+.2f} ± " in (folder_of(store) / f"{FILE}.md").read_text(encoding="utf-8")
    assert not list(folder_of(store).glob("*.part"))


def test_columns_cells_and_flags_of_latex(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "tables toy --against latent_dim=3 --cells latent_dim=2 --columns elbo,test/iwae_3 kl --siunitx"
    assert main([*command.split(), "--sweep", "mnist-5k"]) == 0
    (file,) = folder_of(store).glob("against-*.tex")
    assert file.stem == "against-latent_dim=3-latent_dim=2-test-elbo-test-iwae_3-test-kl"
    text = file.read_text(encoding="utf-8")
    heads = next(line for line in text.splitlines() if line.startswith("{$D$}"))
    plain = [name for name in heads.removesuffix(r" \\").split(" & ") if "mixed" not in name]
    assert plain == ["{$D$}", r"{$\Delta$ ELBO}", r"{$\Delta$ IWAE$_{3}$}", r"{$\Delta$ KL}"]
    assert heads.count("mixed") == 2
    assert "S[table-format=" in text
    assert main(["tables", "toy", "--siunitx", "--bookkeeping"]) == 0
    text = (folder_of(store) / "table.tex").read_text(encoding="utf-8")
    assert "S[table-format=" in text
    assert "{seeds} & {failed} & {s/run}" in text


BAD = [
    ("--against latent_dim=9", ["level of latent_dim '9'", "choose from: 2, 3"]),
    ("--against latent_dims=3", ["'latent_dims'", "did you mean 'latent_dim'"]),
    ("--against samples=1", ["factor of toy 'samples'", "latent_dim"]),
    ("--against latent_dim=x", ["latent_dim x", "whole number"]),
    ("--against latent_dim", ["is no FIELD=LEVEL"]),
    ("--against latent_dim=2,latent_dim=3", ["named twice"]),
    ("--against latent_dim=3 --cells latent_dim=4", ["--cells", "'4'"]),
    ("--against latent_dim=3 --cells latent_dim=3", ["no other cell"]),
    ("--against latent_dim=3 --columns elbow", ["'elbow'", "did you mean 'elbo'"]),
    ("--against latent_dim=3 --columns test/iwae_4", ["'test/iwae_4'", "did you mean 'test/iwae_3'"]),
    ("--against latent_dim=3 --columns ,", ["--columns", "one or more"]),
    ("--against latent_dim=3 --sweep mnist", ["--sweep", "did you mean 'mnist-5k'"]),
    ("--columns elbo", ["--columns", "only with --against"]),
]


@pytest.mark.parametrize(("flags", "parts"), BAD, ids=[flags for flags, _ in BAD])
def test_what_is_refused(flags: str, parts: list[str], store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(store.rglob("against-*"))
    assert main(["tables", "toy", *flags.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in parts:
        assert part in err
    assert sorted(store.rglob("against-*")) == before == []


def test_a_study_must_be_named(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "--against", "latent_dim=3"]) == 2
    assert "name the study" in capsys.readouterr().err


def test_it_is_refused_before_anything_slow_is_imported(store: Path) -> None:
    code = f"""
import sys
from vaestudy.cli.main import main
for flags in ("latent_dim=9", "latent_dim=3 --columns test/iwae_4", "latent_dim=3 --cells latent_dim=4"):
    assert main(["tables", "toy", "--against", *flags.split()]) == 2
print(*sorted({SLOW!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert done.stderr.count("\n") == 3


def test_what_is_read_without_mlflow(store: Path) -> None:
    """The quick check knows the same names as the tracker, and a study that is not there is left to it."""
    database = addresses.database_file(addresses.tracking_uri(None))
    assert database is not None
    found = recorded_cells(database, "toy", "")
    assert found is not None
    assert found.factors == ("latent_dim",)
    assert sorted(cell["latent_dim"] for cell in found.cells) == ["2", "2", "3", "3"]
    assert {"test/elbo", "test/iwae_3", "seconds/total"} <= found.metrics
    assert recorded_cells(database, "toys", "") is None
