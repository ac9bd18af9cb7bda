"""Tests of `--help` and `--help-all`: the defaults are the study's or the preset's, and `--help` fits a screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.studies import by_likelihood, searching, toy
from vaestudy.cli.main import COMMANDS, main
from vaestudy.cli.study import study_main
from vaestudy.config.field_groups import GROUPS, meaningless_for
from vaestudy.config.presets import PRESETS
from vaestudy.config.run_config import RunConfig
from vaestudy.evidence.needs import declared_study
from vaestudy.runtime.project import repository
from vaestudy.study.declaration import Study, level_text
from vaestudy.study.discovery import study_files
from vaestudy.sweep.sweep_options import SweepOptions

ROOT = repository()
COMMITTED = [study.name for study in study_files(ROOT / "studies")]
LINES, WIDTH = 40, 80


def help_of(capsys: pytest.CaptureFixture[str], command: Any, *arguments: str) -> str:
    """Return what a command prints that is asked for help; it is a study, or None for `vaestudy`."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments)) if command is None else study_main(command, list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"run"}))
def test_help_of_each_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys, None, command, "--help")
    assert shown.startswith(f"usage: vaestudy {command}")
    assert "%%" not in shown  # the texts are written for argparse, which reads % in some of them


def shown_flags(short: str) -> dict[str, str]:
    """Return flag -> what stands beside it, of all flags of a short help that have no explanation."""
    lines = [line[10:] for line in short.splitlines() if re.match(r"( {10}|[a-z]+ +)--|( {10}\S)", line)]
    lines = [line for line in lines if not re.match(r"--\S+( \S+)?  +[A-Z]|  ", line)]
    entries = re.split(r"\s+(?=--)", " ".join(lines).strip())
    return {entry.split()[0]: " ".join(entry.split()[1:]) for entry in entries if entry.startswith("--")}


def value_text(value: Any) -> str:
    """Return how a help text writes a default."""
    if isinstance(value, bool):
        return {True: "on", False: "off"}[value]
    return " ".join(map(value_text, value)) or "none" if isinstance(value, tuple) else level_text(value)


def matches(shown: str, value: Any) -> bool:
    """Return whether a short help shows a default, of a long list its beginning and its end."""
    begin, cut, end = shown.partition(" ... ")
    text = value_text(value)
    return text.startswith(begin + " ") and text.endswith(" " + end) if cut else shown == text


def explanation(full: str, field: str) -> str:
    """Return what the full help says of a field's flag, on one line."""
    flag = "--" + field.replace("_", "-")
    found = re.search(rf"^  {flag}[ ,\n](.*?)(?=^  -|^\w|\Z)", full, re.MULTILINE | re.DOTALL)
    assert found is not None, flag
    return " ".join(found[0].split())


def require_true_help(short: str, full: str, values: dict[str, Any], study: Study | None = None) -> None:
    """Check every default in both texts against the values of all fields."""
    factors = {} if study is None else study.factors
    levels = {} if study is None else {name: (*own, *study.full.get(name, ())) for name, own in factors.items()}
    flags = shown_flags(short)
    for name in RunConfig.model_fields:
        flag = "--" + name.replace("_", "-")
        if name == "seed" and study is not None:
            assert flag not in flags  # of a study, --seeds gives their number
            continue
        text = explanation(full, name)
        if name in factors:
            assert flags[flag] == " ".join(map(level_text, factors[name]))
            assert f"[default: {flags[flag]}" in text
            assert f"baseline: {level_text(study.baseline[name])}]" in text  # type: ignore[union-attr]
            continue
        why = meaningless_for(name, values, levels)
        assert (flag in flags) != bool(why)
        assert text.endswith(f"not for {why}]") if why else "not for" not in text
        value = values[name]
        if value in (None, "", ()) and value == RunConfig.model_fields[name].default:
            assert why or re.fullmatch("N|X|NAME", flags[flag])
            assert text.count("[default") == (RunConfig.model_fields[name].description or "").count("[default")
        else:
            assert why or matches(flags[flag], value), (flag, flags[flag], value)
            assert f"[default: {value_text(value)}" in text
            assert text.count("[default") == 1


