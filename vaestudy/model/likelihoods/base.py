"""The interface of a likelihood p(x|z), and the code that likelihoods share. Read this file to add a likelihood.

The package's likelihoods are in `bernoulli.py`, `gaussian.py`, `beta.py` and `discretised.py` of this directory. The
table of them is `registry.py`, also in this directory.

Shapes: L samples, M minibatch, P pixels. A head is one output of the decoder per pixel.
    x:                 [M, P]              the pixels, after the pixel protocol
    head:              [L, M, heads * P]   the raw output of the decoder; the likelihood defines the number of heads
    log_prob:          [L, M]              log p(x|z) in nats, summed over pixels
    mean, sample, cdf: [..., P]            for a head [..., heads * P] with any leading dimensions

The outputs of the first head come first, then those of the second: [..., 0:P] and [..., P:2P]. A likelihood that reads
them in the other order, pixel by pixel, says so by `outputs_adjacent`.

The order of calls in a run:
    1. `__init__` and `heads`   the model is built; the decoder's last layer gets heads * P outputs
    2. `initialise_head`        once, after the decoder's weights are drawn
    3. `image_by_image`         read once, before the first training step
    4. `log_prob`               at each training step, and when the bound is scored during training
    5. `fit_scale`              once, after training and before the final scores
    6. `log_prob`               in the final scores; `normalised.log_prob` in bits per dimension; `head_slope` in
                                annealed importance sampling, if it is asked for
    7. `mean`, `sample`, `cdf`  in calibration and figures; `at_floor`, `normalised.cdf` and `scores` in calibration

`mean` is also called earlier if `fit_scale` uses its argument. `describe` is called for the run's record, on a separate
instance.

To add a likelihood:
    1. Write a subclass of `Likelihood`, or of `Scaled` if it has a location and a scale.
    2. Declare it by a `LikelihoodSpec` (`vaestudy/config/registry.py`): in the table in `registry.py` if it belongs to
       the package, else by the decorator `LIKELIHOODS.part(...)` (docs/projects.md).

What the spec declares:
    name            the name in configurations (`--likelihood`)
    implementation  the class, or the text "module:Class", which is imported only when a run needs it
    family          "density" on [0, 1], "mass" on the 256 grey values, or "bernoulli"; nats are only comparable within
                    one family
    support         a short text: the pixel values with a density or a mass; a part of `describe`
    refusals        pixel protocol -> why this is no likelihood of such pixels; a density or a mass refuses `binarised`,
                    `stochastic` and `binarised-once`
    options         configuration field -> the values allowed, for the options that only some likelihoods have; the
                    three fields in `SCALE_OPTIONS` are not listed here: `limits` implies them
    limits          the scale's floor and ceiling; required for `Scaled`, None for a likelihood without a scale
    most_heads      the largest value that `heads` can take, for the estimate of memory
    metrics         names of scores of its own, which the method `scores` computes

A configuration is checked against the spec alone, in `vaestudy/config/compatibility.py`. So a wrong pixel protocol or
option is refused before torch or the likelihood's class is imported. `vaestudy/conformance/likelihoods.py` has what
every likelihood must pass: `vaestudy check NAME` checks one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vaestudy.config.registry import LIKELIHOODS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.sigma import make_sigma

GREY_VALUES = 256
CELL_WIDTH = 1 / GREY_VALUES  # the width of a grey value's cell on [0, 1]
# A density that is undefined at 0 or 1 clamps x to [CLIP, 1 - CLIP]. This moves 1 in 80,000 dequantised pixels.
CLIP = 2**-24


class Weighted(Protocol):
    """A layer with a weight and a bias. The first dimension of both is that of the outputs."""

    @property
    def weight(self) -> Tensor: ...

    @property
    def bias(self) -> Tensor: ...


Pointwise = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
"""(with_slopes, x, parameters...) -> (log p of each pixel, its slope in each parameter or an empty tuple).

