"""Test the names of sweeps: different sweeps have different names, and each name is the name of a file everywhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.studies import toy
from vaestudy.config.fields import LARGEST_COUNT
from vaestudy.config.run_config import RunConfig
from vaestudy.study.declaration import level_text
from vaestudy.study.levels import level_from_text
from vaestudy.study.sweep import Sweep

CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "dataset": st.sampled_from(["auto", "mnist", "mnist-5k", "fashion-mnist"]),
    "learning_rate": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    "log_guard": st.floats(min_value=0, max_value=0.4),
    "epochs": st.integers(1, LARGEST_COUNT),
    "valid_size": st.none() | st.integers(1, 50),
    "hidden": st.lists(st.integers(1, 10**6), min_size=1, max_size=40).map(tuple),
    "iwae": st.lists(st.integers(1, 5000), min_size=1, max_size=40).map(tuple),
    "second_biases": st.booleans(),
    "sigma": st.sampled_from(["raw", "abs", "log-variance"]),
    "device": st.sampled_from(["cpu", "cuda", "cuda:1", "cuda:11", "mps"]),
    "figures": st.lists(st.sampled_from(["prior_means", "manifold", "pixel_calibration"]), unique=True).map(tuple),
}
changes = st.fixed_dictionaries({}, optional=CHANGES)


def sweep(changed: dict[str, Any], quick: bool = False) -> Sweep:
    """Return a sweep of a study whose base was changed on the command line."""
    return Sweep(toy(), RunConfig(**{"dataset": "mnist-5k"} | changed), changed, quick, None)


def named(dataset: str, quick: bool = False) -> Sweep:
    """Return a sweep on a data set of any name, as code outside the package may register it."""
    return Sweep(toy(), RunConfig().model_copy(update={"dataset": dataset}), {}, quick, None)


def require_file_name(name: str, quick: bool) -> None:
    """Check that a name is short, plain and lower case but for True, False and None, and tells what is quick."""
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=+-]*", name)
    assert len(name.encode()) <= 120
    assert not re.search("[A-Z]", re.sub("True|False|None", "", name))
    assert name.startswith("quick") == quick


@settings(max_examples=50, deadline=None)
@given(changes, changes, st.booleans(), st.booleans())
def test_different_sweeps_have_different_names(first: dict, second: dict, one: bool, two: bool) -> None:
    a, b = sweep(first, one), sweep(second, two)
    require_file_name(a.base_name, one)
    meant = [(s.base.dataset, {k: v for k, v in s.changed.items() if k != "dataset"}, s.quick) for s in (a, b)]
    assert (a.base_name == b.base_name) == (meant[0] == meant[1])


@settings(max_examples=50, deadline=None)
@given(changes, st.randoms())
def test_the_order_of_the_flags_does_not_matter(changed: dict, random: Any) -> None:
    order = list(changed)
    random.shuffle(order)
    assert sweep({name: changed[name] for name in order}).base_name == sweep(changed).base_name


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1) | st.from_regex(r"(quick-)?[a-zA-Z.:~=-]{1,5}(-[0-9a-f]{8})?", fullmatch=True),
       st.text(min_size=1) | st.from_regex(r"(quick-)?[a-zA-Z.:~=-]{1,5}(-[0-9a-f]{8})?", fullmatch=True),
       st.booleans())  # fmt: skip
def test_a_data_set_may_have_any_name(first: str, second: str, quick: bool) -> None:
    a, b = named(first, quick).base_name, named(second).base_name
    require_file_name(a, quick)
    require_file_name(b, False)
    assert (a.lower() == b.lower()) == (first == second and not quick)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (named("quick-mnist"), named("mnist", quick=True)),
        (named("mnist~2"), named("mnist")),
        (named("mnist:a"), named("mnist-a")),
        (named("Mnist"), named("mnist")),
        (named("mnist-5k-epochs=2"), sweep({"epochs": 2})),
        (sweep({"device": "cuda:1"}), sweep({"device": "cuda"})),
        (sweep({"learning_rate": 0.0012345671}), sweep({"learning_rate": 0.0012345679})),
        (sweep({"iwae": tuple(range(1, 60)), "epochs": 1}), sweep({"iwae": tuple(range(1, 61)), "epochs": 1})),
    ],
)
def test_names_that_were_one(one: Sweep, two: Sweep) -> None:
    assert one.base_name.lower() != two.base_name.lower()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "mnist-5k"),
        ({"epochs": 2}, "mnist-5k-epochs=2"),
        ({"epochs": 2, "learning_rate": 1e-5}, "mnist-5k-learning_rate=1e-05-epochs=2"),
        ({"hidden": (64, 32), "second_biases": True}, "mnist-5k-hidden=64x32-second_biases=True"),
        ({"sigma": "log-variance"}, "mnist-5k-sigma=log-variance"),
        ({"learning_rate": 0.0012345671}, "mnist-5k-learning_rate=0.0012345671"),
    ],
)
def test_an_exact_name_stays_as_it_was(changed: dict, name: str) -> None:
    assert sweep(changed).base_name == name
    assert sweep(changed, quick=True).base_name == f"quick-{name}"


numbers = st.floats(allow_nan=False) | st.integers()


@given(numbers, numbers)
@example(0.0, -0.0)
def test_different_levels_have_different_texts(one: float, two: float) -> None:
    if type(one) is type(two):
        assert (level_text(one) == level_text(two)) == (one == two or repr(one) == repr(two))
    if isinstance(one, float):
        assert float(level_text(one)) == one


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, LARGEST_COUNT), min_size=1).map(tuple))
def test_the_text_of_a_list_is_read_as_it_is_printed(level: tuple[int, ...]) -> None:
    assert level_from_text("hidden", level_text(level), str) == level


def test_a_float_has_no_more_digits_than_it_needs() -> None:
    assert [level_text(value) for value in (0.3, 0.1 + 0.2, 1e-3, 1.0, 1e12, 1234567.0)] == [
        "0.3", "0.30000000000000004", "0.001", "1", "1e+12", "1234567.0"]  # fmt: skip
