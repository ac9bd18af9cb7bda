"""Test the declaration of a study: its cells, its levels, and declarations that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.studies import by_likelihood, recorded, run_study, toy
from vaestudy.errors import BadInput
from vaestudy.runtime.paths import repository
from vaestudy.study import declaration, discovery


class TestDesign:
    def test_cells_are_the_product_with_seeds_outermost(self) -> None:
        study = toy()
        cells = declaration.make_cells(study.base, study.levels_to_run(full=True, quick=False, given={}), 2)
        assert [(c.levels["latent_dim"], c.config.seed) for c in cells] == [(D, s) for s in (0, 1) for D in (2, 3, 5)]
        assert len({c.config.key for c in cells}) == 6

    def test_quick_keeps_few_cells(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 1, "samples": 1})  # fmt: skip
        levels = study.levels_to_run(full=False, quick=True, given={})
        assert levels == {"latent_dim": (1, 5), "samples": (1, 3)}

    def test_what_is_left_out(self) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        levels = study.levels_to_run(full=False, quick=False, given={})
        found = {(c.levels["estimator"], c.levels["samples"]) for c in study.cells_to_run(study.base, levels, 2)}
        assert found == {("sgvb-b", 1), ("sgvb-b", 2), ("score-function-loo", 2)}
        alone = {"estimator": ("score-function-loo",), "samples": (1,)}
        with pytest.raises(BadInput, match=r"no cell is left: .*estimator=score-function-loo, samples=1"):
            study.cells_to_run(study.base, alone, 2)

    def test_a_level_may_be_undefined_with_the_base(self, mlruns: Path) -> None:
        study = toy(factors={"estimator": ("sgvb-b", "score-function-loo"), "samples": (1, 2)}, full={},
                    leave_out=({"estimator": "score-function-loo", "samples": 1},),
                    baseline={"estimator": "sgvb-b", "samples": 1})  # fmt: skip
        assert run_study(study, "--estimator", "score-function-loo", "--samples", "1", "2", "--seeds", "1") == 0
        children, _ = recorded(mlruns)
        assert children["params.samples"].tolist() == ["2"]

    def test_quick_keeps_the_baseline(self) -> None:
        study = toy(factors={"latent_dim": (1, 2, 3, 4, 5), "samples": (1, 2, 3)}, full={},
                    baseline={"latent_dim": 3, "samples": 1})  # fmt: skip
        assert study.levels_to_run(full=False, quick=True, given={}) == {"latent_dim": (1, 3, 5), "samples": (1, 3)}

    def test_given_levels(self) -> None:
        assert toy().levels_to_run(full=False, quick=False, given={"latent_dim": (7,)}) == {"latent_dim": (7,)}

    @pytest.mark.parametrize(
        "changes", [{"factors": {"nope": (1,)}}, {"baseline": {}}, {"name": "../up"}, {"leave_out": ({"nope": 1},)}]
    )
    def test_a_wrong_declaration_is_refused(self, changes: dict) -> None:
        with pytest.raises(ValueError, match=r"nope|baseline|name"):
            toy(**changes)

    def test_every_study_file_says_its_question_and_minutes(self) -> None:
        found = discovery.study_files(repository() / "studies")
        assert [s.name for s in found]
        for study in found:
            assert study.question.endswith("?")
            assert study.minutes != "?"

    def test_find(self) -> None:
        assert discovery.find_study(repository() / "studies", "latent_dims").name == "latent-dims"
        with pytest.raises(BadInput, match="did you mean 'latent-dims'"):
            discovery.find_study(repository() / "studies", "latent-dim")


def test_a_likelihood_is_crossed_with_its_own_options_alone() -> None:
    study = by_likelihood()
    cells = declaration.make_cells(study.base, study.levels_to_run(full=True, quick=False, given={}), 1)
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
