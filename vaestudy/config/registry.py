"""The registries: for each kind of part, the names that a configuration may use and what each part declares.

A registry maps a name to a `Spec`. A spec is plain data and imports nothing slow, so a wrong flag is reported at once.
It names its code by the text "module:attribute"; `Registry.load` imports that code when a run needs it. Each room lists
its own parts in a file `registry.py`. The registry reads that list when it is first used.

Code outside the package declares a part by a decorator, with the fields of the spec:

    @LIKELIHOODS.part("laplace", family="density", support="the real line")
    class Laplace(Scaled): ...

`config/user_parts.py` says in which files such code is found.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from vaestudy.config import user_parts
from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.errors import BadInput, unknown_name

SCALE_OPTIONS = ("likelihood_sigma", "likelihood_floor", "decoder_sigma")
"""Configuration fields that every likelihood with a scale has as options."""


def _imported(path: str) -> Any:
    """Return the object that "module:attribute" names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


@functools.cache
def _one_object(made_of: type) -> Any:
    """Return an object of a class, the same for the same class."""
    return made_of()


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
    metrics: tuple[str, ...] = ()
    """Names of scores of its own, which `Likelihood.scores` computes. They are recorded as `test/own/NAME`."""

    def has_option(self, option: str) -> bool:
        """Return whether a configuration field has a meaning for this likelihood."""
        return option in self.options or (option in SCALE_OPTIONS and self.limits is not None)


@dataclass(frozen=True)
class SigmaSpec(Spec):
    """A parameterisation of a scale."""

    bounds: tuple[float, float] = (0.0, math.inf)
    """The open interval in which sigma lies."""


@dataclass(frozen=True)
class ArchitectureSpec(Spec):
    """An architecture: the layers of the encoder and of the decoder."""

    sizes: Any = None
    """The function (or "module:attribute") that returns the sizes of the layers: (configuration, shape of the images,
    heads) -> `Sizes` (`vaestudy/model/architectures/sizes.py`). It must import nothing slow: memory is estimated from
    it before a run starts."""
    rows: int = 10_000
    """Number of decoder rows whose activations are kept at once, for a likelihood with at most two heads
    (`vaestudy/model/chunking.py`)."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Configuration field -> the reason why it has no meaning for this architecture. Such a field must be at its
    default."""

    def load_sizes(self) -> Any:
        """Return the function of `sizes`. Import it first if the spec only names it."""
        return _imported(self.sizes) if isinstance(self.sizes, str) else self.sizes


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
    test_size: int = 10_000
    """Number of test images."""
    valid_size: int = 5_000
    """Default number of train images that are set aside for validation."""
    epochs: int = 10
    """Default number of epochs."""
    shape: ImageShape = DIGIT
    """Shape of the images."""
    by_content: bool = False
    """Whether the data set has no published digest. Then the digest of its content identifies it: it is a part of each
    run's key (`RunConfig.data_digest`), and the source is a `ContentSource` (`vaestudy/data/content_source.py`)."""

    def load(self) -> Any:
        """Return the source of the data set (`vaestudy/data/sources.py`); of a class, the one object that is made."""
        source = super().load()
        return _one_object(source) if isinstance(source, type) else source


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
P = TypeVar("P")
NAME = r"[a-z][a-z0-9_-]*"
"""What the name of a part looks like."""


