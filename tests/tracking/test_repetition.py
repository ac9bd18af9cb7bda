"""Tests of the reading of a recorded run, and of the comparison of a repetition with it, without any training."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import pytest

from vaestudy.config.presets import PRESETS
from vaestudy.config.run_config import ADDED_LATER, RunConfig
from vaestudy.errors import BadInput
from vaestudy.run.record import Record
from vaestudy.runtime import provenance
from vaestudy.runtime.provenance import CodeRevision
from vaestudy.tracking.recorded_run import RecordedRun, recorded_config
from vaestudy.tracking.repetition import Repetition, code_differences, is_repeatable, same_bits
from vaestudy.tracking.stored_form import param_text

CONFIG = RunConfig(dataset="mnist-5k", valid_size=500, epochs=2)
HISTORY = [{"train/elbo": -200.5, "valid/elbo": -190.25}, {"train/elbo": -180.5, "valid/elbo": math.nan}]
METRICS = {"test/elbo": -170.125, "seconds/train": 3.0, "along/100/seconds": 1.0, "test/nothing": math.nan}
RECORD = Record(CONFIG, METRICS, HISTORY, [1.5, 0.25], {}, {}, {})
CURVES = {
    "train/elbo": {1: -200.5, 2: -180.5},
    "valid/elbo": {1: -190.25, 2: math.nan},
    "test/kl_per_dimension": {0: 1.5, 1: 0.25},
}
LAST = {"train/elbo": -180.5, "valid/elbo": math.nan, "test/kl_per_dimension": 0.25, "test/elbo": -170.125}
RECORDED = RecordedRun("abc", "FINISHED", CONFIG, {}, LAST | {"seconds/train": 9.0}, CURVES)
EVERYTHING = RunConfig(
    dataset="mnist-5k", valid_size=7, epochs=3, hidden=(5, 6), latent_dim=3, init_sigma=0.1 + 0.2, sigma_floor=1e-7,
    second_biases=True, milestones=(10, 20), gradient_images=20, gradient_estimators=("stl",), figures=(), seed=2**62,
    likelihood="gaussian", pixels="dequantised", likelihood_sigma=1 / 3, learning_rate=1e-3 / 3, subset=50,
)  # fmt: skip


def row(config: RunConfig, **changes: Any) -> dict[str, Any]:
    """Return the row of a run of this configuration, with some columns changed; None removes one."""
    params = {f"params.{name}": param_text(value) for name, value in config.model_dump(mode="json").items()}
    columns = {"run_id": "abc", "tags.config.key": config.key} | params
    columns |= {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in columns.items() if value is not None}


def compared(recorded: RecordedRun = RECORDED, record: Record = RECORD):
    """Return the comparison of a record with a recorded run."""
    return Repetition(recorded, (), ()).compare(record)


@pytest.mark.parametrize("config", [CONFIG, EVERYTHING, *(
    RunConfig.preset(name, dataset="mnist", valid_size=5000, epochs=1) for name in PRESETS
)])  # fmt: skip
def test_the_configuration_is_read_back_as_it_was(config: RunConfig) -> None:
    assert recorded_config(row(config)) == config


def test_a_run_of_an_earlier_revision_lacks_newer_fields() -> None:
    older = {f"params__{name}": None for name in ADDED_LATER}
    assert recorded_config(row(CONFIG, **older)) == CONFIG


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"params__seed": "5"}, ["run abc", "altered", CONFIG.key, CONFIG.with_changes(seed=5).key]),
        ({"params__latent_dim": "0"}, ["run abc", "latent_dim 0", "1 or more"]),
        ({"params__latent_dim": "[1"}, ["run abc", "latent_dim [1", "a whole number"]),
        ({"params__likelihood": "binomial"}, ["run abc", "'binomial'", "choose from"]),
        ({"params__temperature": "1.0"}, ["run abc", "'temperature'", "this code revision"]),
        ({"params__epochs": None}, ["run abc", "no complete configuration", "epochs"]),
    ],
)
def test_parameters_that_are_no_configuration(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as raised:
        recorded_config(row(CONFIG, **changes))
    for part in parts:
        assert part in str(raised.value)


def test_an_equal_record() -> None:
    found = compared()
    assert found.exact is True
    assert (found.metrics, found.values) == (4, 7)  # not the seconds, and not what is nan at the end
    assert found.lines() == ["repeats run abc exactly (4 metrics, 7 values)"]
    assert found.tags == {"repeats.exact": "True"}


@pytest.mark.parametrize(
    ("name", "step", "label"),
    [
        ("train/elbo", 1, "train/elbo, epoch 1"),
        ("valid/elbo", 2, "valid/elbo, epoch 2"),
        ("test/kl_per_dimension", 1, "test/kl_per_dimension, dimension 1"),
        ("test/elbo", None, "test/elbo"),
    ],
)
def test_one_value_that_differs_in_its_last_bit(name: str, step: int | None, label: str) -> None:
    if step is None:
        was = math.nextafter(RECORDED.metrics[name], 0)
        changed = replace(RECORDED, metrics=RECORDED.metrics | {name: was})
    else:
        was = math.nextafter(CURVES[name][step], 0) if CURVES[name][step] == CURVES[name][step] else 1.0
        changed = replace(RECORDED, curves=CURVES | {name: CURVES[name] | {step: was}})
    found = compared(changed)
    assert found.exact is False
    assert list(found.differing) == [label]
    assert found.lines()[0] == "does not repeat run abc: 1 values differ, 7 compared"
    assert f"{label}: {was!r} on record" in found.lines()[1]
    assert found.tags == {"repeats.exact": "False"}


def test_the_first_differences_come_first_and_not_all_are_printed() -> None:
    later = replace(RECORD, history=[{"train/elbo": float(epoch)} for epoch in range(30)])
    recorded = replace(RECORDED, curves=CURVES | {"train/elbo": dict.fromkeys(range(1, 31), -1.0)})
    lines = compared(recorded, later).lines()
    assert "train/elbo, epoch 1: -1.0 on record, 0.0 now" in lines[1]
    assert lines[11] == "  and 20 more"


def test_metrics_of_one_record_alone() -> None:
    """`vaestudy evaluate` adds bounds to a run, and another revision may record more."""
    recorded = replace(RECORDED, metrics=RECORDED.metrics | {"test/iwae_7": -1.0})
    found = compared(recorded, replace(RECORD, metrics=METRICS | {"test/new": 1.0}))
    assert found.exact is True
    assert found.lines()[1] == "in only one of the two records, so not compared: test/iwae_7, test/new"


def test_a_record_that_ends_early() -> None:
    begun = {"train/elbo": {1: -200.5}, "valid/elbo": {1: -190.25}}
    killed = replace(RECORDED, status="KILLED", metrics={"train/elbo": -200.5, "valid/elbo": -190.25}, curves=begun)
    found = compared(killed)
    assert (found.exact, found.values, found.unmatched) == (True, 2, ())
    assert compared(replace(killed, metrics={}, curves={})).exact is None


def test_divergence_on_one_side() -> None:
    tags = {"diverged": "True", "failure": "the loss is nan in epoch 2"}
    diverged = replace(RECORDED, status="FAILED", tags=tags, metrics={}, curves={"train/elbo": {1: -200.5}})
    assert compared(diverged).differing == {"divergence": ("the loss is nan in epoch 2", None)}
    history = HISTORY[:1]
    same = Repetition(diverged, (), ()).compare_divergence(tags["failure"], history)
    assert same.exact is True
    assert "(1 metrics, 1 values, the same divergence)" in same.lines()[0]
    other = Repetition(diverged, (), ()).compare_divergence("the loss is nan in epoch 3", history)
    assert list(other.differing) == ["divergence"]
    now_only = Repetition(RECORDED, (), ()).compare_divergence(tags["failure"], history)
    assert now_only.differing == {"divergence": (None, tags["failure"])}
    assert "divergence: none on record, the loss is nan" in now_only.lines()[1]
    killed = Repetition(replace(diverged, status="KILLED", tags={}), (), ()).compare_divergence("nan", history)
    assert killed.exact is True  # its record ends before the divergence


def test_a_reason_of_several_lines_is_printed_as_one() -> None:
    tags = {"diverged": "True", "failure": "first\nsecond"}
    diverged = replace(RECORDED, status="FAILED", tags=tags)
    lines = compared(diverged).lines()
    assert "divergence: first\\nsecond on record, none now" in lines[1]


def test_same_bits() -> None:
    largest = sys.float_info.max
    for recorded, now in ((0.1, 0.1), (math.nan, math.nan), (largest, math.inf), (-largest, -math.inf), (0.0, -0.0)):
        assert same_bits(recorded, now)
    for recorded, now in ((0.3, 0.1 + 0.2), (math.nan, 1.0), (1.0, math.nan), (largest, -math.inf)):
        assert not same_bits(recorded, now)


def test_times_are_not_repeatable() -> None:
    times = ("seconds_per_epoch", "seconds/train", "along/400/seconds")
    assert not any(map(is_repeatable, times))
    assert all(map(is_repeatable, ("along/400/elbo", "epochs_to_95", "gradient/end/all/snr")))


A, B = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (CodeRevision(A, "clean"), CodeRevision(B, "clean"), "another revision"),
        (CodeRevision(A, "dirty"), CodeRevision(A, "clean"), "cannot be repeated exactly"),
        (CodeRevision(A, "dirty"), CodeRevision(A, "dirty"), "cannot be repeated exactly"),
        (CodeRevision(A, "clean"), CodeRevision(A, "dirty"), "this checkout has changes"),
        (CodeRevision("unknown", "not run from a git checkout"), CodeRevision(A, "clean"), "without both commits"),
        (CodeRevision("unknown", "x"), CodeRevision("unknown", "x"), "without both commits"),
        (CodeRevision(A, "clean"), CodeRevision(A, "unknown: git is not installed"), "git could not tell"),
        (None, CodeRevision(A, "clean"), "without both commits"),
    ],
)
def test_code_that_is_not_the_recorded_one(
    was: CodeRevision | None, now: CodeRevision, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "code_revision", lambda: now)
    recorded = replace(RECORDED, tags={"code.revision": was.commit, "code.state": was.state} if was else {})
    with pytest.raises(BadInput) as refused:
        code_differences(recorded, any_revision=False)
    for part in (str(was) if was else "not on record", str(now), why, "--any-revision"):
        assert part in str(refused.value)
    (line,) = code_differences(recorded, any_revision=True)
    assert line.startswith("code.revision: ")
    assert why in line


def test_code_that_is_the_recorded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "code_revision", lambda: CodeRevision(A, "clean"))
    recorded = replace(RECORDED, tags={"code.revision": A, "code.state": "clean"})
    assert code_differences(recorded, any_revision=False) == []
