"""The declared protocols: their runs are those of the presets, at full length or as the beginning of it."""

from __future__ import annotations

import math

import pytest

from vaestudy.config.presets import PRESETS
from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.reproductions.protocol import QUICK_DRAWS, Protocol, at_quick
from vaestudy.reproductions.registry import PROTOCOLS
from vaestudy.training.schedules import make_schedule

EACH = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
NO_SCORES = {"figures", "iwae", "dataset", "seed"}
"""Fields that change no weight."""


def configs(protocol: Protocol, dataset: str = "mnist", quick: bool = False) -> list[RunConfig]:
    """Return the configurations of the runs of the first seed, one for each number."""
    return [protocol.need(n, dataset, quick, seeds=1).cells(dataset, quick)[0].config for n in protocol.numbers]


@EACH
def test_a_protocol_trains_as_its_preset(protocol: Protocol) -> None:
    """What differs is a level of the publication, or a declared change."""
    preset = RunConfig.preset(protocol.name).model_dump()
    allowed = NO_SCORES | set(protocol.study.factors) | set(protocol.changes)
    for config in configs(protocol):
        assert {name for name, value in config.model_dump().items() if value != preset[name]} <= allowed


@EACH
def test_each_number_has_its_metric_and_its_reason(protocol: Protocol) -> None:
    assert protocol.name in PRESETS
    assert protocol.study.command() == "make reproduce"
    for number, config in zip(protocol.numbers, configs(protocol), strict=True):
        name = number.metric.removeprefix("test/")
        assert name == "elbo" or name in {f"iwae_{K}" for K in config.iwae}
        assert config.epochs == number.epochs
        assert number.low <= number.high < math.inf
        assert number.allowance > 0
        assert number.why
        assert number.quantity
        assert number.minutes > 0
        assert number.cut or number.epochs == (PRESETS[protocol.name]["epochs"] if "1e6" not in number.quantity else 17)


@EACH
def test_the_protocols_seeds_can_have_an_interval_inside(protocol: Protocol) -> None:
    """Two seeds have an interval of nine standard deviations: too few for a number of full length."""
    least = 2 if all(number.cut for number in protocol.numbers) else 3
    assert protocol.seeds >= least


@EACH
def test_quick_is_quick_and_has_the_metrics(protocol: Protocol) -> None:
    for number, config in zip(protocol.numbers, configs(protocol, "mnist-5k", quick=True), strict=True):
        assert (config.subset, config.dataset) == (1000, "mnist-5k")
        assert config.epochs is not None
        assert config.epochs <= 2
        assert max(config.iwae) <= QUICK_DRAWS
        assert config.valid_size is not None
        assert config.valid_size < DATASETS["mnist-5k"].train_size // 2
        look = at_quick(number)
        assert "; here after one or two epochs" in look.quantity
        name = look.metric.removeprefix("test/")
        assert name == "elbo" or name in {f"iwae_{K}" for K in config.iwae}


def test_the_images_seen_are_those_of_figure_2() -> None:
    seen = {(n.quantity.rpartition("after ")[2], n.epochs * 60_000) for n in PROTOCOLS["aevb"].numbers}
    assert seen == {("1e6 images", 1_020_000), ("1e7 images", 10_020_000)}
    assert sorted({dict(n.levels)["latent_dim"] for n in PROTOCOLS["aevb"].numbers}) == [3, 5, 10, 20]


def test_the_cut_runs_of_table_1_are_its_first_epochs() -> None:
    """The step sizes are those of the schedule of 3,280 epochs, which would be compressed into fewer."""
    full = RunConfig.preset("iwae")
    for config in configs(PROTOCOLS["iwae"]):
        assert config.epochs in (4, 13)
        epochs = range(1, config.epochs + 1)
        assert list(map(make_schedule(config), epochs)) == pytest.approx(list(map(make_schedule(full), epochs)))
    assert {n.low for n in PROTOCOLS["iwae"].numbers} == {86.76, 86.47, 86.35, 85.54, 84.78}
    assert all(number.cut for number in PROTOCOLS["iwae"].numbers)


def test_a_run_that_two_numbers_share_is_needed_once() -> None:
    altosaar, iwae = PROTOCOLS["altosaar"], PROTOCOLS["iwae"]
    assert len(altosaar.numbers) == 2
    assert len(altosaar.needs("mnist")) == 1
    assert len(iwae.needs("mnist")) == 8
    assert [one.seeds for one in altosaar.needs("mnist", seeds=7)] == [7]
    keys = {one.key("mnist", False, 0) for one in iwae.needs("mnist")}
    assert len(keys) == 8


def test_the_seconds_are_those_of_the_cell() -> None:
    for number in PROTOCOLS["iwae"].numbers:
        assert PROTOCOLS["iwae"].seconds(PROTOCOLS["iwae"].need(number, "mnist")) == 60 * number.minutes


def test_everything_takes_about_two_hours_on_two_cores() -> None:
    seconds = [each.seeds * sum(each.seconds(one) for one in each.needs("mnist")) for each in PROTOCOLS.values()]
    assert sum(seconds) / 2 < 2.5 * 3600