def require_a_screen(short: str) -> None:
    assert len(short.splitlines()) <= LINES
    assert max(map(len, short.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", COMMITTED)
def test_the_help_of_a_study(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    study = declared_study(name)
    short, full = help_of(capsys, study, "--help"), help_of(capsys, study, "--help-all")
    require_a_screen(short)
    require_true_help(short, full, study.base.model_dump(), study)
    assert study.question in " ".join(short.split())
    assert study.doc.strip() in full
    for text in (short, full):
        for option in SweepOptions.model_fields:
            assert "--" + option.replace("_", "-") in text
        assert ("--factor" in text) == (study.search is None or bool(study.factors))
        assert ("Compare these levels of any field" in text) == (study.search is None)
        topics = re.findall("^([a-z]+)(?:  +--.*|:)$", text, re.MULTILINE)
        topics = [topic for topic in topics if topic != "options"]
        assert topics == (["factors"] if study.factors else []) + [*GROUPS, "study", "places"]


@pytest.mark.parametrize("study", [toy(), by_likelihood(), searching()], ids=["toy", "by_likelihood", "searching"])
def test_the_help_of_small_studies(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    """Their bases have lists without an item and a subset, whose defaults are none."""
    short, full = help_of(capsys, study, "-h"), help_of(capsys, study, "--help-all")
    require_true_help(short, full, study.base.model_dump(), study)


def test_what_differs_from_the_general_default(capsys: pytest.CaptureFixture[str]) -> None:
    """The statements that were false: the article's script differs from the defaults of `vaestudy train`."""
    short, full = (help_of(capsys, declared_study("latent-dims"), flag) for flag in ("--help", "--help-all"))
    for stated in ("--sigma raw", "--reduction sum", "--second-biases on", "--log-guard 1e-08", "--seeds 3"):
        assert stated in short
    assert explanation(full, "sigma").endswith("[default: raw]")
    assert explanation(full, "reduction").endswith("[default: sum]")
    assert explanation(full, "likelihood_scale").endswith("[default: per-pixel; not for bernoulli]")
    assert "[default: 2 3 5 10 20 50, with --full also 200; baseline: 2]" in explanation(full, "latent_dim")


@pytest.mark.parametrize("preset", [None, *PRESETS])
@pytest.mark.parametrize("order", [1, -1])
def test_the_help_of_train(
    preset: str | None, order: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    named = [f"--preset={preset}"] if preset and order > 0 else ["--preset", preset] if preset else []
    short, full = (
        help_of(capsys, None, "train", *([*named, ask] if order > 0 else [ask, *named])) for ask in ("-h", "--help-all")
    )
    require_a_screen(short)
    config = RunConfig.preset(preset) if preset else RunConfig()
    require_true_help(short, full, config.model_dump())
    assert ("The defaults are those of the preset" in " ".join(short.split())) == bool(preset)
    if preset == "aevb":
        assert explanation(full, "valid_size").endswith("set aside for validation [default: 0]")


def test_the_help_of_a_preset_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help", "--preset", "avb"]) == 2
    assert "unknown preset 'avb' (did you mean 'aevb'?)" in capsys.readouterr().err


def test_commands_with_few_flags_have_one_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "runs", "article"):
        assert help_of(capsys, None, command, "--help") == help_of(capsys, None, command, "--help-all")


def test_every_field_has_one_topic() -> None:
    listed = [name for fields in GROUPS.values() for name in fields]
    assert sorted(listed) == sorted(RunConfig.model_fields)


PARTS = """
from vaestudy import ACTIVATIONS

@ACTIVATIONS.part("bent")
def bent(x):
    return x + abs(x) / 2
"""
MINE = """
from vaestudy import RunConfig, Study, study_main

BASE = RunConfig(activation="bent", minibatch=30)
LEVELS = {"latent_dim": (2, 3)}
STUDY = Study(name="mine", doc="Does it?", base=BASE, factors=LEVELS, baseline={"latent_dim": 2})

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
"""


def test_the_help_of_a_study_of_a_project(tmp_path: Path) -> None:
    """Its own parts and its base are in the help, and nothing slow is imported for it."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "parts.py").write_text(PARTS)
    file = tmp_path / "studies" / "mine.py"
    file.write_text(MINE)
    short, full = (answer(file, flag).stdout for flag in ("--help", "--help-all"))
    assert "usage: vaestudy run mine [FLAGS]" in short
    assert "--activation bent" in short
    assert "--minibatch 30" in short
    assert "One of: relu, tanh, identity, bent [default: bent]" in " ".join(full.split())


@pytest.mark.parametrize(
    "flags",
    [
        ["--help"],
        ["--factor", "learning_rat=1,2"],
        ["--factor", "learning_rate=1,x"],
        ["--learning-rate", "0.1,0.2"],
        ["--latentdim", "3"],
    ],
)
def test_a_study_answers_without_slow_imports(flags: list[str]) -> None:
    done = answer(ROOT / "studies" / "latent_dims.py", *flags)
    assert done.returncode == (0 if flags == ["--help"] else 2)
    assert done.stderr.count("\n") == (0 if flags == ["--help"] else 1)


def answer(file: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a study's file; the exit code is 3 if it imports a slow package."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(file)!r}, *{list(flags)!r}]\n"
        f"try: runpy.run_path({str(file)!r}, run_name='__main__'); code = 0\n"
        "except SystemExit as ended: code = ended.code\n"
        "slow = {'torch', 'mlflow', 'optuna', 'pandas', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(3 if slow else code)"
    )
    env = {name: value for name, value in os.environ.items() if name != "VAESTUDY_PROJECT"}
    env["PYTHONPATH"] = str(ROOT)
    env["VAESTUDY_PROJECT"] = str(file.parents[1])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