x and the parameters broadcast against each other. log p and the slopes are [L, M, P].
"""


class Likelihood(nn.Module, ABC):
    """A distribution of pixels, which are independent given z. The configuration's options decide its parameters.

    A likelihood is a part of the model: its own parameters are trained, and its parameters and buffers are stored with
    the model's weights. The docstring of this file gives the order in which a run calls the methods.
    """

    heads: int = 1
    """Number of decoder outputs per pixel, at most the spec's `most_heads`. A class attribute, or set in `__init__`."""
    outputs_adjacent: bool = False
    """Whether the outputs of a pixel are adjacent in the head ([..., P * heads]). If not, those of the first head come
    first ([..., heads * P]). An architecture whose pixels have places needs to know it."""
    image_by_image: bool = False
    """Whether `log_prob` loops over images. If so, training steps are not traced: a trace would have thousands of
    operations, and each of them takes so long that replaying gains nothing."""

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        """Build the likelihood. A subclass must keep these two parameters.

        Args:
            config: the run's configuration; its options decide the parameters.
            spec: the declaration of this likelihood.
        """
        super().__init__()
        self.spec = spec

    @abstractmethod
    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return log p(x|z) in nats, summed over pixels, with a gradient in the head and in the own parameters.

        The result and its gradient must be finite for any finite head in float32.

        A training step is traced once and replayed only if its operations do not depend on a tensor's numbers. So avoid
        `if x.any():` and `.item()`, and write to buffers in place. Otherwise autograd computes the gradient: the same
        bits, but slower.

        Args:
            x: the pixels, [M, P].
            head: the decoder's output, [L, M, heads * P].
            log_guard: the constant that the article's script adds inside logarithms of an output; above 0 only in
                training. Ignore it if no logarithm is taken of an output.

        Returns:
            log p(x|z), [L, M].
        """

    @abstractmethod
    def mean(self, head: Tensor) -> Tensor:
        """Return E[x|z]: head [..., heads * P] -> [..., P]."""

    @abstractmethod
    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x ~ p(x|z) with the given generator: head [..., heads * P] -> [..., P]."""

    @abstractmethod
    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """Return P(pixel <= x | z) for each pixel: x [..., P], head [..., heads * P] -> [..., P].

        A likelihood on the 256 grey values spreads each mass evenly over the grey value's cell.
        """

    def head_slope(self, x: Tensor, head: Tensor) -> Tensor:
        """Return the gradient of `log_prob` in the head, without log p itself: x [M, P], head [L, M, heads * P].

        Hamiltonian Monte Carlo (`vaestudy/scoring/hmc.py`) calls it at each leapfrog step. The base class computes log
        p and its gradient. A likelihood whose gradient takes less than this may override it.

        Returns:
            the gradient, in the shape of the head.
        """
        with torch.enable_grad():
            head = head.detach().requires_grad_()
            value = self.log_prob(x, head)
            (slope,) = torch.autograd.grad(value, head, torch.ones_like(value))
        return slope

    @property
    def normalised(self) -> Likelihood:
        """The normalised likelihood by which dequantised pixels are scored.

        It is the likelihood itself, except for the Bernoulli, which is no normalised density of such pixels.
        """
        return self

    @property
    def with_same_mean(self) -> Likelihood | None:
        """Another normalised likelihood with the same mean, by which dequantised pixels are scored too.

        Only the Bernoulli has one: its decoder can be read as a density in two ways.
        """
        return None

    def initialise_head(self, head: Weighted) -> None:
        """Change the initial weights of the decoder's last layer. It is called once, after the weights are drawn.

        The base class changes nothing.

        Args:
            head: the decoder's last layer. Its outputs, the first dimension of weight and bias, are ordered by heads.
                There are heads * P of them, or heads * C if the last layer is a convolution (C channels).
        """

    def fit_scale(self, mean_square: Callable[[], Tensor]) -> None:
        """Fit the scale after training, if it is fitted in closed form. It stays fixed from then on.

        The scale is fitted to train images only, never to the images that are scored. Most likelihoods have no such
        scale; the base class does nothing.

        Args:
            mean_square: a function that computes the mean squared error of E[x|z] over all train images, a scalar. It
                takes time, so call it only if needed.
        """

    def at_floor(self, head: Tensor) -> Tensor | None:
        """Return where the scale is at its floor: booleans, or None if there is no learned scale.

        The share of True is recorded as `decoder_at_floor`. So any shape is allowed.
        """
        return None

    def scores(self, x: Tensor, head: Tensor) -> dict[str, Tensor]:
        """Return scores of its own of each image: x [M, P], head [M, heads * P] -> name -> [M].

        The names are the spec's `metrics`. Their means over the test images are recorded as `test/own/NAME`, with the z
        of the head drawn once from q(z|x). The base class has none.
        """
        return {}

    def describe(self) -> str:
        """Return the description of this likelihood for the run's record. It must contain the spec's `support`."""
        return f"{type(self).__name__} on {self.spec.support}"


