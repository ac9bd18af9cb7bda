"""The entropy of grey pixels: what a Bernoulli on them costs at the least, whatever the decoder is.

A Bernoulli with probability p costs -x ln p - (1 - x) ln(1 - p) for a pixel x in [0, 1]. This is least at p = x, where
it is the entropy h(x) = -x ln x - (1 - x) ln(1 - x). So the sum of h over the pixels of an image is a floor under its
reconstruction term. It is a property of the images, and differs between classes: more grey pixels cost more.

The floors of the test images are committed in docs/data/grey-entropy.csv, so that they need no data set.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vaestudy.claims.measures import NotMeasured
from vaestudy.runtime.project import repository

FILE = "docs/data/grey-entropy.csv"
COLUMNS = ("dataset", "fingerprint", "subset", "class", "images", "entropy")


def entropies(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the entropy of each image, [N] in nats: the sum of h(x) over its pixels.

    Args:
        images: grey values from 0 to 255, [N, P].
    """
    x = np.arange(256) / 255
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.where((x > 0) & (x < 1), -x * np.log(x) - (1 - x) * np.log(1 - x), 0.0)
    return np.asarray(h[images].sum(-1))


def class_rows(
    dataset: str, fingerprint: str, subset: int | None, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """Return the rows of the file for the test images of a data set: one for each class."""
    each, name = entropies(images), "null" if subset is None else str(subset)
    return [
        (dataset, fingerprint, name, str(label), str((labels == label).sum()), f"{each[labels == label].mean():.10g}")
        for label in np.unique(labels)
    ]


def file_text(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the content of the file."""
    return "".join(f"{','.join(row)}\n" for row in (COLUMNS, *rows))


def floors(fingerprint: str, subset: str) -> dict[int, float]:
    """Return the mean entropy of the test images of each class, in nats.

    Args:
        fingerprint: the data set's fingerprint.
        subset: the parameter `subset` of the runs as text, "null" if there is none.

    Raises:
        NotMeasured: the file does not have these images.
    """
    found = {label: value for (*images, label), value in _table().items() if images == [fingerprint, subset]}
    if not found:
        raise NotMeasured(f"{FILE} has no entropies of test images {fingerprint[:12]} with subset {subset}")
    return found


@functools.cache
def _table() -> dict[tuple[str, str, int], float]:
    """Return the file: (fingerprint, subset, class) -> entropy."""
    lines = (repository() / FILE).read_text(encoding="utf-8").splitlines()
    return {
        (row["fingerprint"], row["subset"], int(row["class"])): float(row["entropy"]) for row in csv.DictReader(lines)
    }
