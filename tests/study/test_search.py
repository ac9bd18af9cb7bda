"""Test the declaration of a search: its space, conditions, budget and objectives, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.studies import searching, toy
from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.study.declaration import Study
from vaestudy.study.plan import BASE, BEST, Plan
from vaestudy.study.search import TRIAL_SEED, Search
from vaestudy.study.search_space import (
    DEFAULT_SPACE,
    Choices,
    FloatRange,
    IntRange,
    ask_levels,
    candidate,
    require_space,
    searched_levels,
)
from vaestudy.study.sweep import Sweep

RATE = {"learning_rate": FloatRange(low=1e-4, high=1e-2, log=True)}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"space": {}}, ["space: is empty"]),
        ({"space": {"lr": Choices(1)}}, ["space: unknown field 'lr'", "learning_rate"]),
        ({"space": {"seed": Choices(1, 2)}}, ["space seed: cannot be searched"]),
        ({"space": {"epochs": Choices(1, 2)}}, ["space epochs: cannot be searched", "the base sets it"]),
        ({"space": {"learning_rate": FloatRange(low=0, high=1, log=True)}}, ["0 to 1", "must begin above 0"]),
        ({"space": {"learning_rate": FloatRange(low=1, high=0.1)}}, ["1 to 0.1", "must be below the upper"]),
        (
            {"space": {"learning_rate": FloatRange(low=0, high=1)}},
            ["learning_rate 0.0: must be a finite number, above 0"],
        ),
        ({"space": {"samples": IntRange(low=0, high=3)}}, ["samples 0: must be a whole number, 1 or more"]),
        ({"space": {"samples": FloatRange(low=1, high=3)}}, ["give the range by IntRange"]),
        ({"space": {"learning_rate": IntRange(low=1, high=3)}}, ["give the range by FloatRange"]),
        ({"space": {"hidden": IntRange(low=1, high=3)}}, ["its values are no numbers; give them by Choices"]),
        ({"space": {"sigma": Choices()}}, ["space sigma: has no choice"]),
        ({"space": {"sigma": Choices("raw", "raw")}}, ["the choice raw is given twice"]),
        ({"space": {"sigma": Choices("rough")}}, ["unknown sigma 'rough'"]),
        ({"space": RATE | {"sigma": Choices("raw", when={"sigmo": ("raw",)})}}, ["when: unknown field 'sigmo'"]),
        (
            {"space": {"samples": Choices(1, 2, when={"sigma": ("raw",)}), "sigma": Choices("raw", "abs")}},
            ["when sigma: sigma is asked for later; put it before samples"],
        ),
        ({"space": {"likelihood": Choices("bernoulli", "beta")}}, ["nats of bernoulli and density", "valid/elbo"]),
        ({"trials": 0}, ["trials 0: must be 1 or more"]),
        ({"trials": None}, ["has no budget; give trials or epochs"]),
        ({"objectives": "test/elbo"}, ["objective test/elbo", "only for the final scores", "valid/elbo"]),
        ({"objectives": "valid/elbow"}, ["unknown objective 'valid/elbow' (did you mean 'valid/elbo'?)"]),
        ({"objectives": ("valid/kl", "valid/kl")}, ["is given twice"]),
        ({"sampler": "TPE"}, ["unknown sampler 'TPE' (did you mean 'TPESampler'?)"]),
        ({"pruner": "HyperbandPrunner"}, ["unknown pruner 'HyperbandPrunner' (did you mean 'HyperbandPruner'?)"]),
        ({"pruner": "WilcoxonPruner"}, ["seeds must be 2 or more, not 1"]),
        ({"pruner": "MedianPruner", "seeds": 3}, ["seeds must be 1, not 3", "WilcoxonPruner"]),
        ({"objectives": ("valid/kl", "valid/elbo"), "pruner": "MedianPruner"}, ["compares one objective"]),
        ({"objectives": ("valid/kl", "valid/elbo"), "sampler": "CmaEsSampler"}, ["searches for one objective"]),
        ({"colour": 3}, ["unknown field of a search 'colour'", "space"]),
        ({"per_arm": True}, ["the study has no factors"]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        searching(changes)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (lambda: FloatRange(low="x", high=1), "FloatRange low 'x': input should be a valid number"),
        (lambda: IntRange(low=1, hgh=2), "IntRange: high is missing"),
        (lambda: IntRange(low=1, high=2, lg=True), "unknown field of IntRange 'lg' (did you mean 'log'?)"),
        (lambda: Choices(1, wen={}), "unknown field of Choices 'wen' (did you mean 'when'?)"),
        (lambda: Choices(object()), "Choices levels"),
    ],
)
def test_a_dimension_that_is_not_valid_is_one_line(dimension: Any, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        dimension()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_declaration_is_read_back_from_its_record() -> None:
    space = RATE | {
        "hidden": Choices((16,), (32, 16)),
        "optimizer": Choices("adam", "adagrad"),
        "optimizer_epsilon": FloatRange(low=1e-9, high=1e-3, log=True, when={"optimizer": ("adam",)}),
        "latent_dim": IntRange(low=2, high=9),
    }
    study = searching({"space": space, "pruner": "MedianPruner"})
    assert Study.stored(study.model_dump_json()) == study
    assert Study.stored(toy().model_dump_json()).search is None
    former = toy().model_dump(mode="json")
    del former["search"]  # studies were recorded before there were searches
    assert Study.stored(former) == toy()


def test_conditional_fields_are_asked_for_in_order() -> None:
    space = require_space(
        {
            "likelihood": Choices("beta", "gaussian"),
            "likelihood_scale": Choices("learned", "fixed"),
            "likelihood_parameters": Choices("alpha-beta", "mean-concentration"),
            "samples": Choices(1, 5, when={"likelihood_scale": ("fixed",), "estimator": ("sgvb-b",)}),
        },
        RunConfig(),
    )
    base = RunConfig(pixels="dequantised", likelihood="beta", likelihood_parameters="alpha-beta")

    def ask(**answers: Any) -> dict[str, Any]:
        return ask_levels(space, base, lambda field, _: answers[field])

    beta = ask(likelihood="beta", likelihood_parameters="mean-concentration")
    assert list(beta) == ["likelihood", "likelihood_parameters"]
    learned = ask(likelihood="gaussian", likelihood_scale="learned")
    assert list(learned) == ["likelihood", "likelihood_scale"]
    fixed = ask(likelihood="gaussian", likelihood_scale="fixed", samples=5)
    assert list(fixed) == ["likelihood", "likelihood_scale", "samples"]
    config = candidate(base, fixed, seed=4)
    assert (config.likelihood, config.samples, config.seed) == ("gaussian", 5, 4)
    assert config.likelihood_parameters == "mean-concentration"  # the base's is an option of beta
    assert searched_levels(space, config) == fixed


@pytest.mark.parametrize(
    ("dimension", "edges", "inner"),
    [
        (FloatRange(low=1e-4, high=1e-2, log=True), (1e-4, 1.2e-4, 9e-3, 1e-2), (1.4e-4, 1e-3, 7e-3)),
        (FloatRange(low=0.0, high=1.0), (0.0, 0.05, 0.96), (0.06, 0.9)),
        (IntRange(low=2, high=50), (2, 4, 48, 50), (5, 20)),
        (Choices(20, 500, 100), (20, 500), (100,)),
        (Choices(1, 2), (), (1, 2)),
        (Choices("raw", "abs", "softplus"), (), ("raw", "softplus")),
        (Choices(True, False), (), (True,)),
    ],
)
def test_edges_of_a_space(dimension: Any, edges: tuple[Any, ...], inner: tuple[Any, ...]) -> None:
    assert [dimension.is_edge(value) for value in edges] == [True] * len(edges)
    assert [dimension.is_edge(value) for value in inner] == [False] * len(inner)


def test_the_default_space_is_valid_and_contains_the_default_configuration() -> None:
    assert require_space(DEFAULT_SPACE, RunConfig()) == DEFAULT_SPACE
    rate = DEFAULT_SPACE["learning_rate"]
    assert isinstance(rate, FloatRange)
    assert rate.low < RunConfig().learning_rate < rate.high
    assert not rate.is_edge(RunConfig().learning_rate)


def test_a_plan_compares_the_best_with_the_base_on_seeds_that_no_trial_used() -> None:
    study = searching()
    plan = Plan(study, study.base, {}, 3)
    (arm,) = plan.arms
    cells = plan.cells({arm.name: {"learning_rate": 0.01, "minibatch": 15}})
    assert [cell.name for cell in cells] == [f"{what}, seed={seed}" for seed in range(3) for what in (BASE, BEST)]
    assert {cell.config.learning_rate for cell in cells if cell.label == BEST} == {0.01}
    assert all(cell.config.test_scores and cell.config.seed < TRIAL_SEED for cell in cells)
    assert {cell.label for cell in plan.cells({})} == {BASE}  # no trial was complete
    keys = plan.final_keys({arm.name: {"learning_rate": 0.01}})
    assert sorted(keys) == [BASE, BEST]
    same = plan.cells({arm.name: {"learning_rate": study.base.learning_rate}})
    assert len(same) == 3  # the base is the best: its runs are not made twice


def test_a_plan_of_tuned_arms_gives_each_arm_its_own_levels() -> None:
    search = Search(space=RATE, trials=2, per_arm=True)
    study = toy(search=search)
    plan = Plan(study, study.base, {"latent_dim": (2, 3)}, 2)
    assert [arm.name for arm in plan.arms] == ["latent_dim=2", "latent_dim=3"]
    cells = plan.cells({"latent_dim=2": {"learning_rate": 0.01}, "latent_dim=3": {"learning_rate": 0.02}})
    assert {(cell.config.latent_dim, cell.config.learning_rate) for cell in cells} == {(2, 0.01), (3, 0.02)}
    assert len(cells) == 4
    assert len(plan.cells({"latent_dim=2": {"learning_rate": 0.01}})) == 2


def test_a_variant_of_a_sweep_has_a_name_of_its_own() -> None:
    study = toy()
    plain = Sweep(study, study.base, {}, quick=False, note=None)
    tuned = Sweep(study, study.base, {}, quick=False, note=None, variant={"tune": "learning_rate+minibatch"})
    assert tuned.base_name == "mnist-5k-tune=learning_rate+minibatch"
    assert tuned.plain_name == plain.base_name == "mnist-5k"
    assert tuned.former_name == tuned.base_name  # earlier revisions had no variants
    many = Sweep(study, study.base, {}, quick=False, note=None, variant={"tune": "+".join(DEFAULT_SPACE)})
    assert len(many.base_name) <= 120
    assert many.base_name != tuned.base_name


def test_chosen_cells_are_the_plan() -> None:
    """Neither other cells of the study nor its search are run."""
    study = toy()
    cells = tuple(study.cells_to_run(study.base, {"latent_dim": (3,)}, 2)[1:])
    assert Plan(study, study.base, {}, 0, cells).cells({}) == list(cells)
    assert Plan(study, study.base, {}, 0, cells).arms == []
    search = searching()
    assert len(Plan(search, search.base, {}, 2).arms) == 1
    assert Plan(search, search.base, {}, 0, cells).arms == []
