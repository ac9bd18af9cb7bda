"""Test searched studies: the trials in Optuna and their runs in MLflow, budgets, pruning, resuming and repeating."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.support.studies import recorded, run_study, searching, toy, trials_of
from vaestudy.cli import commands
from vaestudy.errors import BadInput
from vaestudy.run.record import RunFailure
from vaestudy.runtime import addresses
from vaestudy.study.search import TRIAL_SEED
from vaestudy.study.search_space import Choices, FloatRange
from vaestudy.sweep import worker_pool
from vaestudy.tracking.mlflow_tracker import Tracker

RATE = {"learning_rate": FloatRange(low=1e-4, high=1e-1, log=True)}


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the tables and figures, which `tests/reporting` covers."""
    monkeypatch.setattr(commands, "_show_results", lambda to, out: None)


def runs_of(study: str = "toy-search", sweep: str = "mnist-5k") -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Return (the runs of trials, the runs of cells, the sweep run's final.json) from MLflow."""
    tracker = Tracker(addresses.tracking_uri(None))
    experiment = tracker.experiments()[study]
    (parent,) = tracker.runs(experiment, {"role": "study", "sweep": sweep})["run_id"]
    final = json.loads(tracker.read_file(parent, "search/final.json"))
    searched, cells = (tracker.runs(experiment, {"role": role}, parent) for role in ("search", "trial"))
    return searched, cells, final


def essence(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    """Return what must be equal in two executions of one search."""
    return [
        (t.number, t.state, t.params, t.values, t.intermediate_values, t.user_attrs["outcome"], t.user_attrs["epochs"])
        for t in trials
    ]


def test_a_search_compares_its_best_with_the_base_on_fresh_seeds(mlruns: Path) -> None:
    assert run_study(searching()) == 0
    trials = trials_of(mlruns)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    searched, cells, final = runs_of()
    assert not [column for column in searched if column.startswith("metrics.test/")]  # test is not touched
    assert set(searched["params.seed"]) == {str(TRIAL_SEED)}
    assert set(searched["tags.outcome"]) == {"complete"}
    assert sorted(searched["tags.trial"]) == list("01234")
    for row in searched.to_dict("records"):
        trial = trials[int(row["tags.trial"])]
        assert float(row["params.learning_rate"]) == trial.params["learning_rate"]
        assert row["metrics.valid/elbo"] == trial.value
        assert trial.user_attrs["run_ids"] == [row["run_id"]]
    best = max(trials, key=lambda trial: trial.value or 0)
    assert final["best"]["trial"] == best.number
    assert final["best"]["levels"] == best.params
    assert sorted(cells["tags.config.key"]) == sorted(final["best"]["keys"] + final["base"]["keys"])
    assert set(cells["params.seed"]) == {"0", "1"}
    assert cells["metrics.test/elbo"].notna().all()


def test_a_larger_budget_goes_on_with_the_same_trials(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(searching(seeds=1), "--trials", "2") == 0
    first = essence(trials_of(mlruns))
    assert run_study(searching(seeds=1), "--trials", "4") == 0
    assert len(trials_of(mlruns)) == 4
    assert essence(trials_of(mlruns))[:2] == first
    assert "4 trials, 2 done" in capsys.readouterr().err


def test_a_search_in_one_process_repeats_exactly(mlruns: Path) -> None:
    search = {"sampler": "TPESampler", "trials": 6, "pruner": "HyperbandPruner"}
    study = searching(search, seeds=1, base=toy().base.with_changes(epochs=3))
    assert run_study(study) == 0
    assert run_study(study, "--fresh") == 0
    once, again = trials_of(mlruns), trials_of(mlruns, sweep="mnist-5k~2")
    assert essence(once) == essence(again)
    assert {trial.state for trial in once} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_hopeless_trial_stops_early_and_is_pruned_in_optuna_and_in_mlflow(mlruns: Path) -> None:
    space = {"learning_rate": Choices(1e-3, 1e-9, 2e-9, 3e-9, 4e-9)}
    search = {"space": space, "trials": 8, "pruner": "HyperbandPruner"}
    study = searching(search, base=toy().base.with_changes(epochs=9), seeds=1)
    assert run_study(study) == 0
    trials = trials_of(mlruns)
    pruned = [trial for trial in trials if trial.user_attrs["outcome"] == "pruned"]
    assert pruned
    searched, _, _ = runs_of()
    for trial in pruned:
        assert trial.state == TrialState.PRUNED
        epoch = trial.user_attrs["pruned_epoch"]
        assert max(trial.intermediate_values) == epoch < 9
        assert trial.user_attrs["epochs_saved"] == 9 - epoch
        (run,) = searched[searched["run_id"] == trial.user_attrs["run_ids"][0]].to_dict("records")
        assert (run["status"], run["tags.outcome"]) == ("KILLED", "pruned")
        assert (run["metrics.pruned/epoch"], run["metrics.pruned/epochs_saved"]) == (epoch, 9 - epoch)
    for trial in trials:  # a configuration that was tried before is not trained again
        if trial.user_attrs["outcome"] == "repeated":
            earlier = trials[trial.user_attrs["same_as"]]
            assert (trial.values, trial.params, trial.state) == (earlier.values, earlier.params, earlier.state)
    counts = Counter(trial.user_attrs["outcome"] for trial in trials)
    assert len(searched) == counts["pruned"] + counts["complete"]


def test_conditional_fields_are_asked_for_only_where_they_have_a_meaning(mlruns: Path) -> None:
    space = {
        "likelihood": Choices("beta", "gaussian"),
        "likelihood_scale": Choices("learned", "optimal"),
        "optimizer": Choices("adam", "adagrad"),
        "optimizer_epsilon": FloatRange(low=1e-8, high=1e-4, log=True, when={"optimizer": ("adam",)}),
    }
    base = toy().base.with_changes(pixels="dequantised", likelihood="beta")
    assert run_study(searching({"space": space, "trials": 8, "sampler": "TPESampler"}, base=base, seeds=1)) == 0
    trials = trials_of(mlruns)
    assert {trial.params["likelihood"] for trial in trials} == {"beta", "gaussian"}
    for trial in trials:
        assert ("likelihood_scale" in trial.params) == (trial.params["likelihood"] == "gaussian")
        assert ("optimizer_epsilon" in trial.params) == (trial.params["optimizer"] == "adam")
        assert trial.state == TrialState.COMPLETE


def test_undefined_and_too_large_configurations_are_constraints_and_are_not_run(mlruns: Path) -> None:
    space = {
        "estimator": Choices("score-function-loo", "sgvb-b"),  # score-function-loo needs two samples
        "samples": Choices(1, 2),
        "hidden": Choices((16,), (100_000_000,)),
    }
    assert run_study(searching({"space": space, "trials": 6, "seed": 1})) == 0
    trials = trials_of(mlruns)
    infeasible = [trial for trial in trials if trial.user_attrs["outcome"] == "infeasible"]
    undefined = [t for t in infeasible if t.constraints.get("undefined", 0) > 0]
    too_large = [t for t in infeasible if t.constraints.get("memory", 0) > 0]
    assert undefined
    assert too_large
    assert len(undefined) + len(too_large) == len(infeasible)
    assert "compares each draw with the others" in undefined[0].user_attrs["reason"]
    for trial in trials:
        wrong = trial.params["estimator"] == "score-function-loo" and trial.params["samples"] == 1
        assert (trial in infeasible) == (wrong or trial.params["hidden"] != "16")
        assert (trial.state == TrialState.PRUNED) == (trial in infeasible)
    assert len(trials) - len(infeasible) == 6  # the budget counts what was tried


def test_a_diverged_trial_is_told_apart_from_a_failed_one(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safely = worker_pool.run_safely

    def crash_at_fifteen(config: Any, *rest: Any) -> Any:
        if config.minibatch == 15 and not config.test_scores:
            return RunFailure("broken", "trace", diverged=False)
        return safely(config, *rest)

    monkeypatch.setattr(worker_pool, "run_safely", crash_at_fifteen)
    base = toy().base.with_changes(epochs=3, subset=200)
    space = {"learning_rate": Choices(1e-3, 1e6), "minibatch": Choices(15, 30)}
    assert run_study(searching({"space": space, "trials": 8}, base=base), "--retries", "0") == 0
    trials = trials_of(mlruns)
    outcomes = {(t.params["learning_rate"], t.params["minibatch"]): t.user_attrs["outcome"] for t in trials}
    assert outcomes[1e6, 30] == "diverged"
    assert {outcomes.get((rate, 15), "failed") for rate in (1e-3, 1e6)} == {"failed"}
    searched, _, _ = runs_of()
    for trial in trials:
        assert trial.state == (
            TrialState.FAIL if trial.user_attrs["outcome"] in ("diverged", "failed") else TrialState.COMPLETE
        )
    by_outcome = searched.groupby("tags.outcome")["status"].unique()
    assert by_outcome["diverged"].tolist() == by_outcome["failed"].tolist() == ["FAILED"]
    assert by_outcome["complete"].tolist() == ["FINISHED"]

    monkeypatch.setattr(worker_pool, "run_safely", safely)
    assert (
        run_study(searching({"space": space, "trials": 8}, base=base)) == 0
    )  # failed trials are replaced the next time
    counted = [t for t in trials_of(mlruns) if t.user_attrs["outcome"] != "failed"]
    assert len(counted) == 8


def test_the_wilcoxon_pruner_compares_seeds(mlruns: Path) -> None:
    space = {"learning_rate": Choices(3e-2, 1e-3, 1e-9, 2e-9, 3e-9)}
    study = searching({"space": space, "trials": 6, "pruner": "WilcoxonPruner", "seeds": 6}, seeds=1)
    assert run_study(study) == 0
    trials = trials_of(mlruns)
    complete = [t for t in trials if t.user_attrs["outcome"] == "complete"]
    pruned = [t for t in trials if t.user_attrs["outcome"] == "pruned"]
    assert pruned
    for trial in complete:
        assert sorted(trial.intermediate_values) == list(range(6))
        assert trial.value == pytest.approx(sum(trial.intermediate_values.values()) / 6)
        assert len(trial.user_attrs["run_ids"]) == 6
    for trial in pruned:
        assert trial.params["learning_rate"] != 3e-2
        assert len(trial.user_attrs["run_ids"]) == len(trial.intermediate_values) < 6
        assert trial.user_attrs["epochs_saved"] == 6 - len(trial.intermediate_values)


def test_a_budget_in_epochs_is_not_exceeded(mlruns: Path) -> None:
    search = {"trials": None, "epochs": 22, "pruner": "MedianPruner"}
    assert run_study(searching(search, base=toy().base.with_changes(epochs=4), seeds=1)) == 0
    spent = sum(trial.user_attrs["epochs"] for trial in trials_of(mlruns))
    assert 22 - 4 < spent <= 22


def test_two_objectives_give_a_front_and_keep_the_cells(mlruns: Path) -> None:
    search = {"sampler": "NSGAIISampler", "objectives": ("valid/kl", "valid/log_likelihood")}
    study = searching(search, factors={"latent_dim": (2, 3)}, baseline={"latent_dim": 2})
    assert run_study(study) == 0
    trials = trials_of(mlruns)
    assert [len(trial.values or ()) for trial in trials] == [2] * 5
    _, cells, final = runs_of()
    assert final == {}
    assert sorted(cells["params.latent_dim"]) == ["2", "2", "3", "3"]


def test_tune_gives_each_arm_the_same_budget_and_retrains_its_winner(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two places the arms are searched side by side, and each repeats exactly all the same."""
    flags = ["--tune", "learning_rate", "--tune-budget", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(worker_pool.InlinePool, "count", 2)
        assert run_study(toy(), *flags) == 0
    sweep = "mnist-5k-tune=learning_rate"
    arms = {f"latent_dim={d}": trials_of(mlruns, f"latent_dim={d}", sweep, "toy") for d in (2, 3)}
    searched, cells, final = runs_of("toy", sweep)
    assert {arm: len(trials) for arm, trials in arms.items()} == {"latent_dim=2": 2, "latent_dim=3": 2}
    rates = [[trial.params["learning_rate"] for trial in trials] for trials in arms.values()]
    assert rates[0] == rates[1]  # the same points of the same space
    assert searched.groupby("tags.arm").size().to_dict() == {"latent_dim=2": 2, "latent_dim=3": 2}
    for arm, trials in arms.items():
        best = max(trials, key=lambda trial: trial.value or 0)
        assert final[arm]["levels"] == best.params
        mine = cells[cells["params.latent_dim"] == arm.removeprefix("latent_dim=")]
        assert sorted(mine["params.seed"]) == ["0", "1"]
        assert {float(rate) for rate in mine["params.learning_rate"]} == {best.params["learning_rate"]}
    assert run_study(toy(), *flags, "--fresh") == 0
    for arm, trials in arms.items():
        assert essence(trials) == essence(trials_of(mlruns, arm, f"{sweep}~2", "toy"))
    assert run_study(toy()) == 0  # the untuned study is another sweep
    assert len(recorded(mlruns)[0]) == 4


def test_a_changed_declaration_is_refused(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(searching({"trials": 1}, seeds=1)) == 0
    other = {"learning_rate": FloatRange(low=1e-4, high=1e-2, log=True)}
    assert run_study(searching({"space": other, "trials": 1}, seeds=1)) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "made under another declaration (differs in: space); --fresh" in line
    assert len(trials_of(mlruns)) == 1
    assert run_study(searching({"space": other, "trials": 1}, seeds=1), "--fresh") == 0


@pytest.mark.parametrize(
    ("study", "flags", "parts"),
    [
        (toy, ["--tune", "latent_dim"], ["--tune latent_dim: is a factor of this study", "--without latent_dim"]),
        (toy, ["--tune", "learning_rat"], ["--tune: unknown field 'learning_rat'", "'learning_rate'"]),
        (
            toy,
            ["--tune", "learning_rate", "--tune-budget", "0"],
            ["--tune-budget 0: must be a whole number, 1 or more"],
        ),
        (toy, ["--tune-budget", "3"], ["--tune-budget 3: goes with --tune FIELD"]),
        (toy, ["--sampler", "QMCSampler"], ["--sampler QMCSampler: goes with --tune FIELD"]),
        (toy, ["--timeout", "3"], ["--timeout 3: limits a search"]),
        (toy, ["--tune", "learning_rate", "--sampler", "TPE"], ["unknown sampler 'TPE' (did you mean 'TPESampler'?)"]),
        (toy, ["--without", "latent_dim"], ["--without latent_dim: no factor is left"]),
        (toy, ["--without", "sigma"], ["--without: unknown factor 'sigma'", "latent_dim"]),
        (toy, ["--tune", "learning_rate", "--pruner", "WilcoxonPruner"], ["seeds must be 2 or more, not 1"]),
        (searching, ["--trials", "0"], ["--trials 0: must be a whole number, 1 or more"]),
        (searching, ["--pruner", "HyperBand"], ["unknown pruner 'HyperBand' (did you mean 'HyperbandPruner'?)"]),
        (searching, ["--timeout", "0"], ["--timeout 0: must be a finite number, above 0"]),
        (searching, ["--tune", "learning_rate"], ["unknown flag '--tune'"]),
        (searching, ["--valid-size", "0"], ["--valid-size 0", "valid/elbo"]),
    ],
)
def test_bad_flags_of_a_search(
    study: Any, flags: list[str], parts: list[str], mlruns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study(study(), *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in parts:
        assert part in line
    assert not mlruns.exists()


def test_a_study_without_factors_has_no_other_factor(mlruns: Path) -> None:
    two = toy(
        factors={"latent_dim": (2, 3), "learning_rate": (1e-3, 1e-2)}, full={},
        baseline={"latent_dim": 2, "learning_rate": 1e-2}, leave_out=({"latent_dim": 3, "learning_rate": 1e-3},),
        seeds=1,
    )  # fmt: skip
    flags = ["--without", "learning_rate", "--tune", "learning_rate", "--tune-budget", "1"]
    assert run_study(two, *flags) == 0
    _, cells, final = runs_of("toy", "mnist-5k-without=learning_rate-tune=learning_rate")
    assert sorted(final) == ["latent_dim=2", "latent_dim=3"]
    assert len(cells) == 2


def test_declarations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="cannot be tuned for each of its levels"):
        toy(search=searching().search.model_copy(update={"per_arm": True}), factors={"minibatch": (15, 30)},
            baseline={"minibatch": 15}, full={})  # fmt: skip
    with pytest.raises(BadInput, match="needs validation images"):
        searching(base=toy().base.with_changes(valid_size=0))
