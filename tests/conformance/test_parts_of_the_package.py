"""Every part of the package passes every check of its kind. These are the checks that `vaestudy check` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaestudy.config import registry
from vaestudy.config.registry import Registry
from vaestudy.conformance.check import Check, Part, Status, outcome_of
from vaestudy.conformance.kinds import KINDS, parts_of
from vaestudy.data import datasets
from vaestudy.data.grey_levels import Unusable

EMBEDDED = ("mnist-5k", "digits")
"""Data sets that are on every disk. Others are checked if they are there."""

CASES = [
    pytest.param(part, check, id=f"{part.kind}:{part.name}-{check.name}")
    for kind in KINDS
    for part in parts_of(kind)
    if part.registry.origin(part.name) is None
    for check in KINDS[kind].load_checks()
]

NOT_FOR = {
    "gradient_of_own_parameters": {"gaussian", "categorical-256"},
    "finite_with_every_sigma": {"gaussian", "truncated-gaussian", "clipped-gaussian", "beta", "logit-normal",
                                "discretised-logistic"},
    "raw_scale_is_a_magnitude": {"gaussian", "truncated-gaussian", "clipped-gaussian", "beta", "logit-normal",
                                 "discretised-logistic"},
    "integrates_to_one": {"continuous-bernoulli", "gaussian", "truncated-gaussian", "clipped-gaussian", "beta",
                          "logit-normal"},
    "no_more_than_the_cell": {"continuous-bernoulli", "gaussian", "truncated-gaussian", "clipped-gaussian", "beta",
                              "logit-normal"},
    "sums_to_one": {"discretised-logistic", "categorical-256"},
    "two_values_sum_to_one": {"bernoulli"},
    "tighter_if_declared": {"iwae", "dreg"},
    "takes_beta": {"sgvb-a", "sgvb-b", "score-function", "score-function-loo", "stl"},
    "takes_free_bits": {"sgvb-b"},
    "drawn_once": {"binarised-once"},
}  # fmt: skip
"""Check that does not apply to every part of its kind -> the parts to which it does."""


@pytest.mark.parametrize(("part", "check"), CASES)
def test_it_passes(part: Part, check: Check, request: pytest.FixtureRequest) -> None:
    if part.kind == "dataset" and part.name not in EMBEDDED:
        root = _root_with(part.name)
        part = Part(part.kind, part.registry, part.name, root)
    outcome = outcome_of(check, part)
    assert outcome.status is not Status.FAILED, outcome.trace or outcome.found
    without_labels = check.name == "labels_fit"
    if not without_labels:
        applies = part.name in NOT_FOR.get(check.name, {part.name})
        assert (outcome.status is Status.PASSED) == applies, outcome.found


def _root_with(name: str) -> Path:
    """Return the folder of the data sets if one is there; skip the test if not."""
    root = datasets.data_root(None)
    source = registry.DATASETS.load(name)
    if not source.present(root) or not _complete(name, root):
        pytest.skip(f"{name} is not under {root}")
    return root


def _complete(name: str, root: Path) -> bool:
    """Return whether the files of a data set that is never downloaded are there."""
    source = registry.DATASETS.load(name)
    try:
        return not hasattr(source, "files") or all(path.exists() for path in source.files(root))
    except Unusable:
        return False


def test_every_kind_of_part_has_checks() -> None:
    tables = [value for value in vars(registry).values() if isinstance(value, Registry)]
    assert {id(kind.registry) for kind in KINDS.values()} == set(map(id, tables))
    for kind in KINDS.values():
        checks = kind.load_checks()
        assert len(checks) >= 3
        assert len({check.name for check in checks}) == len(checks)
        assert checks[0].first
        assert all(check.required.endswith(".") for check in checks)
