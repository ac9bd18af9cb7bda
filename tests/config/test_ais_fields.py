"""The settings of annealed importance sampling in a run's configuration: earlier keys, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vaestudy.config.compatibility import AIS_DEFAULTS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.errors import BadInput
from vaestudy.study.declaration import quick_config
from vaestudy.study.plan import UNSCORED

SCORED = {"dataset": "mnist-5k", "ais_images": 100}


def test_earlier_keys_stay() -> None:
    assert RunConfig().key == RunConfig(**AIS_DEFAULTS).key == "826c69d816dfde64"
    keys = {RunConfig(ais_images=100, **change).key for change in ({}, {"ais_temperatures": 20}, {"ais_iwae": (7,)})}
    assert len(keys | {RunConfig().key}) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ais_chains": 0}, "ais_chains 0: must be a whole number, 1 or more"),
        ({"ais_temperatures": 1}, "ais_temperatures 1: must be a whole number, 2 or more"),
        ({"ais_iwae": ()}, "ais_iwae"),
        ({"ais_images": 0, "ais_chains": 5}, "ais_chains 5: is a setting .* so ais_images must be 1 or more, not 0"),
        ({"ais_images": 0, "ais_iwae": (5, 7)}, "ais_iwae 5 7: is a setting of annealed importance sampling"),
        ({"subset": 100, "ais_images": 51}, "ais_images 51: must be 50 or less, the test images that subset 100"),
    ],
)
def test_settings_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        RunConfig(**SCORED | change)


@pytest.mark.parametrize(("dataset", "images"), [("mnist-5k", 1_000), ("mnist", 10_000), ("digits", 385)])
def test_more_images_than_the_test_split_has(dataset: str, images: int) -> None:
    """It is refused before the data set is looked for."""
    with pytest.raises(BadInput, match=f"--ais-images {images + 1}: must be {images} or less, the test images of "):
        datasets.resolve(RunConfig(dataset=dataset, ais_images=images + 1), Path("/nowhere"))


def test_the_declared_number_of_test_images_is_right() -> None:
    for name in ("mnist-5k", "digits"):
        config = datasets.resolve(RunConfig(dataset=name), Path())[0]
        assert len(datasets.load_splits(config, Path()).test) == datasets.spec_of(name).test_size


def test_quick_anneals_little_and_trials_not_at_all() -> None:
    base = RunConfig(**SCORED, ais_temperatures=30, ais_split=True)
    quick = quick_config(base)
    found = (quick.ais_images, quick.ais_temperatures, quick.ais_chains, quick.ais_simulated)
    assert found == (20, 30, 4, 10)
    assert quick.ais_split
    assert quick_config(RunConfig()).key == quick_config(RunConfig(**AIS_DEFAULTS)).key
    assert quick_config(RunConfig()).ais_images == base.with_changes(**UNSCORED).ais_images == 0
