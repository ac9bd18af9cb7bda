"""Slow, literal formulas, and models with closed forms. Only tests use them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from vaestudy.config.registry import ACTIVATIONS
from vaestudy.config.run_config import RunConfig
from vaestudy.model.layers import Affine
from vaestudy.model.vae import VAE, Posterior


def literal_posterior(model: VAE, x: Tensor, guard: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return (mu, sigma, ln sigma^2) of q(z|x), computed layer by layer with explicit matrices."""
    h = x
    for layer in model.encoder:
        h = ACTIVATIONS.load(model.config.activation)(h @ layer.weight.T + total_bias(layer))
    mu = h @ model.mu.weight.T + total_bias(model.mu)
    out = h @ model.sigma.weight.T + total_bias(model.sigma)
    if model.config.sigma == "raw":
        return mu, out, torch.log(out**2 + guard)
    return mu, torch.exp(out / 2), out


def total_bias(layer: nn.Module) -> Tensor:
    """Return the sum of the layer's one or two biases."""
    return layer.bias if layer.second_bias is None else layer.bias + layer.second_bias


def literal_decode(model: VAE, z: Tensor) -> Tensor:
    """Return the head for z, computed layer by layer with explicit matrices."""
    h = z
    for layer in model.decoder:
        h = ACTIVATIONS.load(model.config.activation)(h @ layer.weight.T + total_bias(layer))
    return h @ model.head.weight.T + total_bias(model.head)


@dataclass
class Draw:
    """The parts of the bound for one image and one draw, and their gradients in all parameters.

    Each gradient is computed by a differentiation of its own.
    """

    log_px_z: Tensor
    log_pz: Tensor
    log_qz_x: Tensor
    score: list[Tensor]
    """grad log q(z|x) for a fixed z."""
    decoder: list[Tensor]
    """grad log p(x|z) for a fixed z."""
    path: list[Tensor]
    """(d log w / d z) (d z / d phi), with the parameters of q fixed inside w."""
    path_log_px_z: list[Tensor]
    """(d log p(x|z) / d z) (d z / d phi)."""

    @property
    def log_w(self) -> Tensor:
        return self.weighted(1.0)

    def weighted(self, beta: float) -> Tensor:
        """Return the log-weight in which log p(z) - log q(z|x) counts beta times."""
        return self.log_px_z + beta * (self.log_pz - self.log_qz_x)


def literal_draw(model: VAE, x: Tensor, e: Tensor) -> Draw:
    """Return the parts for x [1, P] and noise e [D], from torch.distributions and the chain rule written out."""
    parameters = list(model.parameters())

    def gradient(value: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True))

    mu, sigma, log_variance = (t[0] for t in literal_posterior(model, x))
    q = Normal(mu, torch.exp(log_variance / 2))
    fixed_q = Normal(q.loc.detach(), q.scale.detach())
    z = (mu + sigma * e).detach().requires_grad_()
    log_px_z = Bernoulli(logits=literal_decode(model, z), validate_args=False).log_prob(x[0]).sum()
    log_pz = Normal(torch.zeros_like(mu), torch.ones_like(mu)).log_prob(z).sum()
    (through_likelihood,) = torch.autograd.grad(log_px_z, z, retain_graph=True)
    (through_rest,) = torch.autograd.grad(log_pz - fixed_q.log_prob(z).sum(), z, retain_graph=True)

    def chain(through_z: Tensor) -> list[Tensor]:
        # d z / d phi comes from a separate graph; it is multiplied by the derivative in z.
        mu, sigma, _ = (t[0] for t in literal_posterior(model, x))
        return gradient((through_z * (mu + sigma * e)).sum())

    log_qz_x = q.log_prob(z.detach()).sum()
    return Draw(
        *(value.detach() for value in (log_px_z, log_pz, log_qz_x)),
        score=gradient(log_qz_x),
        decoder=gradient(log_px_z),
        path=chain(through_likelihood + through_rest),
        path_log_px_z=chain(through_likelihood),
    )


