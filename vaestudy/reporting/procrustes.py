"""Compare the latent spaces of two runs at D=2 by the positions of the classes in them.

A layout is C points in two dimensions, [C, 2], one point per class. To compare two layouts A and B, each is centred and
divided by its length (the root of the sum of its squares). B is then multiplied by the matrix G [2, 2] of a given kind
that fits A best:

    distance = 1 - (max_G tr(A^T B G))^2, in [0, 1]

The distance is 0 if the layouts differ only in position and size, and 1 if they have nothing in common. It is the share
of A's sum of squares that the best multiple of B G leaves unexplained (Procrustes' statistic, Gower 1975).

There are two kinds of G. Flips and swaps of the axes do not change a VAE with the prior N(0, I). A rotation by any
other angle does not change the prior either, but it does change a diagonal q(z|x).
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
"""A function from B^T A [..., 2, 2] to the best G of one kind [..., 2, 2]."""

UNRELATED = 1_000
FLIPS = np.array(
    [
        np.diag(signs) @ np.eye(2)[list(order)]
        for signs in itertools.product((1, -1), repeat=2)
        for order in ((0, 1), (1, 0))
    ]
)


def standardised(layout: Array) -> Array:
    """Return the layout [C, 2], centred and divided by its length."""
    centred = layout - layout.mean(0)
    return np.asarray(centred / np.linalg.norm(centred))


def best_flip(cross: Array) -> Array:
    """Return the best of the eight combinations of flips and swaps of the axes."""
    return np.asarray(FLIPS[np.einsum("gjk,...jk->...g", FLIPS, cross).argmax(-1)])


def best_rotation(cross: Array) -> Array:
    """Return the best rotation, with or without a flip (Schönemann 1966)."""
    U, _, Vt = np.linalg.svd(cross)
    return np.asarray(U @ Vt)


ALIGNMENTS: dict[str, Alignment] = {"flips and swaps": best_flip, "any rotation": best_rotation}


def distance(A: Array, B: Array, move: Alignment) -> float:
    """Return the distance of two layouts [C, 2] after the best move of one kind."""
    return float(_distances(standardised(A), standardised(B)[None], move)[0])


def unrelated(A: Array, B: Array, move: Alignment) -> Array:
    """Return the distances of A to B with B's classes permuted, in 1,000 fixed random orders: [1000].

    They show which distances occur between layouts that have nothing to do with each other.
    """
    return _distances(standardised(A), standardised(B)[_orders(len(B))], move)


def _distances(A: Array, Bs: Array, move: Alignment) -> Array:
    """Return the distances [n] of one standardised layout [C, 2] to n others [n, C, 2]."""
    cross = np.swapaxes(Bs, -1, -2) @ A
    return np.asarray(1 - np.square((move(cross) * cross).sum((-1, -2))))


@functools.cache
def _orders(C: int) -> NDArray[np.int64]:
    """Return the random orders of C classes, [1000, C]; they are the same in every process."""
    generator = stream("planes", "unrelated")
    return np.stack([torch.randperm(C, generator=generator).numpy() for _ in range(UNRELATED)])
