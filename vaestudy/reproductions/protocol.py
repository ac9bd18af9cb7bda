"""A published protocol: its preset, its published numbers, and the runs that these need. Nothing slow is imported here.

A protocol becomes a study `reproduce-NAME`, whose base is the preset NAME. So its runs are tracked, resumed and found
by the key of their configuration as those of any study. Its factors are the fields in which the publication has several
values, and always the number of epochs.

A published number has an allowance: how far the mean over seeds here may be from it. The allowance and its reason were
fixed before the runs. `reproductions/comparison.py` has the rule.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

from vaestudy.config.registry import DATASETS
from vaestudy.config.run_config import RunConfig
from vaestudy.evidence.needs import Need
from vaestudy.study.declaration import Level, Study

ESTIMATED = "the protocol's estimate"
"""Where the declared seconds of a run come from: steps that were measured, and recorded times of similar runs."""
QUICK_DRAWS = 100
"""The largest K of an importance-weighted bound with --quick."""
BOUND = "test/iwae_"
"""How the names of importance-weighted bounds begin."""

HALF_A_NAT = 0.5
IMPLEMENTATIONS = (
    "two public reproductions of one protocol (Burda et al., k=1) differ by 1.4 nats, so half a nat is allowed for "
    "what differs between implementations"
)
"""Why half a nat is allowed where the publication's program or images are not exactly ours."""


@dataclass(frozen=True)
class Published:
    """One number of a publication, in nats per image."""

    quantity: str
    """What the number is, in the publication's terms."""
    metric: str
    """The metric of our runs."""
    low: float
    """The smallest published value; -inf if only an upper limit can be read."""
    high: float
    """The largest published value; the same as `low` if there is one."""
    allowance: float
    """How far beyond the published values the mean over seeds here may be."""
    why: str
    """Why so far, in one sentence that does not depend on our runs."""
    levels: tuple[tuple[str, Level], ...]
    """The levels of the cell that gives the number, the epochs included."""
    minutes: float
    """The minutes of one run beside another one on two cores, for the plan."""
    loss: bool = False
    """Whether the publication gives the negative of our metric, as a loss or a negative log-likelihood."""
    full_epochs: int | None = None
    """The number of epochs in the publication, if the run here has fewer; None if it has as many."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of the cell."""
        epochs = dict(self.levels)["epochs"]
        assert isinstance(epochs, int)
        return epochs

    @property
    def cut(self) -> bool:
        """Return whether the run is shorter than the publication's."""
        return self.full_epochs is not None

    def in_its_sign(self, value: float) -> float:
        """Return a value of the metric with the publication's sign."""
        return -value if self.loss else value


def cell(**levels: Level) -> tuple[tuple[str, Level], ...]:
    """Return levels in the form of `Published.levels`."""
    return tuple(sorted(levels.items()))


@dataclass(frozen=True)
class Protocol:
    """A published protocol."""

    name: str
    """The name of the preset, and of the protocol."""
    source: str
    """The publication."""
    question: str
    """What its runs answer, in one sentence."""
    numbers: tuple[Published, ...]
    seeds: int
    differs: str
    """What is not as in the publication."""
    changes: dict[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the preset that are changed; `differs` says why."""

    @functools.cached_property
    def study(self) -> Study:
        """Return the study whose cells are the protocol's runs.

        Raises:
            BadInput: a level or a metric is not valid.
        """
        first = dict(self.numbers[0].levels)
        return Study(
            name=f"reproduce-{self.name}",
            doc=f"{self.question}\n\nThe protocol: {self.source}. `make reproduce` compares its runs with it.",
            base=RunConfig.preset(self.name, dataset="mnist", figures=("reconstructions",), **self.changes),
            factors={
                name: tuple(dict.fromkeys(dict(number.levels)[name] for number in self.numbers)) for name in first
            },
            baseline=first,
            seeds=self.seeds,
            tabulate=tuple(dict.fromkeys(number.metric for number in self.numbers)),
            figures=(),
            made_by="make reproduce",
        )

    def need(self, number: Published, dataset: str, quick: bool = False, seeds: int | None = None) -> Need:
        """Return what a number needs.

        Args:
            number: one of the protocol's numbers.
            dataset: the data set. One with few train images has its own number of validation images.
            quick: at the scale of --quick: the numbers of epochs become 1, 2, ... in their order.
            seeds: the number of seeds [default: the protocol's].
        """
        levels, base, entry = dict(number.levels), self.study.base, DATASETS[dataset]
        flags: dict[str, Any] = {}
        if base.valid_size is not None and base.valid_size > entry.train_size // 2:
            flags["valid_size"] = entry.valid_size
        if quick:
            levels["epochs"] = 1 + sorted({each.epochs for each in self.numbers}).index(number.epochs)
            draws = tuple(sorted({min(K, QUICK_DRAWS) for K in base.iwae}))
            if "iwae" in levels:
                levels["iwae"] = draws
            else:
                flags["iwae"] = draws
        wanted = self.seeds if seeds is None else seeds
        return Need(self.study.name, cell(**levels), wanted, tuple(sorted(flags.items())), self.study)

    def needs(self, dataset: str, quick: bool = False, seeds: int | None = None) -> list[Need]:
        """Return what all numbers need, each cell once; see `need`."""
        return list(dict.fromkeys(self.need(number, dataset, quick, seeds) for number in self.numbers))

    def seconds(self, one: Need) -> float:
        """Return the declared seconds of one run of a need at the normal scale."""
        return max(60 * n.minutes for n in self.numbers if n.levels == one.levels)


def at_quick(number: Published) -> Published:
    """Return a number with what --quick scores in its place: few epochs, at most QUICK_DRAWS importance samples."""
    quantity = f"{number.quantity}; here after one or two epochs of few images"
    if not number.metric.startswith(BOUND):
        return replace(number, quantity=quantity)
    draws = min(int(number.metric.removeprefix(BOUND)), QUICK_DRAWS)
    return replace(number, metric=f"{BOUND}{draws}", quantity=f"{quantity} by L_{draws}")
