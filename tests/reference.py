"""Slow, literal formulas and models with closed forms, used by tests alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from vaestudy.config import RunConfig
from vaestudy.model import VAE, Posterior


def literal_posterior(model: VAE, x: Tensor, guard: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """(mu, sigma, ln sigma^2), layer by layer with explicit matrices."""
    h = x
    for layer in model.encoder:
        h = model.activation(h @ layer.weight.T + total_bias(layer))
    mu = h @ model.mu.weight.T + total_bias(model.mu)
    out = h @ model.sigma.weight.T + total_bias(model.sigma)
    if model.config.sigma == "raw":
        return mu, out, torch.log(out**2 + guard)
    return mu, torch.exp(out / 2), out


def total_bias(layer: nn.Module) -> Tensor:
    return layer.bias if layer.second_bias is None else layer.bias + layer.second_bias


def literal_decode(model: VAE, z: Tensor) -> Tensor:
    h = z
    for layer in model.decoder:
        h = model.activation(h @ layer.weight.T + total_bias(layer))
    return h @ model.head.weight.T + total_bias(model.head)


def literal_objective(model: VAE, x: Tensor, eps: Tensor, estimator: str) -> Tensor:
    """The objective of each image, one draw after another, by torch.distributions: [M]."""
    mu, sigma, log_variance = literal_posterior(model, x)
    q = Independent(Normal(mu, torch.exp(log_variance / 2)), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    total = torch.zeros(len(x), dtype=x.dtype)
    for e in eps:
        z = mu + sigma * e
        log_px_z = Independent(Bernoulli(logits=literal_decode(model, z), validate_args=False), 1).log_prob(x)
        total = total + log_px_z
        if estimator == "sgvb-a":
            total = total + p.log_prob(z) - q.log_prob(z)
    mean = total / len(eps)
    return mean if estimator == "sgvb-a" else mean - kl_divergence(q, p)


class Gaussian:
    """x|z ~ N(head, s^2 I): a decoder whose VAE has closed forms."""

    heads = 1
    family = "gaussian"

    def __init__(self, s: float) -> None:
        self.s = s

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return (-0.5 * ((x - head) / self.s) ** 2 - math.log(self.s) - 0.5 * math.log(2 * math.pi)).sum(-1)

    def mean(self, head: Tensor) -> Tensor:
        return head

    def at_floor(self, head: Tensor) -> None:
        return None


class LinearVAE:
    """x|z ~ N(W z, s^2 I), q(z|x) = N(M^-1 W^T x, diag s^2 / M_jj), M = W^T W + s^2 I: Tipping & Bishop's pPCA.

    q is the exact posterior if M is diagonal.
    """

    def __init__(self, W: Tensor, s: float) -> None:
        self.W, self.s, self.likelihood = W, s, Gaussian(s)
        self.M = W.T @ W + s**2 * torch.eye(W.shape[1], dtype=W.dtype)
        self.config = SimpleNamespace(latent_dim=W.shape[1], pixels="grey", sigma="log-variance", sigma_floor=0.0)

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        mu = torch.linalg.solve(self.M, self.W.T @ x.T).T
        variance = (self.s**2 / self.M.diagonal()).expand_as(mu)
        return Posterior(mu, variance.sqrt(), variance.log())

    def decode(self, z: Tensor) -> Tensor:
        return z.to(self.W.dtype) @ self.W.T

    def log_px(self, x: Tensor) -> Tensor:
        """The exact log p(x), [N]."""
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(len(self.W), dtype=self.W.dtype)
        return torch.distributions.MultivariateNormal(
            torch.zeros(len(self.W), dtype=self.W.dtype), covariance
        ).log_prob(x)


def article_steps(model: VAE, batches: list[tuple[Tensor, Tensor]], rate: float) -> None:
    """The article's script, literally: summed loss, logs guarded inside, plain Adam, on the given (x, eps)."""
    guard = 1e-8
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, foreach=False, fused=False)
    for x, eps in batches:
        mu, sigma, _ = literal_posterior(model, x)
        kl = -0.5 * torch.sum(1 + torch.log(sigma**2 + guard) - mu**2 - sigma**2)
        log_likelihood = 0
        for e in eps:
            y = torch.sigmoid(literal_decode(model, mu + sigma * e))
            log_likelihood = log_likelihood + torch.sum(x * torch.log(y + guard) + (1 - x) * torch.log(1 - y + guard))
        loss = kl - log_likelihood / len(eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def small_vae(**changes: object) -> VAE:
    """A float64 VAE over 784 pixels with few weights."""
    return VAE(RunConfig(**({"hidden": (7,), "latent_dim": 3} | changes))).double()