def literal_estimate(
    model: VAE, x: Tensor, eps: Tensor, estimator: str, beta: float = 1.0
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return (objective [M], ELBO by the same draws [M], gradient of the objective's sum).

    Everything is computed image by image and draw by draw. `beta` weights the KL in the objective, not in the ELBO.
    """
    objectives, bounds = [], []
    total = [torch.zeros_like(p) for p in model.parameters()]

    def add(factor: Tensor | float, gradient: list[Tensor]) -> None:
        for t, g in zip(total, gradient, strict=True):
            t += factor * g

    for m in range(len(x)):
        draws = [literal_draw(model, x[m : m + 1], e[m]) for e in eps]
        L, log_w = len(draws), torch.stack([d.weighted(beta) for d in draws])
        v = torch.exp(log_w - log_w.max())
        log_mean, v = torch.log(v.mean()) + log_w.max(), v / v.sum()
        bounds.append(torch.stack([d.log_w for d in draws]).mean())
        objectives.append(log_mean if estimator in ("iwae", "dreg") else log_w.mean())
        for index, d in enumerate(draws):
            others = torch.cat((log_w[:index], log_w[index + 1 :]))
            # Factors of the decoder's gradient, of the gradient through z, and of the score.
            decoder, path, score = {
                "sgvb-a": (1 / L, 1 / L, -beta / L),
                "sgvb-b": (1 / L, 0, 0),
                "stl": (1 / L, 1 / L, 0),
                "score-function": (1 / L, 0, log_w[index] / L),
                "score-function-loo": (1 / L, 0, (log_w[index] - others.mean()) / L),
                "iwae": (v[index], v[index], -v[index]),
                "dreg": (v[index], v[index] ** 2, 0),
            }[estimator]
            add(decoder, d.decoder)
            # The path through log p(x|z), and beta times the path through the rest.
            add(path * (1 - beta), d.path_log_px_z)
            add(path * beta, d.path)
            add(score, d.score)
            if estimator == "sgvb-b":
                add(1 / L, d.path_log_px_z)
        if estimator == "sgvb-b":
            mu, _, log_variance = literal_posterior(model, x[m : m + 1])
            q = Normal(mu, torch.exp(log_variance / 2))
            kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum()
            add(
                -beta,
                list(torch.autograd.grad(kl, list(model.parameters()), allow_unused=True, materialize_grads=True)),
            )
            log_likelihood = torch.stack([d.log_px_z for d in draws]).mean()
            bounds[-1], objectives[-1] = log_likelihood - kl.detach(), log_likelihood - beta * kl.detach()
    return torch.stack(objectives), torch.stack(bounds), total


class Gaussian:
    """x|z ~ N(head, s^2 I), a likelihood for VAEs with closed forms."""

    heads = 1
    family = "gaussian"

    def __init__(self, s: float) -> None:
        self.s = s

    def log_prob(self, x: Tensor, head: Tensor, log_guard: float = 0.0) -> Tensor:
        return (-0.5 * ((x - head) / self.s) ** 2 - math.log(self.s) - 0.5 * math.log(2 * math.pi)).sum(-1)

    def head_slope(self, x: Tensor, head: Tensor) -> Tensor:
        return (x - head) / self.s**2

    def mean(self, head: Tensor) -> Tensor:
        return head

    def sample(self, head: Tensor, generator: torch.Generator) -> Tensor:
        return head + self.s * torch.randn(head.shape, generator=generator, dtype=head.dtype)

    def at_floor(self, head: Tensor) -> None:
        return None

    def scores(self, x: Tensor, head: Tensor) -> dict[str, Tensor]:
        return {}


class LinearVAE:
    """Probabilistic PCA (Tipping & Bishop) with the interface of a VAE.

    x|z ~ N(W z, s^2 I), q(z|x) = N(M^-1 W^T x, diag s^2 / M_jj), M = W^T W + s^2 I.

    q is the exact posterior if M is diagonal.
    """

    def __init__(self, W: Tensor, s: float) -> None:
        self.W, self.s, self.likelihood = W, s, Gaussian(s)
        self.M = W.T @ W + s**2 * torch.eye(W.shape[1], dtype=W.dtype)
        self.config = SimpleNamespace(latent_dim=W.shape[1], pixels="grey", sigma_floor=0.0, architecture="mlp")

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        mu = torch.linalg.solve(self.M, self.W.T @ x.T).T
        variance = (self.s**2 / self.M.diagonal()).expand_as(mu)
        return Posterior(mu, variance.sqrt(), variance.log())

    def decode(self, z: Tensor) -> Tensor:
        return z.to(self.W.dtype) @ self.W.T

    def log_px(self, x: Tensor) -> Tensor:
        """Return the exact log p(x), [N], nats."""
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(len(self.W), dtype=self.W.dtype)
        return torch.distributions.MultivariateNormal(
            torch.zeros(len(self.W), dtype=self.W.dtype), covariance
        ).log_prob(x)


def ppca_maximum(x: Tensor, k: int) -> tuple[float, Tensor, float]:
    """Return (the maximum of the mean log p(x) under pPCA with k latent dimensions, eigenvalues, s^2 at the maximum).

    Tipping & Bishop 1999. The eigenvalues are those of the covariance of x [N, n], the largest first, [n]. A linear VAE
    reaches the same maximum of the ELBO (Lucas et al. 2019).
    """
    n = x.shape[1]
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    s2 = eigenvalues[k:].mean().item()
    maximum = -0.5 * (eigenvalues[:k].log().sum().item() + (n - k) * math.log(s2) + n * math.log(2 * math.pi) + n)
    return maximum, eigenvalues, s2


def ppca_log_likelihood(train: Tensor, test: Tensor, k: int) -> Tensor:
    """Return log p(x) of each image of test [N, n] under pPCA with k latent dimensions, fitted to train [., n]: [N].

    Tipping & Bishop 1999: x ~ N(mean, W W^T + s^2 I) with W W^T = U_k (Lambda_k - s^2 I) U_k^T.
    """
    n = train.shape[1]
    eigenvalues, vectors = torch.linalg.eigh(torch.cov(train.T, correction=0))
    s2 = eigenvalues[: n - k].mean()
    U = vectors[:, n - k :]
    covariance = U @ (eigenvalues[n - k :] - s2).diag() @ U.T + s2 * torch.eye(n, dtype=train.dtype)
    return torch.distributions.MultivariateNormal(train.mean(0), covariance).log_prob(test)


def article_steps(model: VAE, batches: list[tuple[Tensor, Tensor]], rate: float) -> None:
    """Train the model with the article's script, literally, on the given batches (x, eps).

    The loss is summed over images, the guard is added inside the logarithms, and the optimiser is plain Adam.
    """
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
    """Return a VAE in float64 for 784 pixels with few weights."""
    return VAE(RunConfig(**({"hidden": (7,), "latent_dim": 3} | changes))).double()


class LinearGaussianVAE(nn.Module):
    """x|z ~ N(w z, s^2) in one dimension, with q(z|x) = N(m x + shift, v), as a module with the layers of a VAE."""

    def __init__(self, w: float, s: float, shift: float = 0.0, estimator: str = "sgvb-a", samples: int = 1) -> None:
        super().__init__()
        self.a = w**2 / s**2
        self.v = 1 / (1 + self.a)
        self.config = RunConfig(latent_dim=1, estimator=estimator, samples=samples)
        self.likelihood = Gaussian(s)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.mu, self.sigma, self.head = (Affine(1, 1, False).double() for _ in range(3))
        values = {
            self.mu: (self.v * w / s**2, shift),
            self.sigma: (0.0, math.log(self.v)),
            self.head: (w, 0.0),
        }
        for layer, (weight, bias) in values.items():
            nn.init.constant_(layer.weight, weight)
            nn.init.constant_(layer.bias, bias)

    def encode(self, x: Tensor, log_guard: float = 0.0) -> Posterior:
        log_variance = self.sigma(x)
        return Posterior(self.mu(x), torch.exp(log_variance / 2), log_variance)

    def decode(self, z: Tensor) -> Tensor:
        return self.head(z)
