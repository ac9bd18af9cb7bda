"""The VAE: the encoder, the decoder, the posterior q(z|x) and the prior p(z).

Shapes: L samples, M minibatch, D latent dimensions, P pixels.
    x [M, P] -> q(z|x): mu, sigma [M, D] -> z = mu + sigma * eps [L, M, D] -> head [L, M, heads * P]

The prior p(z) is N(0, I). The likelihood p(x|z) turns the head into a distribution of pixels
(`vaestudy/model/likelihoods/base.py`). The layers between pixels and z come from the architecture
(`vaestudy/model/architectures/base.py`). The objectives of training are in `vaestudy/training/objectives.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import INITS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.architectures.base import make_architecture
from vaestudy.model.layers import Affine, layers_of
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

    def __iter__(self) -> Iterator[Tensor]:
        """Yield mu, then sigma: `mean, sigma = model.encode(x)`."""
        yield self.mu
        yield self.sigma

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


class VAE(nn.Module):
    """An encoder, a decoder and a likelihood, built from a configuration. The architecture makes their layers.

    The initial weights depend only on the configuration and its seed.
    """

    def __init__(self, config: RunConfig, shape: ImageShape = DIGIT) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.likelihood: Likelihood = make_likelihood(config)
        self.parameterisation = make_sigma(config.sigma)
        architecture = make_architecture(config, shape, self.likelihood)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(config.seed, "weights").initial_seed())
            self.encoder = architecture.encoder()
            self.mu = Affine(architecture.features, config.latent_dim, config.second_biases)
            self.sigma = Affine(architecture.features, config.latent_dim, config.second_biases)
            self.decoder = architecture.decoder()
            self.head = architecture.head()
            for layer in layers_of(self):
                INITS.load(config.init)(layer)
        if config.init_sigma is not None:
            nn.init.zeros_(self.sigma.weight)
            nn.init.constant_(self.sigma.bias, self.parameterisation.inverse(config.init_sigma))
        self.likelihood.initialise_head(self.head)

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        """Return q(z|x) for images x [M, P].

        `log_guard` is the constant inside the logarithm of sigma^2, used by the parameterisations `raw` and `abs`.
        """
        h = self.encoder(x)
        sigma, output = self.parameterisation, self.sigma(h)
        if floor := self.config.sigma_floor:
            output = sigma.limit(output, floor)
        return Posterior(self.mu(h), *sigma(output, log_guard))

    def decode(self, z: Tensor) -> Tensor:
        """Return the likelihood's head, the raw output of the decoder: z [..., D] -> [..., heads * P]."""
        head: Tensor = self.head(self.decoder(z))
        return head