class Registry(Mapping[str, S], Generic[S]):
    """A mapping name -> spec for one kind of part, in the order in which the parts are declared."""

    def __init__(self, kind: str, members: str, spec: type[S]) -> None:
        """Args:
        kind: the name of such a part in messages.
        members: "module:attribute" of the tuple of the package's own specs. This module must import nothing slow.
        spec: the class of the specs.
        """
        self.kind, self._members, self._spec = kind, members, spec
        self._specs: dict[str, S] | None = None
        self._origins: dict[str, Path | None] = {}

    def _known(self) -> dict[str, S]:
        """Return the specs of the package and of the users' files that were imported so far."""
        if self._specs is None:
            self._specs = {spec.name: spec for spec in _imported(self._members)}
        return self._specs

    def _all(self) -> dict[str, S]:
        """Return all specs. At the first call, import the users' files that declare parts."""
        user_parts.load()
        return self._known()

    def register(self, spec: S, origin: Path | None = None) -> None:
        """Add a part from outside the package. The same file may declare it again, as when it is imported anew.

        Args:
            spec: its declaration.
            origin: the file that declares it.

        Raises:
            BadInput: the name is taken, or is no name that a flag and a file name can contain.
        """
        if not re.fullmatch(NAME, spec.name):
            raise BadInput(f"{self.kind} {spec.name!r}: a name has small letters, digits, '-' and '_', a letter first")
        if spec.name in self._known() and not (origin is not None and self.origin(spec.name) == origin):
            by = f"by {known}" if (known := self.origin(spec.name)) else "by vaestudy"
            raise BadInput(f"{self.kind} {spec.name!r} is declared already, {by}; choose another name")
        self._known()[spec.name] = spec
        self._origins[spec.name] = origin

    def part(self, name: str, **fields: Any) -> Callable[[P], P]:
        """Return a decorator that declares the class or function below it as a part of this kind.

        Args:
            name: the part's name in configurations.
            fields: further fields of the spec of this kind, such as `family` of a likelihood.

        Raises:
            BadInput: see `register`; or the kind has no such field.
        """
        valid = [field.name for field in dataclasses.fields(self._spec) if field.name not in ("name", "implementation")]
        for field_name in fields:
            if field_name not in valid:
                raise BadInput(unknown_name(f"field of a {self.kind}", field_name, valid))

        def declare(implementation: P) -> P:
            spec = self._spec(name, implementation, **fields)
            self.register(spec, user_parts.declared_in(getattr(implementation, "__module__", "")))
            return implementation

        return declare

    def origin(self, name: str) -> Path | None:
        """Return the user's file that declares a part; None for a part of the package."""
        return self._origins.get(name)

    def has_no_file(self, name: str) -> bool:
        """Return whether a part was declared by code without a file (a notebook), which no other process finds."""
        return name in self._origins and self._origins[name] is None

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
        if name in self._known():
            return self._known()[name]
        if name not in self._all():
            raise KeyError(unknown_name(self.kind, name, self._all()))
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


DATASETS = Registry("dataset", "vaestudy.data.registry:DATASETS", DatasetSpec)
PIXELS = Registry("pixel protocol", "vaestudy.data.registry:PIXELS", PixelSpec)
LIKELIHOODS = Registry("likelihood", "vaestudy.model.likelihoods.registry:LIKELIHOODS", LikelihoodSpec)
SIGMAS = Registry("sigma", "vaestudy.model.registry:SIGMAS", SigmaSpec)
ARCHITECTURES = Registry("architecture", "vaestudy.model.architectures.registry:ARCHITECTURES", ArchitectureSpec)
INITS = Registry("init", "vaestudy.model.registry:INITS", Spec)
ACTIVATIONS = Registry("activation", "vaestudy.model.registry:ACTIVATIONS", Spec)
OBJECTIVES = Registry("estimator", "vaestudy.training.registry:OBJECTIVES", ObjectiveSpec)
OPTIMIZERS = Registry("optimizer", "vaestudy.training.registry:OPTIMIZERS", Spec)
SCHEDULES = Registry("schedule", "vaestudy.training.registry:SCHEDULES", ScheduleSpec)
LR_SCALINGS = Registry("learning rate scaling", "vaestudy.training.registry:LR_SCALINGS", LrScalingSpec)
RUN_FIGURES = Registry("figure", "vaestudy.run.registry:RUN_FIGURES", Spec)
STUDY_FIGURES = Registry("study figure", "vaestudy.reporting.figures.registry:STUDY_FIGURES", Spec)
STUDY_TABLES = Registry("study table", "vaestudy.reporting.tables.registry:STUDY_TABLES", Spec)
