"""The study `bound-tightness`: what it declares, what it refuses before anything is run, and one whole quick run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.studies import run_study
from vaestudy import study_main
from vaestudy.config.compatibility import AIS_DEFAULTS
from vaestudy.conformance.study_parts import _studies_of
from vaestudy.runtime.project import repository
from vaestudy.study.declaration import Study

FILE = repository() / "studies" / "bound_tightness.py"


@pytest.fixture(scope="module")
def study() -> Study:
    (found,) = _studies_of(FILE)
    return found


def test_each_likelihood_has_three_d_and_one_seed(study: Study) -> None:
    cells = study.cells_to_run(study.base, study.levels_to_run(full=False, quick=False, given={}), study.seeds)
    arms = {(c.config.likelihood, c.config.likelihood_scale) for c in cells}
    assert len(cells) == 27
    assert {scale for likelihood, scale in arms if likelihood == "gaussian"} == {"per-pixel", "optimal"}
    assert len(study.families) == 3
    for cell in cells:
        assert (cell.config.ais_images, cell.config.ais_split, cell.config.ais_iwae) == (500, True, (100, 5000))
    (likelihoods,) = _studies_of(FILE.with_name("likelihoods.py"))
    assert study.factors["likelihood"] == likelihoods.factors["likelihood"]
    assert study.factors["latent_dim"] == likelihoods.factors["latent_dim"]
    same = {"figures": (), "iwae": (1,)} | AIS_DEFAULTS
    assert study.base.with_changes(**same) == likelihoods.base.with_changes(**same)  # the same training


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ais-chains", "0"), "--ais-chains 0: must be a whole number, 1 or more, 100,000 or less"),
        (("--ais-temperatures", "1"), "--ais-temperatures 1: must be a whole number, 2 or more"),
        (("--dataset", "mnist-5k", "--ais-images", "1001"), "--ais-images 1001: must be 1000 or less, the test images"),
        (("--subset", "100"), "--ais-images 500: must be 50 or less, the test images that --subset 100 leaves"),
    ],
)
def test_bad_input_is_one_line(
    study: Study, flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], mlruns: Path
) -> None:
    assert study_main(study, list(flags)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not mlruns.exists()


def test_a_likelihood_without_gradient_is_one_line(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mlruns: Path
) -> None:
    """It is refused before anything is recorded."""
    from vaestudy.model.likelihoods.gaussian import Gaussian

    log_prob = Gaussian.log_prob
    monkeypatch.setattr(Gaussian, "log_prob", lambda self, x, head, guard=0.0: log_prob(self, x, head).detach())
    assert run_study(study, "--quick", "--dataset", "mnist-5k") == 2
    assert "--ais-images 20: log p(x|z) of the likelihood 'gaussian' has no gradient in z" in capsys.readouterr().err
    assert not mlruns.exists()


@pytest.mark.slow
def test_a_whole_quick_run(empty_store: Path) -> None:
    """The command ends with the three tables and the picture, marked as a look."""
    env = os.environ | {"PYTHONPATH": str(repository())}
    some = ["--likelihood", "clipped-gaussian", "truncated-gaussian", "--likelihood-scale", "per-pixel"]
    some += ["--latent-dim", "2", "--ais-images", "10"]
    command = [sys.executable, str(FILE), "--quick", "--dataset", "mnist-5k", "--seeds", "1", "--workers", "0", *some]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    folder = empty_store / "tables" / "bound-tightness"
    for name in ("table.md", "bound_tightness.md", "bound_gaps.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "QUICK LOOK, NOT A RESULT" in text, name
    text = (folder / "bound_tightness.md").read_text(encoding="utf-8")
    assert "first 10 test images (50 temperatures, 4 chains)" in text
    assert "anking" in text
    assert "paired over 10 images" in text
    assert (folder / "bound_tightness.png").stat().st_size > 10_000
    assert "2 runs, 0 done" in done.stdout + done.stderr
