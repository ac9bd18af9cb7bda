"""What a decoder's distribution p(x|z) must offer, and the parts that members share. The members are in
`bernoulli.py`, `gaussian.py`, `beta.py` and `levels.py`; `likelihoods.py` lists them.

Shapes: L samples, M minibatch, P pixels.
    x:        [M, P]
    head:     [L, M, heads * P]   the decoder's raw output; the likelihood says how many heads per pixel it needs
    log_prob: [L, M]              nats, summed over pixels

What a member declares as plain class attributes is also read from its source, without importing it, so that a pixel
protocol or an option that it has no use for is refused at once (`options.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vaestudy.config.registry import LIKELIHOODS, LikelihoodSpec
from vaestudy.config.run_config import RunConfig
from vaestudy.model.sigma import make_sigma

GREY_VALUES = 256
CELL_WIDTH = 1 / GREY_VALUES  # the width of a grey level's cell on [0, 1]
CLIP = 2**-24  # what is undefined at 0 or 1 takes x from [CLIP, 1 - CLIP]; of dequantised pixels 1 in 80,000 is moved

Pointwise = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
"""(slopes wanted, x, parameters...) -> (log p of each pixel, its slope in each parameter or none)."""


class Likelihood(nn.Module, ABC):
    """A distribution of pixels, independent given z; the configuration's options decide its parameters."""

    heads: int = 1
    """Decoder outputs per pixel."""
    image_by_image: bool = False
    """`log_prob` loops over images: thousands of operations, each so long that recording them gains nothing."""

    def __init__(self, config: RunConfig, spec: LikelihoodSpec) -> None:
        """Args:
        config: the run's configuration, whose options decide the parameters.
        spec: what this likelihood declares.
        """
        super().__init__()
        self.spec = spec

    @abstractmethod
    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        """log p(x|z), nats: x [M, P], head [L, M, heads * P] -> [L, M]."""

    @abstractmethod
    def mean(self, head: Tensor) -> Tensor:
        """E[x|z], [..., P]."""

    @abstractmethod
    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        """x ~ p(x|z), [..., P]."""

    @abstractmethod
    def cdf(self, x: Tensor, head: Tensor) -> Tensor:
        """P(pixel <= x | z): x [..., P] -> [..., P]."""

    @property
    def normalised(self) -> Likelihood:
        """The normalised likelihood by which dequantised pixels are scored: itself, but for the Bernoulli."""
        return self

    def initialise_head(self, head: nn.Linear) -> None:
        """Set the decoder's last layer up before training, after its weights were drawn."""

    def fit_scale(self, mean_square: Callable[[], Tensor]) -> None:
        """Set a scale that is fitted after training and then frozen; most likelihoods have none and do nothing.

        Args:
            mean_square: computes the mean squared error of E[x|z] over all train images, a scalar.
        """

    def at_floor(self, head: Tensor) -> Tensor | None:
        """Where the scale is held at its floor: booleans, or None where there is no learned scale."""
        return None

    def describe(self) -> str:
        """What a run's record says of it."""
        return f"{type(self).__name__} on {self.spec.support}"


class _Summed(torch.autograd.Function):
    """sum_p of a pointwise log p, differentiated by the slopes that its formula gives."""

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
    """sum_p formula(..., x, *parameters), with closed-form gradients in the parameters: [L, M]."""
    value: Tensor = _Summed.apply(formula, x, *parameters)
    return value


class Scaled(Likelihood):
    """A likelihood with a location per pixel and a scale: per pixel (a second head), or a single number.

    The scale is parameterised as `decoder_sigma` says and held within `limits` (the floor may be set), whatever the
    decoder's output; below the floor it gets no gradient.
    """

    SIGMA = 0.1
    """The fixed scale, or where one learned number starts, unless `likelihood_sigma` says otherwise."""

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
        """(location's output [..., P], ln scale [..., P] or a single number)."""
        if self.kind == "per-pixel":
            location, output = head.chunk(2, -1)
            return location, self._log_scale_of(output, log_guard)
        return head, self._log_scale_of(self.output, log_guard) if self.kind == "learned" else self.log_scale

    def _log_scale_of(self, output: Tensor, log_guard: float = 0.0) -> Tensor:
        limited = self.parameterisation.limit(output, self.floor, self.ceiling)
        return 0.5 * self.parameterisation.log_variance(limited, log_guard)

    def initialise_head(self, head: nn.Linear) -> None:
        """With `likelihood_sigma`, every pixel's scale starts there: a bias through the inverse, and no weights."""
        if self.kind == "per-pixel" and self.initial is not None:
            half = head.out_features // 2
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
    """U[0, 1) in the shape of `like`."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) in the shape of `like`."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def make_likelihood(config: RunConfig) -> Likelihood:
    """Return the likelihood that the configuration names."""
    name = config.likelihood
    made: Likelihood = LIKELIHOODS.load(name)(config, LIKELIHOODS[name])
    return made
