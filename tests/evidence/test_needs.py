"""Needs are cells of the declared studies: they have the keys of the study's own runs."""

from __future__ import annotations

import pytest

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.evidence.needs import declared_study, need, needs_by_sweep


def test_the_cells_are_those_of_the_study() -> None:
    study = declared_study("latent-dims")
    base = study.base.with_changes(dataset="mnist", valid_size=5_000, epochs=10)
    own = {c.config.key for c in study.cells_to_run(base, {"latent_dim": (10,)}, 3)}
    assert {c.config.key for c in need("latent-dims", 3, latent_dim=10).cells("mnist")} == own


def test_other_factors_are_at_the_baseline() -> None:
    (cell,) = need("m-vs-l", 1, samples=5).cells("mnist-5k")
    assert cell.levels == {"minibatch": 100, "samples": 5, "lr_scaling": "none"}
    assert (cell.config.dataset, cell.config.valid_size, cell.config.epochs) == ("mnist-5k", 500, 75)


def test_options_that_a_likelihood_does_not_have_keep_their_default() -> None:
    (cell,) = need("likelihoods", 1, likelihood="beta", likelihood_scale="optimal").cells("mnist")
    assert cell.levels["likelihood_scale"] == RunConfig().likelihood_scale


def test_changed_fields_make_a_sweep_of_their_own() -> None:
    short = need("m-vs-l", 2, {"epochs": 1}, minibatch=20, samples=10)
    assert short.sweep("mnist").base_name == "mnist-epochs=1"
    assert short.file == "m-vs-l-epochs=1.csv"
    assert {cell.config.epochs for cell in short.cells("mnist")} == {1}
    assert short.sweep("mnist-5k", quick=True).base_name == "quick-mnist-5k-epochs=1"
    assert short.name == "m-vs-l (minibatch=20, samples=10, epochs=1)"


def test_quick_cells() -> None:
    (cell,) = need("latent-dims", 1, latent_dim=10).cells("mnist-5k", quick=True)
    assert (cell.config.subset, cell.config.epochs) == (1000, 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (need("latent-dim", 1), "did you mean 'latent-dims'"),
        (need("latent-dims", 1, samples=2), "samples is no factor of the study; it has latent_dim"),
        (need("m-vs-l", 1, samples=5, lr_scaling="sqrt"), "no cell is left"),
        (need("latent-dims", 1, {"epochs": 0}), "epochs"),
        (need("latent-dims", 1, latent_dim=0), "latent_dim"),
    ],
)
def test_what_is_no_cell_of_a_study(wrong: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        wrong.cells("mnist")  # type: ignore[attr-defined]


def test_each_cell_is_listed_once_under_its_sweep() -> None:
    needs = [need("latent-dims", 1, latent_dim=10), need("latent-dims", 3, latent_dim=10),
             need("m-vs-l", 2, {"epochs": 1}), need("m-vs-l", 2), need("latent-dims", 2, latent_dim=2)]  # fmt: skip
    found = needs_by_sweep(needs, "mnist")
    assert [(work.sweep.study.name, len(work.cells)) for work in found] == [
        ("latent-dims", 5), ("m-vs-l", 2), ("m-vs-l", 2)
    ]  # fmt: skip
    assert [cell.config.seed for cell in found[0].cells] == [0, 0, 1, 1, 2]
    assert len({cell.config.key for cell in found[0].cells}) == 5