class _Summed(torch.autograd.Function):
    """The sum over pixels of a pointwise log p. Its gradient is computed from the slopes that the formula returns."""

    @staticmethod
    def forward(ctx: Any, formula: Pointwise, x: Tensor, *parameters: Tensor) -> Tensor:
        value, slopes = formula(any(ctx.needs_input_grad), x, *parameters)
        ctx.save_for_backward(*slopes)
        ctx.shapes = [parameter.shape for parameter in parameters]
        return value.sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad.unsqueeze(-1)
        pairs = zip(ctx.saved_tensors, ctx.shapes, strict=True)
        return None, None, *((slope * grad).sum_to_size(shape) for slope, shape in pairs)


def summed_log_prob(formula: Pointwise, x: Tensor, *parameters: Tensor) -> Tensor:
    """Return the sum over pixels of a pointwise log p, with closed-form gradients in the parameters.

    This is faster than autograd through the formula. There is no gradient in x.

    Args:
        formula: computes log p of each pixel and, if needed, its slopes: see `Pointwise`.
        x: the pixels, [M, P].
        parameters: the distribution's parameters, each broadcastable to [L, M, P].

    Returns:
        The sum, [L, M].
    """
    value: Tensor = _Summed.apply(formula, x, *parameters)
    return value


class Scaled(Likelihood):
    """A likelihood with a location per pixel and a scale. Its spec must declare `limits`.

    The field `likelihood_scale` selects the kind of scale:
        per-pixel   each pixel has its own scale, from a second head
        learned     one number, a parameter of the likelihood
        fixed       one number that does not change
        optimal     one number in closed form; a subclass must set it (see `Gaussian`)

    The field `decoder_sigma` selects the parameterisation of a per-pixel or learned scale. This scale is clamped to
    `limits` for any output of the decoder; a clamped output gets no gradient. The field `likelihood_floor` replaces the
    floor.
    """

    SIGMA = 0.1
    """The fixed scale, or the initial value of a learned one, unless the field `likelihood_sigma` is given."""

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        super().__init__(config, spec)
        self.parameterisation = make_sigma(config.decoder_sigma)
        self.kind, self.initial = config.likelihood_scale, config.likelihood_sigma
        if spec.limits is None:
            raise ValueError(f"likelihood {spec.name!r} has a scale, so it must declare its limits")
        floor, self.ceiling = spec.limits
        self.floor = floor if config.likelihood_floor is None else config.likelihood_floor
        self.heads = 2 if self.kind == "per-pixel" else 1
        sigma = self.initial or self.SIGMA
        if self.kind == "learned":
            self.output = nn.Parameter(torch.tensor(self.parameterisation.inverse(sigma)))
        elif self.kind != "per-pixel":
            self.log_scale: Tensor
            self.register_buffer("log_scale", torch.tensor(math.log(sigma)))

    def parts(self, head: Tensor, log_guard: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the location's output and ln scale: head [..., heads * P] -> [..., P], and [..., P] or a scalar.

        The location's output is not transformed; a subclass decides how it becomes the location.
        """
        if self.kind == "per-pixel":
            location, output = head.chunk(2, -1)
            return location, self._log_scale_of(output, log_guard)
        return head, self._log_scale_of(self.output, log_guard) if self.kind == "learned" else self.log_scale

    def _log_scale_of(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        """Return ln scale, clamped to the limits, for a raw output of the scale."""
        limited = self.parameterisation.limit(output, self.floor, self.ceiling)
        return 0.5 * self.parameterisation.log_variance(limited, log_guard)

    def initialise_head(self, head: Weighted) -> None:
        """Let every pixel's scale start at `likelihood_sigma`, if it is given.

        The weights of the scale's outputs become zero, and their biases the output that gives this scale.
        """
        if self.kind == "per-pixel" and self.initial is not None:
            half = len(head.bias) // 2
            with torch.no_grad():
                head.weight[half:] = 0
                head.bias[half:] = self.parameterisation.inverse(self.initial)

    def at_floor(self, head: Tensor) -> Tensor | None:
        if self.kind == "per-pixel":
            return self.parameterisation.at_floor(head.chunk(2, -1)[1], self.floor)
        return self.parameterisation.at_floor(self.output, self.floor) if self.kind == "learned" else None

    def describe(self) -> str:
        return f"{super().describe()}, scale {self.kind}, in [{self.floor:g}, {self.ceiling:g}]"


def uniform_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from U[0, 1), in the shape, type and device of `like`."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from N(0, 1), in the shape, type and device of `like`."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def make_likelihood(config: RunConfig) -> Likelihood:
    """Return the likelihood that the configuration names."""
    spec = LIKELIHOODS[config.likelihood]
    made: Likelihood = spec.load()(config, spec)
    return made
