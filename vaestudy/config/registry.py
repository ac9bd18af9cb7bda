"""The registries: for each kind of part, the names that a configuration may use and what each part declares.

A registry maps a name to a `Spec`. A spec is plain data and imports nothing slow, so a wrong flag is reported at once.
It names its code by the text "module:attribute"; `Registry.load` imports that code when a run needs it. Each room lists
its own parts in a file `registry.py`. The registry reads that list when it is first used.

Code outside the package registers a part by a call, before it creates a configuration that names the part:

    LIKELIHOODS.register(LikelihoodSpec("laplace", Laplace, family="density", support="the real line"))
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.errors import unknown_name

SCALE_OPTIONS = ("likelihood_sigma", "likelihood_floor", "decoder_sigma")
"""Configuration fields that every likelihood with a scale has as options."""


def _imported(path: str) -> Any:
    """Return the object that "module:attribute" names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Spec:
    """The declaration of a part: its name, and the code that implements it."""

    name: str
    implementation: Any
    """A function or class, or the text "module:attribute" that names one."""

    def load(self) -> Any:
        """Return the function or class that implements this part. Import it first if the spec only names it."""
        return _imported(self.implementation) if isinstance(self.implementation, str) else self.implementation


@dataclass(frozen=True)
class LikelihoodSpec(Spec):
    """A distribution of pixels p(x|z)."""

    family: str = "density"
    """The kind of measure on x: "density" on [0, 1], "mass" on 256 grey values, or "bernoulli". Log-likelihoods in nats
    may be ranked against each other only within one family."""
    support: str = "[0, 1]"
    """Description of the set of pixel values that have a density or a mass."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Pixel protocol -> the reason why this likelihood cannot model such pixels."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Configuration field -> the values that this likelihood accepts. `SCALE_OPTIONS` are not listed here."""
    limits: tuple[float, float] | None = None
    """Lowest and highest value of the scale; None for a likelihood without a scale."""
    most_heads: int = 2
    """The largest number of decoder outputs per pixel. The estimate of memory uses it."""

    def has_option(self, option: str) -> bool:
        """Return whether a configuration field has a meaning for this likelihood."""
        return option in self.options or (option in SCALE_OPTIONS and self.limits is not None)


@dataclass(frozen=True)
class SigmaSpec(Spec):
    """A parameterisation of a scale."""

    bounds: tuple[float, float] = (0.0, math.inf)
    """The open interval in which sigma lies."""


@dataclass(frozen=True)
class ObjectiveSpec(Spec):
    """An objective of training. The configuration field `estimator` names it."""

    min_samples: int = 1
    """The smallest L for which the objective is defined."""
    min_samples_reason: str = ""
    """The reason why fewer samples are not enough. It follows the objective's name in a message."""
    importance_weighted: bool = False
    """Whether the objective at L > 1 is a tighter bound than the ELBO, rather than an estimate of the ELBO."""
    takes_beta: bool = False
    """Whether the objective uses `Terms.beta`: it is defined with a weight on the KL (`beta`, `kl_warmup`)."""
    takes_free_bits: bool = False
    """Whether the objective has a parameter `free_bits`."""
    equal_at_one_sample: str | None = None
    """The objective that is the same as this one at L = 1; None if there is nothing to report to the user."""


@dataclass(frozen=True)
class DatasetSpec(Spec):
    """A set of images, with labels or without."""

    train_size: int = 60_000
    """Number of train images, including the validation images."""
    valid_size: int = 5_000
    """Default number of train images that are set aside for validation."""
    epochs: int = 10
    """Default number of epochs."""
    shape: ImageShape = DIGIT
    """Shape of the images."""
    by_content: bool = False
    """Whether the content identifies the data set, because no published digest does: its digest is then a part of each
    run's key (`RunConfig.data_digest`), and the source is a `ContentSource` (`vaestudy/data/content_source.py`)."""


