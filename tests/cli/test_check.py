"""Tests of `vaestudy check`: what it prints, its exit codes, and an own likelihood in a new project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaestudy.cli.main import main
from vaestudy.runtime.project import repository

OWN = '''"""The parts of this project."""

import math

import torch

from vaestudy import LIKELIHOODS, SCHEDULES, Scaled

BINARY = ("binarised", "stochastic", "binarised-once")


@LIKELIHOODS.part(
    "laplace",
    family="density",
    support="the real line",
    limits=(0.001, 10.0),
    refusals=dict.fromkeys(BINARY, "a density of pixels that are 0 or 1 is no probability of them"),
)
class Laplace(Scaled):
    """exp(-|x - m| / s) / (2 s)."""

    def log_prob(self, x, head, log_guard=0.0):
        m, t = self.parts(head, log_guard)
        return (-(x - m).abs() * (-t).exp() - t - math.log(2)).sum(-1)

    def mean(self, head):
        return self.parts(head)[0]

    def sample(self, head, generator):
        m, t = self.parts(head)
        u = torch.rand(m.shape, generator=generator, dtype=m.dtype) - 0.5
        return m - t.exp() * u.sign() * torch.log1p(-2 * u.abs())

    def cdf(self, x, head):
        m, t = self.parts(head)
        z = (x - m) * (-t).exp()
        return 0.5 + 0.5 * z.sign() * -torch.expm1(-z.abs())
'''
NEGATIVE = '''

@SCHEDULES.part("down")
def down(epoch, epochs):
    """Fall from 1 to below 0."""
    return 2 - epoch
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a new project with an own likelihood."""
    assert main(["new", str(tmp_path / "demo")]) == 0
    (tmp_path / "demo" / "parts.py").write_text(OWN)
    return tmp_path / "demo"


def vaestudy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, in a process of its own, as the registries keep what a file declares."""
    surroundings = {name: value for name, value in os.environ.items() if name != "VAESTUDY_PROJECT"}
    command = [sys.executable, "-m", "vaestudy", *arguments]
    surroundings |= {"PYTHONPATH": str(repository())}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def test_an_own_likelihood_in_a_new_project(project: Path) -> None:
    done = vaestudy(project, "check", "laplace")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("likelihood laplace  parts.py:12\n")
    assert "  pass  A density integrates to 1: over [0, 1]" in done.stdout
    assert "  n/a   It " not in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("  all 1")
    assert not (project / "mlruns").exists()


def lines_of(text: str) -> dict[str, str]:
    """Return each line of parts.py -> where it stands, as "parts.py:12"."""
    return {line.strip(): f"parts.py:{number}" for number, line in enumerate(text.splitlines(), start=1)}


def test_all_own_parts_and_what_fails(project: Path) -> None:
    """A likelihood off by a factor of 2, and a schedule that goes below 0."""
    text = OWN.replace("- t - math.log(2)", "- t - math.log(4)") + NEGATIVE
    (project / "parts.py").write_text(text)
    done = vaestudy(project / "studies", "check")
    assert (done.returncode, done.stderr) == (1, "")
    lines, down = done.stdout.splitlines(), lines_of(text)['@SCHEDULES.part("down")']
    assert f"schedule down  {down}" in lines
    below = lines.index("  FAIL  Each factor is finite and 0 or more.")
    assert lines[below + 1 : below + 3] == ["        the factor of epoch 3 of 3 is -1", f"        {down}"]
    (integral,) = [i for i, line in enumerate(lines) if line.startswith("  FAIL  A density integrates to 1")]
    assert lines[integral + 1].startswith("        the integral over [0, 1] is 0.")
    assert lines[integral + 2] == f"        {lines_of(text)['@LIKELIHOODS.part(']}"
    assert lines[-1] == "0 of 2 parts pass"


def test_code_that_raises_an_error(project: Path) -> None:
    """It fails a check by the error's last line and place; the checks that need it are not made."""
    text = OWN.replace("return self.parts(head)[0]", "raise ValueError('no\\nmean')")
    (project / "parts.py").write_text(text)
    done = vaestudy(project, "check", "likelihood:laplace", "--traceback")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (shapes,) = [i for i, line in enumerate(lines) if line.startswith("  FAIL  log_prob is [L, M]")]
    place = lines_of(text)["raise ValueError('no\\nmean')"]
    assert lines[shapes + 1 : shapes + 3] == ["        its code raised ValueError: no mean", f"        {place}"]
    assert lines[shapes + 3] == "Traceback (most recent call last):"
    assert "further checks need this one and were not made" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gausian"], "unknown part 'gausian' (did you mean 'gaussian'?)"),
        (["likelihood:gausian"], "unknown likelihood 'gausian' (did you mean 'gaussian'?)"),
        (["likelyhood:gaussian"], "unknown kind of part 'likelyhood' (did you mean 'likelihood'?)"),
        (["iwae"], "part iwae: is of 2 kinds; choose from: estimator:iwae, schedule:iwae"),
        ([], "no part of your own: neither parts.py and studies/*.py in "),
        (["cosine", "--tracebak"], "unknown flag '--tracebak' (did you mean '--traceback'?)"),
        (["cosine", "--data-dir", "nowhere"], "--data-dir nowhere: no such directory"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAESTUDY_PROJECT", str(tmp_path))
    assert main(["check", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_part_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "cosine", "schedule:iwae"]) == 0
    shown = capsys.readouterr().out
    assert "schedule cosine  vaestudy/training/schedules.py:" in shown
    assert "2 of 2 parts pass" in shown


def test_what_answers_bad_input_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys; from vaestudy.cli.main import main; code = main(['check', 'gausian']); "
        "print(code, *{'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "2"
