"""Missing runs, and what they take: by recorded runs, else as declared."""

from __future__ import annotations

import math

import pytest

from tests.support.evidence import evidence, rows
from vaestudy.claims.c04 import DRAWS_ONE_EPOCH
from vaestudy.evidence.evidence import SOURCE
from vaestudy.evidence.missing import (
    CORES,
    DECLARED,
    RECORDED,
    UNKNOWN,
    RunCounts,
    at_scale,
    cost,
    count_runs,
    missing_runs,
)
from vaestudy.evidence.needs import declared_study, need

D2, D10 = (need("latent-dims", 4, latent_dim=D) for D in (2, 10))


def test_missing_runs_leave_out_what_is_there() -> None:
    found = missing_runs([D2, D10, DRAWS_ONE_EPOCH], evidence(rows(D2, {"test/elbo": [-1.0, -2.0]})))
    assert [entry.sweep.study.name for entry in found] == ["latent-dims", "m-vs-l"]
    cells = [(cell.levels["latent_dim"], cell.config.seed) for cell in found[0].cells]
    assert sorted(cells, key=str) == [(10, 0), (10, 1), (10, 2), (10, 3), (2, 2), (2, 3)]
    assert {cell.config.epochs for cell in found[1].cells} == {1}
    assert missing_runs([D2], evidence(rows(D2, {"test/elbo": [-1.0] * 4}))) == []


def test_the_cost_is_that_of_recorded_runs() -> None:
    there = evidence(rows(D2, {"seconds/total": [10.0, 30.0]}), rows(D10, {"seconds/total": [5.0] * 4}))
    found = cost([D2, D2.with_seeds(3), D10], there)
    assert (found.seconds, found.basis) == (2 * 20.0, (RECORDED,))


def test_without_runs_the_cost_is_that_of_the_study() -> None:
    """latent-dims says 3.5 minutes on two cores for its six dimensions and three seeds."""
    study = declared_study("latent-dims")
    found = cost([D2], evidence())
    assert found.basis == (DECLARED,)
    assert found.seconds == pytest.approx(4 * 3.5 * 60 * CORES / (6 * study.seeds))
    unknown = cost([D2], evidence(dataset="kmnist"))
    assert unknown.basis == (UNKNOWN,)
    assert math.isnan(unknown.seconds)


def test_quick_needs_two_seeds() -> None:
    assert [one.seeds for one in at_scale([D2, D10.with_seeds(1)], True)] == [2, 1]
    assert at_scale([D2], False) == [D2]


def test_another_declaration_of_seconds() -> None:
    there = evidence(rows(D2, {"seconds/total": [10.0]}))
    found = cost([D2, D10], there, lambda one, dataset: (100.0, f"guessed for {dataset}"))
    assert (found.seconds, found.basis) == (3 * 10.0 + 4 * 100.0, ("guessed for mnist", RECORDED))


def test_runs_are_counted_by_where_they_are() -> None:
    parts = rows(D2, {"test/elbo": [-1.0, -2.0]}), rows(D10, {"test/elbo": [-1.0]}, **{SOURCE: "x"})
    assert count_runs([D2, D10], evidence(*parts)) == RunCounts(tracked=2, committed=1, missing=5)
