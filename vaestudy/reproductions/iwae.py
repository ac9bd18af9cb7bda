"""Burda, Grosse & Salakhutdinov 2015, table 1, one stochastic layer: the NLL of VAE and IWAE, as the start of a curve.

The paper trains for 3,280 epochs, in eight stages of 3^i epochs with the step size 1e-3 10^(-i/7). Here the first 4
epochs of exactly this training are run, and of k = 1 and 5 the first 13: the ends of its second and third stage. The
schedule `iwae` would compress all eight stages into the few epochs, so the step size is that of `drops`, after epochs 1
and 4. The published numbers are those at the end. So a difference says how far the training is from its end, and
nothing about a reproduction.
"""

from __future__ import annotations

from dataclasses import dataclass

from vaestudy.reproductions.protocol import HALF_A_NAT, IMPLEMENTATIONS, Protocol, Published, cell

FULL = 3280
STAGES = (1, 4)
"""The epochs after which the step size drops, of those that are run."""
CURVE = {4: (100,), 13: (100, 5000)}
"""Epochs -> K of the bounds. L_5000 takes minutes, so the earlier point has only L_100."""


@dataclass(frozen=True)
class _Row:
    """A row of table 1."""

    name: str
    estimator: str
    k: int
    value: float
    minutes: dict[int, float]
    """Number of epochs -> minutes of a run. With k = 50 there are fewer epochs: one takes six times as long as with
    k = 1."""


ROWS = (
    _Row("VAE and IWAE, k=1", "sgvb-a", 1, 86.76, {4: 0.6, 13: 5.5}),
    _Row("VAE, k=5", "sgvb-a", 5, 86.47, {4: 0.8, 13: 6.5}),
    _Row("VAE, k=50", "sgvb-a", 50, 86.35, {4: 2.7}),
    _Row("IWAE, k=5", "iwae", 5, 85.54, {4: 0.8, 13: 6.5}),
    _Row("IWAE, k=50", "iwae", 50, 84.78, {4: 2.7}),
)


def _number(row: _Row, epochs: int, K: int) -> Published:
    return Published(
        quantity=f"{row.name}: NLL by L_{K} after {epochs} epochs (published: by L_5000 after {FULL:,})",
        metric=f"test/iwae_{K}",
        loss=True,
        low=row.value,
        high=row.value,
        allowance=HALF_A_NAT,
        why=IMPLEMENTATIONS,
        levels=cell(estimator=row.estimator, samples=row.k, epochs=epochs, iwae=(1, *CURVE[epochs])),
        minutes=row.minutes[epochs],
        full_epochs=FULL,
    )


PROTOCOL = Protocol(
    name="iwae",
    source="Burda, Grosse & Salakhutdinov 2015, table 1",
    question="How far are VAE and IWAE from table 1 of Burda et al. 2015 after the first epochs of its training?",
    numbers=tuple(_number(row, epochs, K) for row in ROWS for epochs in row.minutes for K in CURVE[epochs]),
    seeds=2,
    differs=f"cut at 4 and 13 of {FULL:,} epochs (k=50 at 4); the biases of the output layer start at 0, not at the "
    "logits of the mean image; beta_1 of Adam is 0.9, as in the paper, not 0.99, as in the authors' program",
    changes={"schedule": "drops", "lr_drops": STAGES, "lr_drop_factor": 10 ** (-1 / 7)},
)
