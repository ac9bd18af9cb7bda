"""How alike two latent planes are, by where the classes lie in them.

A layout is C points of the plane, [C, 2], one a class. Two layouts A and B are compared once each is centred and of
length 1 (the root of the sum of its squares), after the best of some moves G [2, 2] of B:

    distance = 1 - (max_G tr(A^T B G))^2, in [0, 1]: 0 the same but for place and size, 1 nothing in common

which is the share of A's sum of squares that the best multiple of B G leaves (Procrustes' statistic, Gower 1975). A
VAE is the same with the axes of its N(0, I) prior flipped or swapped. Turned by any other angle the prior is still the
same, but a diagonal q(z|x) is not.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vaestudy.runtime.random_streams import stream

Array = NDArray[np.float64]
Alignment = Callable[[Array], Array]
"""B^T A [..., 2, 2] -> the best G of its kind [..., 2, 2]."""

UNRELATED = 1_000
FLIPS = np.array(
    [
        np.diag(signs) @ np.eye(2)[list(order)]
        for signs in itertools.product((1, -1), repeat=2)
        for order in ((0, 1), (1, 0))
    ]
)


def standardised(layout: Array) -> Array:
    """The layout [C, 2], centred and of length 1."""
    centred = layout - layout.mean(0)
    return np.asarray(centred / np.linalg.norm(centred))


def best_flip(cross: Array) -> Array:
    """The best of the eight flips and swaps of the axes."""
    return np.asarray(FLIPS[np.einsum("gjk,...jk->...g", FLIPS, cross).argmax(-1)])


def best_rotation(cross: Array) -> Array:
    """The best rotation, with or without a flip (Schönemann 1966)."""
    U, _, Vt = np.linalg.svd(cross)
    return np.asarray(U @ Vt)


ALIGNMENTS: dict[str, Alignment] = {"flips and swaps": best_flip, "any rotation": best_rotation}


def distance(A: Array, B: Array, move: Alignment) -> float:
    """The distance of two layouts [C, 2]."""
    return float(_distances(standardised(A), standardised(B)[None], move)[0])


def unrelated(A: Array, B: Array, move: Alignment) -> Array:
    """The distance of A and B where B's points stand for other classes, in 1,000 fixed random orders: [1000]."""
    return _distances(standardised(A), standardised(B)[_orders(len(B))], move)


def _distances(A: Array, Bs: Array, move: Alignment) -> Array:
    """Of one standard layout [C, 2] to others [n, C, 2]."""
    cross = np.swapaxes(Bs, -1, -2) @ A
    return np.asarray(1 - np.square((move(cross) * cross).sum((-1, -2))))


@functools.cache
def _orders(C: int) -> NDArray[np.int64]:
    generator = stream("planes", "unrelated")
    return np.stack([torch.randperm(C, generator=generator).numpy() for _ in range(UNRELATED)])
