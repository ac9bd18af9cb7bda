"""The VAE: the encoder, the decoder, the posterior q(z|x), the prior p(z) and the initialisations of the weights.

Shapes: L samples, M minibatch, D latent dimensions, P pixels, H hidden widths.
    x [M, P] -> q(z|x): mu, sigma [M, D] -> z = mu + sigma * eps [L, M, D] -> head [L, M, heads * P]

The prior p(z) is N(0, I). The likelihood p(x|z) turns the head into a distribution of pixels
(`vaestudy/model/likelihoods/base.py`). The objectives of training are in `vaestudy/training/objectives.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import ACTIVATIONS, INITS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.likelihoods.base import Likelihood, make_likelihood
from vaestudy.model.sigma import make_sigma
from vaestudy.runtime.random_streams import stream

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Posterior:
    """q(z|x) = N(mu, diag sigma^2), one distribution per image: mu, sigma and log_variance = ln sigma^2 are [M, D].

    sigma may be negative with some parameterisations; only sigma * eps and sigma^2 are used.
    """

    mu: Tensor
    sigma: Tensor
    log_variance: Tensor

    def draw(self, eps: Tensor) -> Tensor:
        """Return z = mu + sigma * eps: eps [L, M, D] -> z [L, M, D], differentiable in mu and sigma."""
        return torch.addcmul(self.mu, self.sigma, eps)

    def detach(self) -> Posterior:
        """Return the same distribution without a gradient in its parameters."""
        return Posterior(self.mu.detach(), self.sigma.detach(), self.log_variance.detach())

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x): z [L, M, D] -> [L, M], nats."""
        return -0.5 * (((z - self.mu) / self.sigma).square() + self.log_variance + LOG_2PI).sum(-1)

    def kl_per_dimension(self) -> Tensor:
        """Return KL(q(z_d|x) || N(0, 1)) = (mu^2 + sigma^2 - 1 - ln sigma^2) / 2, [M, D], nats."""
        return 0.5 * (self.mu.square() + self.sigma.square() - 1 - self.log_variance)

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || p(z)), [M], nats (Kingma & Welling 2013, appendix B)."""
        return self.kl_per_dimension().sum(-1)


def log_prior(z: Tensor) -> Tensor:
    """Return log p(z) under N(0, I): z [L, M, D] -> [L, M], nats."""
    return -0.5 * (z.square() + LOG_2PI).sum(-1)


class Affine(nn.Linear):
    """The layer x W^T + b, optionally with a second bias, which starts at zero as in the article's script."""

    def __init__(self, width_in: int, width_out: int, second_bias: bool) -> None:
        super().__init__(width_in, width_out)
        self.second_bias = nn.Parameter(torch.zeros(width_out)) if second_bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias if self.second_bias is None else self.bias + self.second_bias)


class VAE(nn.Module):
    """Two mirrored multi-layer perceptrons, built from a configuration.

    The initial weights depend only on the configuration and its seed.
    """

    def __init__(self, config: RunConfig, shape: ImageShape = DIGIT) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.likelihood: Likelihood = make_likelihood(config)
        self.activation: Callable[[Tensor], Tensor] = ACTIVATIONS.load(config.activation)
        self.parameterisation = make_sigma(config.sigma)
        H, second = config.hidden, config.second_biases
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(config.seed, "weights").initial_seed())
            self.encoder = nn.ModuleList(Affine(a, b, second) for a, b in zip((shape.pixels, *H[:-1]), H, strict=True))
            self.mu = Affine(H[-1], config.latent_dim, second)
            self.sigma = Affine(H[-1], config.latent_dim, second)
            back = H[::-1]
            self.decoder = nn.ModuleList(
                Affine(a, b, second) for a, b in zip((config.latent_dim, *back[:-1]), back, strict=True)
            )
            self.head = Affine(back[-1], self.likelihood.heads * shape.pixels, second)
            for module in self.modules():
                if isinstance(module, Affine):
                    INITS.load(config.init)(module)
        if config.init_sigma is not None:
            nn.init.zeros_(self.sigma.weight)
            nn.init.constant_(self.sigma.bias, self.parameterisation.inverse(config.init_sigma))
        self.likelihood.initialise_head(self.head)

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        """Return q(z|x) for images x [M, P].

        `log_guard` is the constant inside the logarithm of sigma^2, used by the parameterisations `raw` and `abs`.
        """
        h = x
        for layer in self.encoder:
            h = self.activation(layer(h))
        sigma, output = self.parameterisation, self.sigma(h)
        if floor := self.config.sigma_floor:
            output = sigma.limit(output, floor)
        return Posterior(self.mu(h), *sigma(output, log_guard))

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's head, the raw output of the decoder: z [..., D] -> [..., heads * P]."""
        h = z
        for layer in self.decoder:
            h = self.activation(layer(h))
        return self.head(h)  # type: ignore[no-any-return]


def identity(h: Tensor) -> Tensor:
    """Return h: the activation of a linear VAE."""
    return h


def glorot(layer: Affine) -> None:
    """Draw the weights by Glorot & Bengio 2010 (uniform) and set the biases to zero."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


def aevb_normal(layer: Affine) -> None:
    """Draw weights and biases from N(0, 0.01), where 0.01 is the variance (Kingma & Welling 2013, section 5)."""
    nn.init.normal_(layer.weight, std=0.1)
    nn.init.normal_(layer.bias, std=0.1)


def torch_default(layer: Affine) -> None:
    """Leave weights and biases as `nn.Linear` has drawn them."""
