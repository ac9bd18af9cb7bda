"""Test one search by itself, on objectives that are a formula: no model is trained.

Every sampler must repeat exactly, also if the driver is killed at any moment and another one goes on.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.plan import Arm
from vaestudy.study.search import PRUNERS, SAMPLERS, TAKEN_OVER, Search
from vaestudy.study.search_space import Choices, FloatRange, IntRange
from vaestudy.sweep.arm_search import ArmSearch, OpenTrial
from vaestudy.sweep.proposals import open_study

BASE = RunConfig(dataset="mnist-5k", epochs=9, valid_size=500)
SPACE = {
    "learning_rate": FloatRange(low=1e-5, high=1e-1, log=True),
    "latent_dim": IntRange(low=2, high=40),
    "hidden": Choices((32,), (64, 32), (128,)),
    "optimizer": Choices("adam", "adagrad"),
    "optimizer_epsilon": FloatRange(low=1e-8, high=1e-2, log=True, when={"optimizer": ("adam",)}),
}


class Killed(Exception):
    """What stands for a kill of the driver in these tests."""


WRITES = ("create_new_trial", "set_trial_param", "set_trial_intermediate_value", "set_trial_user_attr",
          "set_trial_system_attr", "set_trial_state_values", "set_study_user_attr",
          "set_study_system_attr")  # fmt: skip
"""The methods of Optuna's storage by which a search writes."""


class FragileStorage(InMemoryStorage):
    """A storage in which the driver is killed before a write, again and again.

    Args:
        first: the number of the first write that does not happen.
        every: the number of writes from one kill to the next.
    """

    def __init__(self, first: int, every: int) -> None:
        super().__init__()
        self.left, self.every, self.kills = first, every, 0

    def __getattribute__(self, name: str) -> Any:
        if name in WRITES:
            self.left -= 1
            if self.left < 0:
                self.left, self.kills = self.every, self.kills + 1
                raise Killed
        return super().__getattribute__(name)


def value(config: RunConfig, epoch: int) -> float:
    """Return an objective that has its best point inside the space and rises with the epoch."""
    far = (math.log10(config.learning_rate) + 3) ** 2 + abs(config.latent_dim - 12) / 10 + config.seed % 7 / 10
    return -far - config.hidden[0] / 100 - 5.0 / epoch


def search(**changes: Any) -> Search:
    return Search(**({"space": SPACE, "trials": 25, "pruner": "HyperbandPruner"} | changes))


def arm_search(declared: Search, storage: Any, base: RunConfig = BASE) -> ArmSearch:
    study = open_study(storage, "toy/search", declared, base.epochs or 1)
    return ArmSearch(Arm("", {}, base), declared, study, lambda config: {"memory": config.hidden[0] / 100 - 1.2})


def train(one: ArmSearch, opened: OpenTrial, kill: Any, recorded: dict[str, Any] | None = None) -> None:
    """Train the runs that a trial has left, by the formula; those that are recorded are not trained again."""
    recorded = {} if recorded is None else recorded
    while opened.trial.number in one.open:
        config = opened.next_config
        if config.key not in recorded:
            for epoch in range(1, 10):
                kill()
                metrics = {"valid/elbo": value(config, epoch), "valid/kl": float(config.latent_dim)}
                metrics["valid/log_likelihood"] = metrics["valid/elbo"] + metrics["valid/kl"]
                if one.judge(opened, epoch, metrics):
                    recorded[config.key] = metrics, epoch
                    break
            else:
                recorded[config.key] = metrics, None
        metrics, pruned_epoch = recorded[config.key]
        if pruned_epoch is None:
            one.run_ended(opened, metrics, 9, None)
        else:
            one.run_pruned(opened, pruned_epoch, None)


def complete(declared: Search, kill_every: int | None = None, storage: Any = None) -> list[tuple[Any, ...]]:
    """Make a search, with a kill after every so many epochs; return what it left in Optuna."""
    storage, calls = storage or InMemoryStorage(), 0
    recorded: dict[str, Any] = {}

    def kill() -> None:
        nonlocal calls
        calls += 1
        if kill_every is not None and calls % kill_every == 0:
            raise Killed

    while True:
        try:
            one = arm_search(declared, storage)
            for opened in one.adopt():
                train(one, opened, kill, recorded)
            while (opened := one.ask()) is not None:
                train(one, opened, kill, recorded)
        except Killed:
            continue
        return [
            (
                t.number,
                t.state,
                t.params,
                t.values,
                t.intermediate_values,
                {name: value for name, value in t.user_attrs.items() if name != TAKEN_OVER},
                t.constraints,
            )
            for t in one.trials()
        ]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_repeats_exactly_also_after_kills(sampler: str) -> None:
    if sampler == "GPSampler":  # its model takes seconds
        space = {name: SPACE[name] for name in ("learning_rate", "latent_dim")} | {"hidden": Choices((32,))}
        declared = search(sampler=sampler, trials=4, space=space)
        assert complete(declared, kill_every=13) == complete(declared)
        return
    declared = search(sampler=sampler, trials=15)
    once = complete(declared)
    assert complete(declared) == once
    assert complete(declared, kill_every=13) == once
    assert len({tuple(params.items()) for _, _, params, *_ in once}) >= 15
    assert complete(search(sampler=sampler, seed=1)) != once


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("TPESampler", "HyperbandPruner"),
        ("QMCSampler", "MedianPruner"),
        ("CmaEsSampler", "HyperbandPruner"),
        ("RandomSampler", "WilcoxonPruner"),
    ],
)
def test_a_kill_before_any_write_to_optuna_changes_no_trial(sampler: str, pruner: str) -> None:
    seeds = {"seeds": 3} if pruner == "WilcoxonPruner" else {}
    declared = search(sampler=sampler, pruner=pruner, trials=5, **seeds)
    once = complete(declared)
    for first in range(0, 29, 2):  # with another distance of kills, other writes are hit
        storage = FragileStorage(first, every=29)
        assert complete(declared, storage=storage) == once
        assert storage.kills >= 3


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "WilcoxonPruner"])
def test_pruners_save_epochs_and_keep_the_best(pruner: str) -> None:
    found = complete(search(pruner=pruner, sampler="RandomSampler"))
    pruned = [t for t in found if t[5]["outcome"] == "pruned"]
    assert bool(pruned) == (pruner != "NopPruner")
    best = max(t[3][0] for t in found if t[5]["outcome"] == "complete")
    assert best > max([t[3][0] for t in pruned], default=-math.inf)
    assert all(
        len(t[4]) == t[5]["epochs"] == 9 - t[5]["epochs_saved"] for t in found if t[5]["outcome"] != "infeasible"
    )