@dataclass(frozen=True)
class PixelSpec(Spec):
    """A pixel protocol. The implementation turns stored bytes into x, minibatch by minibatch."""

    draw_once: Any = None
    """The function (or "module:attribute") that replaces the stored images of a split when the data set is read, before
    it is cut into train and valid; None if the protocol uses the stored images as they are."""

    def load_draw_once(self) -> Any:
        """Return the function of `draw_once`, or None. Import it first if the spec only names it."""
        return _imported(self.draw_once) if isinstance(self.draw_once, str) else self.draw_once


@dataclass(frozen=True)
class ScheduleSpec(Spec):
    """A schedule: how the step size changes over the epochs."""

    takes_drops: bool = False
    """Whether the schedule has the parameters `drops` and `factor` (`lr_drops`, `lr_drop_factor`)."""


@dataclass(frozen=True)
class LrScalingSpec(Spec):
    """A rule for how the step size depends on M."""

    description: str = ""
    """Description of the rule, for legends."""


S = TypeVar("S", bound=Spec)


class Registry(Mapping[str, S], Generic[S]):
    """A mapping name -> spec for one kind of part, in the order in which the parts are declared."""

    def __init__(self, kind: str, members: str) -> None:
        """Args:
        kind: the name of such a part in messages.
        members: "module:attribute" of the tuple of the package's own specs. This module must import nothing slow.
        """
        self.kind, self._members = kind, members
        self._specs: dict[str, S] | None = None

    def _all(self) -> dict[str, S]:
        """Return all specs. At the first call, read the package's own specs."""
        if self._specs is None:
            self._specs = {spec.name: spec for spec in _imported(self._members)}
        return self._specs

    def register(self, spec: S) -> None:
        """Add a part from outside the package.

        Raises:
            ValueError: the name is registered already.
        """
        if spec.name in self._all():
            raise ValueError(f"{self.kind} {spec.name!r} is registered already")
        self._all()[spec.name] = spec

    def load(self, name: str) -> Any:
        """Return the function or class that implements the part `name`.

        Raises:
            KeyError: no part has this name.
        """
        return self[name].load()

    def __getitem__(self, name: str) -> S:
        """Return the spec of the part `name`.

        Raises:
            KeyError: no part has this name.
        """
        if name not in self._all():
            raise KeyError(unknown_name(self.kind, name, self._all()))
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


DATASETS: Registry[DatasetSpec] = Registry("dataset", "vaestudy.data.registry:DATASETS")
PIXELS: Registry[PixelSpec] = Registry("pixel protocol", "vaestudy.data.registry:PIXELS")
LIKELIHOODS: Registry[LikelihoodSpec] = Registry("likelihood", "vaestudy.model.likelihoods.registry:LIKELIHOODS")
SIGMAS: Registry[SigmaSpec] = Registry("sigma", "vaestudy.model.registry:SIGMAS")
INITS: Registry[Spec] = Registry("init", "vaestudy.model.registry:INITS")
ACTIVATIONS: Registry[Spec] = Registry("activation", "vaestudy.model.registry:ACTIVATIONS")
OBJECTIVES: Registry[ObjectiveSpec] = Registry("estimator", "vaestudy.training.registry:OBJECTIVES")
OPTIMIZERS: Registry[Spec] = Registry("optimizer", "vaestudy.training.registry:OPTIMIZERS")
SCHEDULES: Registry[ScheduleSpec] = Registry("schedule", "vaestudy.training.registry:SCHEDULES")
LR_SCALINGS: Registry[LrScalingSpec] = Registry("learning rate scaling", "vaestudy.training.registry:LR_SCALINGS")
RUN_FIGURES: Registry[Spec] = Registry("figure", "vaestudy.run.registry:RUN_FIGURES")
STUDY_FIGURES: Registry[Spec] = Registry("study figure", "vaestudy.reporting.figures.registry:STUDY_FIGURES")
STUDY_TABLES: Registry[Spec] = Registry("study table", "vaestudy.reporting.tables.registry:STUDY_TABLES")
