"""A study end to end: --quick, resumed, extended, begun anew, exported again; and a design's cells."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest
from rich.progress import Progress

from vaestudy.cli import main
from vaestudy.config.run_config import BadInput, RunConfig
from vaestudy.reporting import export
from vaestudy.run.execute import Record
from vaestudy.runtime import paths
from vaestudy.study import declaration
from vaestudy.study.declaration import Study
from vaestudy.sweep.progress import Board
from vaestudy.sweep.worker_pool import Done, Epoch, Failure, work
from vaestudy.tracking.mlflow_tracker import Tracker

ROOT = Path(__file__).parents[1]


def toy(**changes: object) -> Study:
    base = RunConfig(dataset="mnist-5k", subset=60, epochs=1, hidden=(16,), iwae=(1, 3), figures=(), minibatch=30)
    fields = {
        "name": "toy",
        "doc": "Does a toy work?\n\nMinutes: 0",
        "base": base,
        "factors": {"latent_dim": (2, 3)},
        "full": {"latent_dim": (5,)},
        "baseline": {"latent_dim": 2},
        "seeds": 2,
        "tabulate": ("test/elbo", "test/kl", "test/iwae_3", "test/active_units"),
    }
    return Study(**(fields | changes))


def by_likelihood(**changes: object) -> Study:
    """A toy whose arms are likelihoods and, of the Gaussian, scales."""
    base = toy().base.but(pixels="dequantised", figures=("decoder_samples",))
    fields = {
        "base": base,
        "factors": {
            "likelihood": ("bernoulli", "gaussian"),
            "likelihood_scale": ("per-pixel", "optimal"),
            "latent_dim": (3,),
        },
        "full": {"likelihood": ("discretised-logistic",)},
        "baseline": {"likelihood": "bernoulli", "likelihood_scale": "per-pixel", "latent_dim": 3},
        "tabulate": ("test/bits_per_dim", "test/mse", "train/likelihood_over_kl", "epochs_to_95"),
        "figures": ("arms",),
        "gallery": "decoder_samples",
    }
    return toy(**(fields | changes))


def conduct(study: Study, *words: str) -> int:
    return main.study_main(study, ["--workers", "0", *words])


def books(mlruns: Path, sweep: str = "mnist-5k", name: str = "toy") -> tuple[pd.DataFrame, list[str]]:
    """(MLflow's children of the sweep, the states of Optuna's trials)."""
    tracker = Tracker(paths.tracking_uri(None))
    experiment = tracker.experiments()[name]
    (parent,) = tracker.runs(experiment, {"role": "study", "sweep": sweep})["run_id"]
    backend = optuna.storages.journal.JournalFileBackend(str(mlruns / "optuna" / name / f"{sweep}.journal"))
    trials = optuna.load_study(study_name=sweep, storage=optuna.storages.JournalStorage(backend)).trials
    return tracker.runs(experiment, parent=parent), [t.state.name for t in trials]


def test_quick_study_file_end_to_end(mlruns: Path) -> None:
    """As a user runs it: its own process, the table read back from what it wrote."""
    command = [sys.executable, str(ROOT / "studies" / "latent_dims.py"), "--quick", "--dataset", "mnist-5k"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=mlruns.parent)
    assert done.returncode == 0, done.stderr
    assert "a look, not a result" in done.stderr
    folder = mlruns / "tables" / "latent-dims"
    table = pd.read_csv(folder / "table.csv")
    assert table["latent_dim"].tolist() == [2, 3, 5, 10, 20, 50]
    assert table["seeds"].tolist() == [2] * 6
    assert table["quick"].all()
    assert table["test/elbo"].between(-500, -100).all()
    assert (table["test/iwae_100"] > table["test/elbo"]).all()
    for ending in ("md", "tex", "html"):
        assert "QUICK LOOK" in (folder / f"table.{ending}").read_text()
    assert r"\toprule" in (folder / "table.tex").read_text()
    assert (folder / "bound_and_parts.png").stat().st_size > 20_000
    runs = pd.read_csv(folder / "runs.csv")
    assert runs["quick"].all()
    for row in table.itertuples():
        mine = runs[runs["latent_dim"] == row.latent_dim]
        assert set(row.run_ids.split()) == set(mine["run_id"])
    assert not list(mlruns.parent.glob("mlflow.db"))  # nothing lands in the current directory
    before = (folder / "table.csv").read_bytes()

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "12 runs, 12 done" in again.stderr
    assert "[" not in again.stderr  # nothing was run
    assert (folder / "table.csv").read_bytes() == before

    env = os.environ | {"VAESTUDY_MLRUNS": str(mlruns)}
    done = subprocess.run(
        [sys.executable, "-m", "vaestudy", "tables"], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "table.csv").read_bytes() == before


def test_resume_runs_what_is_missing_and_repeats_nothing(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct(toy(), "--seeds", "1") == 0
    first, _ = books(mlruns)
    assert len(first) == 2
    assert conduct(toy()) == 0  # two seeds by default
    assert conduct(toy(), "--full") == 0
    children, states = books(mlruns)
    assert children["status"].tolist() == ["FINISHED"] * 6
    assert children["tags.config.key"].is_unique
    assert set(first["run_id"]) <= set(children["run_id"])
    assert states == ["COMPLETE"] * 6
    assert "6 runs, 4 done" in capsys.readouterr().err


def test_results_do_not_depend_on_the_number_of_workers(mlruns: Path) -> None:
    assert main.study_main(toy(), ["--workers", "2"]) == 0
    assert conduct(toy(), "--fresh") == 0
    (two, _), (one, _) = books(mlruns), books(mlruns, "mnist-5k~2")
    columns = ["tags.config.key", "metrics.test/elbo", "metrics.test/iwae_3", "metrics.train/elbo"]
    a, b = (frame[columns].sort_values("tags.config.key").reset_index(drop=True) for frame in (two, one))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert set(two["run_id"]).isdisjoint(one["run_id"])  # --fresh keeps the old


def test_what_a_dead_driver_left_is_made_good(mlruns: Path) -> None:
    """A trial RUNNING whose run is FINISHED is adopted; one whose run is RUNNING is killed and run again."""
    assert conduct(toy()) == 0
    children, _ = books(mlruns)
    tracker = Tracker(paths.tracking_uri(None))
    killed = children["run_id"].iloc[0]
    tracker.reopen(killed)
    backend = optuna.storages.journal.JournalFileBackend(str(mlruns / "optuna" / "toy" / "mnist-5k.journal"))
    trials = optuna.load_study(study_name="mnist-5k", storage=optuna.storages.JournalStorage(backend))
    trials.enqueue_trial({}, user_attrs={"key": children["tags.config.key"].iloc[1]})
    trials.ask()
    assert conduct(toy()) == 0
    children, states = books(mlruns)
    assert children["status"].value_counts().to_dict() == {"FINISHED": 4, "KILLED": 1}
    assert children.loc[children["status"] == "FINISHED", "tags.config.key"].is_unique
    assert states == ["COMPLETE"] * 6


def test_a_diverging_cell_ends_alone_and_is_not_repeated(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = toy(factors={"learning_rate": (1e-3, 1e6)}, full={}, baseline={"learning_rate": 1e-3}, seeds=1)
    base = study.base.but(epochs=3, subset=200)
    study = study.model_copy(update={"base": base})
    assert conduct(study) == 0
    children, states = books(mlruns)
    assert sorted(children["status"]) == ["FAILED", "FINISHED"]
    assert sorted(states) == ["COMPLETE", "FAIL"]
    table = pd.read_csv(mlruns / "tables" / "toy" / "table.csv").set_index("learning_rate")
    assert table["failed"].tolist() == [0, 1]
    assert conduct(study) == 0
    assert "2 runs, 2 done" in capsys.readouterr().err


def test_a_changed_base_is_not_mixed_in(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct(toy(), "--seeds", "1") == 0
    changed = toy(base=toy().base.but(hidden=(17,)))
    assert conduct(changed) == 2
    err = capsys.readouterr().err
    assert "2 of its 2 runs" in err
    assert "hidden (was [16], is [17]) in latent_dim=3, seed=0 | latent_dim=2, seed=0" in err
    assert "--fresh" in err
    assert conduct(changed, "--seeds", "1", "--fresh") == 0
    assert conduct(toy(), "--seeds", "1", "--epochs", "2") == 0  # a base changed by flags is a sweep of its own
    names = {path.name for path in (mlruns / "tables" / "toy").iterdir() if path.is_dir()}
    assert names == {"mnist-5k", "mnist-5k~2", "mnist-5k-epochs=2"}


def test_a_factor_that_was_added_or_taken_away(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells that stay the same are kept; those that would be counted as what they are not are named."""
    assert conduct(toy(), "--seeds", "1") == 0
    sigmas = toy().base.sigma, "raw"
    wider = toy(factors={"latent_dim": (2, 3), "sigma": sigmas}, baseline={"latent_dim": 2, "sigma": "raw"})
    assert conduct(wider, "--seeds", "1") == 0
    assert "4 runs, 2 done" in capsys.readouterr().err
    assert conduct(toy(), "--seeds", "1") == 2
    err = capsys.readouterr().err
    assert "2 of its 4 runs" in err
    assert "sigma (was raw, is log-variance) in latent_dim=3, sigma=raw, seed=0 | latent_dim=2, sigma=raw" in err


