"""The floor under the reconstruction term: its formula, and the committed file against the images."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vaestudy.claims import grey_entropy
from vaestudy.claims.measures import NotMeasured
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.runtime.project import repository


def file_rows(name: str) -> list[str]:
    lines = (repository() / grey_entropy.FILE).read_text().splitlines()
    return [line for line in lines if line.startswith(f"{name},")]


def computed(name: str, root: Path) -> list[str]:
    found = []
    for subset in (None, 1000):
        config, _ = datasets.resolve(RunConfig(dataset=name, subset=subset), root)
        data = datasets.load_splits(config, root)
        rows = grey_entropy.class_rows(
            name, data.fingerprint, subset, data.test.images.numpy(), data.test.labels.numpy()
        )
        found += grey_entropy.file_text(rows).splitlines()[1:]
    return found


def test_entropies_literally() -> None:
    images = np.array([[0, 255, 128, 1], [0, 0, 0, 255]], dtype=np.uint8)

    def h(value: int) -> float:
        x = value / 255
        return -x * math.log(x) - (1 - x) * math.log(1 - x)

    assert grey_entropy.entropies(images) == pytest.approx([h(128) + h(1), 0])


def test_no_probability_costs_less() -> None:
    """The cross-entropy of a grey value is least at p = x, where it is the entropy."""
    x, p = 77 / 255, np.linspace(0.001, 0.999, 999)
    cost = -x * np.log(p) - (1 - x) * np.log(1 - p)
    (floor,) = grey_entropy.entropies(np.array([[77]], dtype=np.uint8))
    assert cost.min() >= floor
    assert cost.min() == pytest.approx(floor, abs=1e-5)


def test_the_file_of_the_digits_that_are_installed() -> None:
    assert file_rows("mnist-5k") == computed("mnist-5k", Path())


@pytest.mark.needs_mnist
def test_the_file_of_mnist(mnist_root: Path) -> None:
    assert file_rows("mnist") == computed("mnist", mnist_root)
    sizes, each = zip(
        *((int(row.split(",")[4]), float(row.split(",")[5])) for row in file_rows("mnist")[:10]), strict=True
    )
    assert np.average(each, weights=sizes) == pytest.approx(45.53, abs=0.005)  # a known constant of these images


def test_images_that_the_file_does_not_have() -> None:
    with pytest.raises(NotMeasured, match="no entropies of test images other with subset 7"):
        grey_entropy.floors("other", "7")
