"""Property test of the command lines: whatever follows a flag, the work begins or one line refuses it; no traceback.

The work itself is replaced, so only the parser and the validation run. Nothing is written by them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.studies import by_likelihood, toy
from vaestudy.cli import article_work, commands, plan_work, reproduce_work, tables_work
from vaestudy.cli.article import ArticleFlags
from vaestudy.cli.main import COMMANDS, main
from vaestudy.cli.reproduce import ReproduceFlags
from vaestudy.cli.study import study_main
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.runtime import addresses
from vaestudy.scoring.ais_options import AisOptions
from vaestudy.sweep import preparation
from vaestudy.sweep.sweep_options import SweepOptions

HUGE = "9" * 20
NUMBERS = ["0", "1", "2", "-1", "+5", " 5 ", "1_000", "1e3", "1.5", "nan", "inf", "-Infinity", "1e999", "²", "٣", "５",
           "0x10", "1__0", "00012", HUGE, "9" * 5000, "2147483648", "1000000"]  # fmt: skip
WORDS = ["cpu", "cuda:", "cuda:²", "cuda:1", "mps:٣", "gaussian", "raw", "true", "", ",", "a,b", "{}", "{seeds}", "%s",
         "-", "--", "\n", "\x1b[0m", "\u2028", "\udcff", "a\nb", "[/red]", "file:x", "sqlite:///x.db", "http://h:²",
         "tcp://[::1", "postgresql://h:99999/x", "postgresql+foo://me:s5word@h/x", "tcp://h:1"]  # fmt: skip
VALUES = st.sampled_from(NUMBERS + WORDS) | st.text(max_size=8) | st.integers().map(str) | st.floats().map(str)


def flags_of(*fields: str) -> st.SearchStrategy[list[str]]:
    """Return command lines: some of the flags, also misspelt, each followed by some values."""
    names = ["--" + field.replace("_", "-") for field in fields]
    flag = st.sampled_from(names) | st.sampled_from(names).map(lambda name: name[:-1] + "x")
    part = st.tuples(flag, st.lists(VALUES, max_size=3)).map(lambda pair: [pair[0], *pair[1]])
    return st.lists(part, max_size=3).map(lambda parts: [word for part in parts for word in part])


LOCATIONS = ("data_dir", "tracking_uri")
FLAGS = {
    "new": flags_of("name"),
    "run": flags_of("quick", "seeds").map(lambda flags: ["no-study", *flags]),
    "check": flags_of("traceback", "data_dir").map(lambda flags: ["no-part", *flags]),
    "train": flags_of(*RunConfig.model_fields, *LOCATIONS, "preset", "json", "from", "any_revision"),
    "evaluate": flags_of("iwae", "ais", *AisOptions.model_fields, *LOCATIONS).map(lambda flags: ["0123", *flags]),
    "tables": flags_of("against", "cells", "columns", "sweep", "siunitx", "bookkeeping", "tracking_uri"),
    "runs": flags_of("where", "columns", "csv", "json", "tracking_uri"),
    "compare": flags_of("iwae", "json", *LOCATIONS).map(lambda flags: ["01", "02", *flags]),
    "export": flags_of("to", "sweep", "tracking_uri").map(lambda flags: ["latent-dims", *flags]),
    "sync": flags_of("tracking_uri"),
    "studies": flags_of("tracking_uri"),
    "ui": flags_of("port", "no_browser", "tracking_uri"),
    "dashboard": flags_of("sweep", "port", "storage", "tracking_uri"),
    "article": flags_of(*ArticleFlags.model_fields, *LOCATIONS),
    "reproduce": flags_of(*ReproduceFlags.model_fields, *LOCATIONS),
}
STUDY_FLAGS = flags_of(*(set(SweepOptions.model_fields) | set(RunConfig.model_fields)), *LOCATIONS, "factor")
WORK = ("train_and_track", "train_again", "score_again", "publish_waiting", "run_study")
PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the work, the network and the data set, and go to an empty folder."""
    for name in WORK:
        monkeypatch.setattr(commands, name, lambda *_: 0)
    for name in ("show_plan", "make_article"):
        monkeypatch.setattr(article_work, name, lambda *_: 0)
    for name in ("export_tables", "show_differences"):
        monkeypatch.setattr(tables_work, name, lambda *_: 0)
    monkeypatch.setattr(plan_work, "show_plan", lambda *_: 0)
    for name in ("show_plan", "make_table"):
        monkeypatch.setattr(reproduce_work, name, lambda *_: 0)
    monkeypatch.setattr(datasets, "find_dataset", lambda *_: ("mnist-5k", None))
    monkeypatch.setattr(addresses, "require_listening", lambda *_: None)
    monkeypatch.setattr("os.execve", lambda *_: None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def require_one_line(code: int | None, shown: str) -> None:
    """Check that the work began (nothing is printed) or that one line without any secret refuses the input."""
    assert code in (0, None, 2)
    assert shown.count("\n") == (code == 2), shown
    assert len(shown.splitlines()) == (code == 2)  # also by the line ends of Unicode
    assert "s5word" not in shown
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @PROPERTY
    @given(flags=FLAGS[command])
    @example(flags=["--port", "²"] if command in ("ui", "dashboard") else [])
    def check(flags: list[str]) -> None:
        code = main([command, *flags])
        require_one_line(code, capsys.readouterr().err)
        assert not mlruns.exists()

    check()


@pytest.mark.parametrize("study", [toy(), by_likelihood()], ids=["toy", "by_likelihood"])
def test_studies(study, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @PROPERTY
    @given(flags=STUDY_FLAGS)
    @example(flags=["--seeds", HUGE])
    @example(flags=["--seeds", "1000000"])
    @example(flags=["--latent-dim", "1" + "0" * 30])
    @example(flags=["--device", "cuda:²"])
    @example(flags=["--threads", "100000"])
    @example(flags=["--factor", "learning_rate=0.1,²"])
    @example(flags=["--factor", "learning_rate=0.1,0.2", "sigma=raw", "--factor", "latent_dim=4"])
    @example(flags=["--factor", "=", "=1", "a\nb=1"])
    @example(flags=["--hidden", "3x4", "5"])
    @example(flags=["--storage", "postgresql://h:5/{x}", "--scheduler", "tcp://{x}:1"])
    def check(flags: list[str]) -> None:
        code = study_main(study, flags)
        require_one_line(code, capsys.readouterr().err)
        assert not mlruns.exists()

    check()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--seeds 1000000", ["2 --latent-dim x 1,000,000 --seeds", "2,000,000 runs", "20,000", "--yes"]),
        ("--seeds 99999999999999999999", ["--seeds 99999999999999999999", "1 or more", "2,147,483,647 or less"]),
        ("--latent-dim 2 ²", ["--latent-dim ²", "a whole number"]),
        ("--learning-rate 1_0", ["--learning-rate 1_0", "a finite number"]),
        ("--threads 5000", ["--threads 5000", "4,096 or less"]),
        ("--device cuda:²", ["'cuda:²'", "cuda:N"]),
        ("--iwae 2000000000", ["--iwae 2000000000", "GiB", "available"]),
    ],
)
def test_numbers_by_hand(flags: str, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert study_main(toy(), flags.split()) == 2
    shown = capsys.readouterr().err
    for part in parts:
        assert part in shown


def test_many_runs_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "MOST_RUNS", 8)
    assert study_main(toy(), ["--seeds", "4"]) == 0
    assert study_main(toy(), ["--seeds", "5"]) == 2
    assert study_main(toy(), ["--seeds", "5", "--yes"]) == 0


@pytest.mark.parametrize(
    "flag", ["--tracking-uri http", "--tracking-uri mysql", "--storage postgresql", "--scheduler tcp"]
)
@pytest.mark.parametrize("rest", ["://h:99999", "://[::1", "://alice:s5word@h:²", "://" + "ü" * 300 + ":80"])
def test_a_study_with_an_address_that_is_none(
    flag: str, rest: str, mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends at once, as its results could never be delivered."""
    assert study_main(toy(), (flag + rest).split()) == 2
    err = capsys.readouterr().err
    require_one_line(2, err)
    assert flag.split()[0] in err
    assert "alice" not in err
    assert not mlruns.exists()