def test_a_trial_that_needs_more_memory_than_there_is(
    mlruns: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the estimate before the start let pass: the allocation that fails is real, and the other cells go on."""
    monkeypatch.setattr("vaestudy.training.memory.check", lambda *arguments: None)
    study = toy(factors={"hidden": ((10**12,), (16,))}, full={}, baseline={"hidden": (16,)}, seeds=1)
    assert conduct(study) == 1
    assert "crashed (RuntimeError" in capsys.readouterr().err
    children, states = books(mlruns)
    assert sorted(children["status"]) == ["FAILED", "FAILED", "FINISHED"]
    assert sorted(states) == ["COMPLETE", "FAIL", "FAIL"]
    failed = children[children["status"] == "FAILED"].iloc[0]
    assert "allocate memory" in failed["tags.failure"]
    assert "allocate memory" in Tracker(paths.tracking_uri(None)).read_file(failed["run_id"], "traceback.txt").decode()


@pytest.mark.parametrize(("likelihoods", "ranked"), [(("bernoulli",), True), (("bernoulli", "beta"), False)])
def test_a_best_so_far_only_where_there_is_one(likelihoods: tuple[str, ...], ranked: bool) -> None:
    """Nats of a Bernoulli and of a density have no common zero, so no run of both is the best."""
    study = toy(base=toy().base.but(pixels="dequantised"), factors={"likelihood": likelihoods}, full={},
                baseline={"likelihood": "bernoulli"}, tabulate=("test/bits_per_dim",))  # fmt: skip
    (cell, *_) = declaration.cells(study.base, study.factors, 1)
    bar = Progress(disable=True)
    board = Board(bar, [cell], declaration.Sweep(study, study.base, {}, quick=False, note=None, fresh=False))
    metrics = {"test/elbo": -1.0, "test/bits_per_dim": 2.0, "test/bits_per_dim_se": 0.01, "seconds/total": 1.0}
    history = [{"train/elbo": -2.0}]
    board.begin(cell)
    board.epoch(Epoch(cell.config.key, 1, history[0]))
    assert (bar.tasks[1].fields["shown"] == "train/elbo -2.00") == ranked
    told = board.end(Done(cell.config.key, Record(cell.config, metrics, history, [], {}, {}, {})))
    assert "test/bits_per_dim     2.000 ± 0.010" in told
    assert "elbo" not in told
    assert ("best train/elbo -2.00" in bar.tasks[0].fields["shown"]) == ranked


def test_a_notice_is_told_once() -> None:
    study = toy()
    two = declaration.cells(study.base, study.factors, 1)[:2]
    board = Board(
        Progress(disable=True), two, declaration.Sweep(study, study.base, {}, quick=False, note=None, fresh=False)
    )
    metrics, history = {"test/elbo": -1.0, "test/elbo_se": 0.1, "seconds/total": 1.0}, [{"train/elbo": -2.0}]
    lines = []
    for cell, notices in zip(two, [("odd",), ("odd", "odder")], strict=True):
        board.begin(cell)
        record = Record(cell.config, metrics, history, [], {}, {}, {}, notices=notices)
        lines.append(board.end(Done(cell.config.key, record)).splitlines())
    assert [said[1:] for said in lines] == [["odd"], ["odder"]]


def test_a_quick_look_does_not_replace_a_result(mlruns: Path) -> None:
    assert conduct(toy()) == 0
    shown = mlruns / "tables" / "toy" / "table.csv"
    assert not pd.read_csv(shown)["quick"].any()
    before = shown.read_bytes()
    assert conduct(toy(), "--quick") == 0
    assert shown.read_bytes() == before
    assert (mlruns / "tables" / "toy" / "quick-mnist-5k" / "table.csv").exists()


def test_a_sweep_that_is_held_is_left_alone(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    folder = mlruns / "optuna" / "toy"
    folder.mkdir(parents=True)
    (folder / "mnist-5k.owner").write_text("process 4711 on somewhere")
    with FileLock(folder / "mnist-5k.lock"):
        assert conduct(toy()) == 2
    assert "process 4711 on somewhere" in capsys.readouterr().err


def test_a_crash_becomes_a_failure_with_its_traceback(tiny: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("vaestudy.sweep.worker_pool.execute", broken)
    outcome = work(tiny, Path(), lambda epoch, metrics: None)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "MemoryError: no room"
    assert "broken" in outcome.traceback
    assert not outcome.diverged


def test_parent_reads_well_and_stands_with_numbers(mlruns: Path) -> None:
    assert conduct(toy()) == 0
    tracker = Tracker(paths.tracking_uri(None))
    experiment = tracker.experiments()["toy"]
    (row,) = tracker.runs(experiment, {"role": "study"}).to_dict("records")
    assert row["metrics.runs/finished"] == 4
    assert row["metrics.by_latent_dim/test/elbo"] < 0
    note = row["tags.mlflow.note.content"]
    assert note.startswith("## Does a toy work?")
    assert "\u00a0latent_dim\u00a0" in note
    text = tracker.read_file(row["run_id"], "tables/table.tex").decode()
    assert r"\toprule" in text
    assert r"\pm" in text
    assert export.export(tracker, experiment, row["run_id"]).folder == mlruns / "tables" / "toy"


class TestDesign:
    def test_cells_are_the_product_with_seeds_outermost(self) -> None:
        study = toy()
        cells = declaration.cells(study.base, study.levels(full=True, quick=False, given={}), 2)
        assert [(c.levels["latent_dim"], c.config.seed) for c in cells] == [(D, s) for s in (0, 1) for D in (2, 3, 5)]
        assert len({c.config.key for c in cells}) == 6

    def test_quick_keeps_few_cells(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 1, "samples": 1})  # fmt: skip
        levels = study.levels(full=False, quick=True, given={})
        assert levels == {"latent_dim": (1, 5), "samples": (1, 3)}

    def test_what_is_left_out(self) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        levels = study.levels(full=False, quick=False, given={})
        found = {(c.levels["estimator"], c.levels["samples"]) for c in study.plan(study.base, levels, 2)}
        assert found == {("sgvb-b", 1), ("sgvb-b", 2), ("score-function-loo", 2)}
        alone = {"estimator": ("score-function-loo",), "samples": (1,)}
        with pytest.raises(BadInput, match=r"no cell is left: .*estimator=score-function-loo, samples=1"):
            study.plan(study.base, alone, 2)

    def test_a_level_may_be_undefined_with_the_base(self, mlruns: Path) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        assert conduct(study, "--estimator", "score-function-loo", "--samples", "1", "2", "--seeds", "1") == 0
        children, _ = books(mlruns)
        assert children["params.samples"].tolist() == ["2"]

    def test_quick_keeps_the_baseline(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 3, "samples": 1})  # fmt: skip
        assert study.levels(full=False, quick=True, given={}) == {"latent_dim": (1, 3, 5), "samples": (1, 3)}

    def test_given_levels(self) -> None:
        assert toy().levels(full=False, quick=False, given={"latent_dim": (7,)}) == {"latent_dim": (7,)}

    @pytest.mark.parametrize(
        "changes", [{"factors": {"nope": (1,)}}, {"baseline": {}}, {"name": "../up"}, {"leave_out": ({"nope": 1},)}]
    )
    def test_a_wrong_declaration_is_refused(self, changes: dict) -> None:
        with pytest.raises(ValueError, match=r"nope|baseline|name"):
            toy(**changes)

    def test_every_study_file_says_its_question_and_minutes(self) -> None:
        found = declaration.listing(ROOT / "studies")
        assert [s.name for s in found]
        for study in found:
            assert study.question.endswith("?")
            assert study.minutes != "?"

    def test_find(self) -> None:
        assert declaration.find(ROOT / "studies", "latent_dims").name == "latent-dims"
        with pytest.raises(BadInput, match="did you mean 'latent-dims'"):
            declaration.find(ROOT / "studies", "latent-dim")


def test_a_likelihood_is_crossed_with_its_own_options_alone() -> None:
    study = by_likelihood()
    cells = declaration.cells(study.base, study.levels(full=True, quick=False, given={}), 1)
    arms = [(c.config.likelihood, c.config.likelihood_scale) for c in cells]
    assert arms == [
        ("bernoulli", "per-pixel"),
        ("gaussian", "per-pixel"),
        ("gaussian", "optimal"),
        ("discretised-logistic", "per-pixel"),
    ]


def test_a_study_that_would_mix_kinds_of_nats_cannot_be_declared() -> None:
    for metric in ("test/elbo", "valid/elbo", "test/iwae_3", "test/continuous_bernoulli_iwae_3"):
        with pytest.raises(ValueError, match="nats of bernoulli and density and mass likelihoods"):
            by_likelihood(tabulate=("test/bits_per_dim", metric))
    toy(factors={"likelihood": ("gaussian", "beta")}, full={}, baseline={"likelihood": "beta"})


def test_study_of_likelihoods_end_to_end(mlruns: Path) -> None:
    """One table of all kinds by bits/dim, an arm's missing options left blank, and the pictures."""
    study = by_likelihood()
    assert conduct(study, "--seeds", "1") == 0
    folder = mlruns / "tables" / "toy"
    table = pd.read_csv(folder / "table.csv")
    assert table["test/bits_per_dim"].between(2, 20).all()
    assert len(table) == 3
    assert set(study.tabulate) <= set(pd.read_csv(folder / "runs.csv"))
    shown = (folder / "table.md").read_text()
    rows = [line.split("|")[1:4] for line in shown.splitlines() if line.startswith("| bernoulli")]
    assert [[cell.strip() for cell in row] for row in rows] == [["bernoulli", "", "3"]]
    assert "which is no density, those of the continuous Bernoulli" in shown
    for picture in ("arms", "decoder_samples"):
        assert (folder / f"{picture}.png").stat().st_size > 10_000


def test_a_diverged_cell_is_named_with_its_epoch(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaestudy.training.train.EXPLODED", -650.0)
    study = toy(
        base=toy().base.but(epochs=2, minibatch=10),
        factors={"learning_rate": (1e-3, 10.0)},
        full={},
        baseline={"learning_rate": 1e-3},
    )
    assert conduct(study, "--seeds", "1") == 0
    table = pd.read_csv(mlruns / "tables" / "toy" / "table.csv").set_index("learning_rate")
    assert table["failed"].to_dict() == {0.001: 0, 10.0: 1}
    assert math.isnan(table.loc[10.0, "test/elbo"])
    notes = (mlruns / "tables" / "toy" / "table.md").read_text()
    assert re.search(r"learning_rate=10: 1 of 1 failed: .*epoch \d+", notes)
