"""The distance of two layouts: closed forms, scipy's Procrustes, and all flips and swaps one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.spatial import procrustes

from vaestudy.reporting.procrustes import ALIGNMENTS, best_flip, best_rotation, distance, standardised, unrelated


def layout(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(10, 2))


def rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize("seed", range(5))
def test_any_rotation_against_scipy(seed: int) -> None:
    A, B = layout(seed), layout(seed + 100)
    assert distance(A, B, best_rotation) == pytest.approx(procrustes(A, B)[2])


@pytest.mark.parametrize("seed", range(5))
def test_flips_and_swaps_one_by_one(seed: int) -> None:
    """The distance is the residual share of A's sum of squares after least squares with the best of the eight moves."""
    A, B = layout(seed), layout(seed + 100)
    a, left = (A - A.mean(0)).ravel(), []
    for order, signs in itertools.product(((0, 1), (1, 0)), itertools.product((1, -1), repeat=2)):
        b = ((B - B.mean(0))[:, order] * signs).ravel()
        residual = a - b * (a @ b) / (b @ b)
        left.append(residual @ residual / (a @ a))
    assert distance(A, B, best_flip) == pytest.approx(min(left))


@pytest.mark.parametrize("move", ALIGNMENTS.values())
def test_place_size_flips_and_swaps_do_not_count(move: object) -> None:
    A = layout(0)
    assert distance(A, 3 * A[:, ::-1] * (1, -1) + (5, -2), move) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45])
def test_a_rotated_decagon(degrees: float) -> None:
    """Flips and swaps leave sin^2 of the angle unexplained; a rotation leaves nothing."""
    angles = 2 * math.pi * np.arange(10) / 10
    A = np.stack((np.cos(angles), np.sin(angles)), -1)
    B = A @ rotation(math.radians(degrees))
    assert distance(A, B, best_flip) == pytest.approx(math.sin(math.radians(degrees)) ** 2)
    assert distance(A, B, best_rotation) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("move", ALIGNMENTS.values())
def test_it_does_not_matter_which_is_moved(move: object) -> None:
    A, B = layout(1), layout(2)
    assert distance(A, B, move) == pytest.approx(distance(B, A, move))
    assert distance(A, B, best_rotation) <= distance(A, B, best_flip)


def test_a_move_keeps_lengths_and_takes_one_layout_to_the_other() -> None:
    A = layout(3)
    B = A @ rotation(0.4)
    G = best_rotation(standardised(B).T @ standardised(A))
    assert pytest.approx(np.eye(2)) == G @ G.T
    assert standardised(B) @ G == pytest.approx(standardised(A))


@pytest.mark.parametrize("move", ALIGNMENTS.values())
def test_unrelated_ones_are_other_orders_of_the_same(move: object) -> None:
    A, B = layout(4)[:3], layout(5)[:3]
    possible = [distance(A, B[list(order)], move) for order in itertools.permutations(range(3))]
    found = unrelated(A, B, move)
    assert len(found) == 1_000
    assert np.abs(found[:, None] - possible).min(1) == pytest.approx(np.zeros(1_000), abs=1e-12)
    # All six orders are equally likely: each occurs 167 +- 11.8 times.
    counts = [(np.abs(found - value) < 1e-12).sum() for value in possible]
    assert max(abs(count - 1_000 / 6) for count in counts) < 5 * 11.8
