"""Short names of runs."""

from __future__ import annotations

import pytest

from tests.support.studies import toy
from vaestudy.config.run_config import RunConfig
from vaestudy.study.short_names import SHORT, short_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("latent_dim=10, seed=0", "D=10 s0"),
        ("estimator=sgvb-b, minibatch=100, samples=5, seed=12", "sgvb-b M=100 L=5 s12"),
        ("sigma=raw, hidden=64x32, seed=1", "sigma=raw hidden=64x32 s1"),
        ("mnist-5k D=10 bernoulli sgvb-b seed=3", "mnist-5k D=10 bernoulli sgvb-b s3"),
        ("trial 3: learning_rate=0.001, minibatch=30", "trial 3: lr=0.001 M=30"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short


def test_the_names_of_the_cells_of_a_study_differ() -> None:
    study = toy(factors={"latent_dim": (2, 3), "minibatch": (2, 3)}, baseline={"latent_dim": 2, "minibatch": 2})
    names = {short_name(cell.name) for cell in study.cells_to_run(study.base, study.factors, 2)}
    assert len(names) == 8


def test_the_labels_are_those_of_fields() -> None:
    assert set(SHORT) <= set(RunConfig.model_fields)