def test_the_wilcoxon_pruner_gets_one_value_for_each_seed() -> None:
    found = complete(search(pruner="WilcoxonPruner", seeds=7, trials=12))
    outcomes = {t[5]["outcome"] for t in found}
    assert {"complete", "pruned"} <= outcomes
    assert all(len(t[4]) < 7 for t in found if t[5]["outcome"] == "pruned")
    assert all(len(t[4]) == 7 for t in found if t[5]["outcome"] == "complete")
    assert complete(search(pruner="WilcoxonPruner", seeds=7, trials=12), kill_every=17) == found


def test_infeasible_trials_cost_nothing_and_are_constraints() -> None:
    found = complete(search(sampler="TPESampler", trials=30))
    infeasible = [t for t in found if t[5]["outcome"] == "infeasible"]
    assert infeasible
    assert all(t[2]["hidden"] == "128" and t[6]["memory"] > 0 and t[1] == TrialState.PRUNED for t in infeasible)
    assert len(found) - len(infeasible) == 30
    late = [t for t in found if t[0] >= 20]
    assert sum(t in infeasible for t in late) < len(late) / 3  # the sampler has learned the constraint


def test_a_space_without_a_feasible_configuration_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaestudy.sweep.arm_search.MOST_INFEASIBLE", 5)
    one = arm_search(search(space={"hidden": Choices((128,), (256,))}), InMemoryStorage())
    with pytest.raises(
        BadInput, match="5 configurations of its space are infeasible; the last: violates the limit of memory"
    ):
        one.ask()


def test_trials_of_one_configuration_at_once_are_trained_once() -> None:
    one = arm_search(
        search(space={"hidden": Choices((32,), (64, 32))}, trials=6, pruner="NopPruner"), InMemoryStorage()
    )
    first, second = one.ask(), one.ask()
    assert first is not None
    assert second is not None
    assert one.ask() is None  # the other trials repeat these two
    train(one, second, lambda: None)
    train(one, first, lambda: None)
    trials = one.trials()
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 6
    assert sorted(t.user_attrs["outcome"] for t in trials) == ["complete"] * 2 + ["repeated"] * 4
    for trial in trials:
        (twin,) = (t for t in trials if t.params == trial.params and t.user_attrs["outcome"] == "complete")
        assert (trial.value, trial.intermediate_values) == (twin.value, twin.intermediate_values)
        assert trial.user_attrs.get("same_as", trial.number) == twin.number


def test_a_crashed_trial_ends_its_followers_too_and_is_replaced_by_the_next_driver() -> None:
    storage = InMemoryStorage()
    declared = search(space={"hidden": Choices((32,))}, trials=2, pruner="NopPruner")
    one = arm_search(declared, storage)
    opened = one.ask()
    assert opened is not None
    assert one.ask() is None
    one.run_failed(opened, "broken", False, None)
    assert [t.user_attrs["outcome"] for t in one.trials()] == ["failed", "failed"]
    again = arm_search(declared, storage)
    opened = again.ask()
    assert opened is not None
    train(again, opened, lambda: None)
    assert len(again.counted()) == 1


def test_the_best_trial_is_the_earliest_of_equals_within_the_budget(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    one = arm_search(search(sampler="RandomSampler", trials=12, pruner="NopPruner"), storage)
    while (opened := one.ask()) is not None:
        train(one, opened, lambda: None)
    values = [trial.value or -math.inf for trial in one.counted()]
    best = one.best()
    assert best is not None
    assert best.value == max(values)
    fewer = arm_search(search(sampler="RandomSampler", trials=4, pruner="NopPruner"), storage)
    assert fewer.ask() is None
    less = fewer.best()
    assert less is not None
    assert less.value == max(values[:4])


def test_trials_of_another_declaration_are_refused() -> None:
    storage = InMemoryStorage()
    arm_search(search(), storage).ask()
    arm_search(search(trials=50), storage)  # a larger budget is the same search
    with pytest.raises(BadInput, match=r"made under another declaration \(differs in: sampler\)"):
        arm_search(search(sampler="RandomSampler"), storage)
    with pytest.raises(BadInput, match=r"\(differs in: base\)"):
        arm_search(search(), storage, BASE.with_changes(minibatch=50))
