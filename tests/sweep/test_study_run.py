"""`vaestudy.run_study`: a study from Python."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaestudy as vs
from tests.support.studies import recorded, run_study, toy
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.run import execute
from vaestudy.sweep.study_run import StudyOptions
from vaestudy.sweep.sweep_options import SweepOptions


def test_options_are_those_of_the_command() -> None:
    assert set(typing.get_type_hints(StudyOptions)) == set(SweepOptions.model_fields) - {"plan"}


def test_a_study(mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result = vs.run_study(toy(), workers=0, quiet=True)
    assert capsys.readouterr() == ("", "")
    assert list(result.summary["latent_dim"]) == [2, 3]
    assert list(result.summary["seeds"]) == [2, 2]
    assert len(result.runs) == 4
    for row in result.summary.to_dict("records"):
        mine = result.runs[result.runs["latent_dim"] == row["latent_dim"]]
        assert mine["test/elbo"].mean() == pytest.approx(row["test/elbo"], rel=1e-12)
        assert " ".join(sorted(mine["id"])) == " ".join(sorted(str(row["run_ids"]).split()))
    assert (result.folder / "table.csv").is_file()
    pd.testing.assert_frame_equal(vs.runs("toy"), result.runs)
    assert result.table["latent_dim"].tolist() == ["2", "3"]
    assert "±" in repr(result)
    assert "<table" in result._repr_html_()

    # Nothing is run a second time, neither by the function nor by the command.
    monkeypatch.setattr(execute, "execute", lambda *_: pytest.fail("a run was repeated"))
    pd.testing.assert_frame_equal(vs.run_study(toy(), workers=0, quiet=True).runs, result.runs)
    assert run_study(toy()) == 0
    assert "4 runs, 4 done" in capsys.readouterr().err


def test_levels_changes_and_options(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = vs.run_study(toy(), levels={"latent_dim": [np.int64(4), 2]}, changes={"epochs": 2}, seeds=1, workers=0)
    assert sorted(result.runs["latent_dim"]) == [2, 4]
    assert set(result.runs["epochs"]) == {2}
    assert set(result.runs["sweep"]) == {"mnist-5k-epochs=2"}
    assert "2 runs, 0 done" in capsys.readouterr().err
    # The command with the same changes has the same sweep.
    assert run_study(toy(), "--epochs", "2", "--seeds", "1", "--latent-dim", "4", "2") == 0
    assert "2 runs, 2 done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "seeds 0: must be a whole number, 1 or more"),
        ({"plans": True}, "unknown option 'plans'.*did you mean 'plan'"),
        ({"plan": True}, "run_study runs the study"),
        ({"levels": {"latent_dims": (2,)}}, "levels: unknown factor 'latent_dims'.*did you mean 'latent_dim'"),
        ({"levels": {"latent_dim": ()}}, "levels latent_dim: must be a tuple"),
        ({"levels": {"latent_dim": (0,)}}, "latent_dim 0: must be a whole number"),
        ({"changes": {"epoch": 2}}, "unknown option 'epoch'"),
        ({"seeds": 100_000}, "100,000 seeds: 200,000 runs, more than 20,000; yes runs them all the same"),
        ({"data_dir": "/nowhere"}, "no such directory"),
        ({"tracking_uri": "ftp://x"}, "ftp://x"),
        ({"tls_ca": "a.pem"}, "tls_ca .*goes with scheduler"),
    ],
)
def test_wrong_arguments_get_one_line(arguments: dict[str, typing.Any], message: str, mlruns: Path) -> None:
    with pytest.raises(vs.BadInput, match=message):
        vs.run_study(toy(), **arguments)
    assert not mlruns.exists()


def test_crashed_runs_are_no_result(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(config: vs.RunConfig, *rest: object, **named: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("vaestudy.sweep.worker_pool.execute", crash)
    with pytest.raises(vs.StudyIncomplete, match=r"study toy: 4 runs crashed; their traceback.txt in MLflow says why"):
        vs.run_study(toy(), workers=0, retries=0, quiet=True)
    runs, _ = recorded(mlruns)
    assert set(runs["status"]) == {"FAILED"}


def test_a_part_without_a_file_needs_this_process(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's own part: no worker process could import it."""
    monkeypatch.setitem(
        LIKELIHOODS._known(),
        "mine",
        vs.LikelihoodSpec("mine", "vaestudy.model.likelihoods.bernoulli:Bernoulli", family="bernoulli"),
    )
    monkeypatch.setitem(LIKELIHOODS._origins, "mine", None)
    study = toy(base=toy().base.with_changes(likelihood="mine"))
    with pytest.raises(vs.BadInput, match=r"likelihood mine is declared without a file.*workers=0"):
        vs.run_study(study)
    assert len(vs.run_study(study, workers=0, quiet=True, seeds=1).runs) == 2


SCRIPT = """
import sys
import vaestudy as vs
from tests.support.studies import toy

{guard}result = vs.run_study(toy(), workers=2)
{guard}print(len(result.runs), result.summary["seeds"].tolist())
"""


@pytest.mark.slow
def test_a_script_with_worker_processes(tmp_path: Path, empty_store: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard='if __name__ == "__main__": '))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4 [2, 2]"


@pytest.mark.slow
def test_a_script_without_a_guard_says_what_it_lacks(tmp_path: Path, mlruns: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=""))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "script.py: worker processes import this file, so run_study must be called under `if __name__" in done.stderr
    assert not mlruns.exists()
