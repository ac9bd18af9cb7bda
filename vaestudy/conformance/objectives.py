"""The checks of a training objective, on a linear-Gaussian model whose log p(x) and posterior are known exactly.

The model: z ~ N(0, I), x ~ N(W z + b, s^2 I), where the columns of W are orthogonal. So the exact posterior has a
diagonal covariance, and an encoder can have it.

Shapes: L samples, M images, R repeats, D latent dimensions, P pixels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaestudy.config.image_shape import ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.conformance.check import Checks, DoesNotApply, Part, require
from vaestudy.model.layers import Affine
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream
from vaestudy.training.objectives import Estimate

CHECKS = Checks()

D, M, REPEATS, SCALE = 2, 6, 2_000, 0.5
SHAPE = ImageShape(2, 3)
ERRORS = 4.5
"""Standard errors of Monte Carlo that a mean may be off: one in 150,000 correct means is."""


@dataclass(frozen=True)
class Known:
    """A linear-Gaussian VAE in float64, images x [M, P], and what is known of them in closed form, [M] nats."""

    model: VAE
    x: Tensor
    log_px: Tensor
    elbo: Tensor
    kl: Tensor
    """KL(q(z|x) || p(z))."""


def known(*, exact: bool) -> Known:
    """Return the model, with the exact posterior as encoder or with another one."""
    config = RunConfig(likelihood="gaussian", pixels="dequantised", likelihood_scale="fixed", likelihood_mean="free",
                       likelihood_sigma=SCALE, latent_dim=D, hidden=(D,), activation="identity")  # fmt: skip
    model = VAE(config, SHAPE).double()
    g = stream("check", "linear")
    W = torch.linalg.qr(torch.randn(SHAPE.pixels, D, generator=g, dtype=torch.float64)).Q * torch.tensor([1.0, 0.6])
    b = torch.rand(SHAPE.pixels, generator=g, dtype=torch.float64)
    covariance = W @ W.T + SCALE**2 * torch.eye(SHAPE.pixels, dtype=torch.float64)
    p = torch.distributions.MultivariateNormal(b, covariance)
    x = b + torch.randn(M, SHAPE.pixels, generator=g, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    variance = 1 / (1 + (W * W).sum(0) / SCALE**2)
    mu, shift, wider = (x - b) @ W / SCALE**2 * variance, 0.0 if exact else 0.4, 0.0 if exact else 0.5
    with torch.no_grad():
        _set(model.encoder[0], W.T, -b @ W)  # type: ignore[index]
        _set(model.mu, torch.diag(variance / SCALE**2), torch.full((D,), shift))
        _set(model.sigma, torch.zeros(D, D), variance.log() + wider)
        _set(model.decoder[0], torch.eye(D), torch.zeros(D))  # type: ignore[index]
        _set(model.head, W, b)  # type: ignore[arg-type]
    q = torch.distributions.Normal(mu + shift, (variance.log() + wider).mul(0.5).exp().expand_as(mu))
    posterior = torch.distributions.Normal(mu, variance.sqrt().expand_as(mu))
    prior = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    gap, kl = (torch.distributions.kl_divergence(q, other).sum(1) for other in (posterior, prior))
    return Known(model, x, p.log_prob(x), p.log_prob(x) - gap, kl)


def _set(layer: Affine, weight: Tensor, bias: Tensor) -> None:
    """Set the weights of a layer."""
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def samples_of(part: Part) -> int:
    """Return the L of most checks: 5, or the least that the objective is defined for."""
    return max(5, int(part.spec.min_samples))


def noise(*shape: int) -> Tensor:
    """Return noise from N(0, 1), float64, the same for the same shape."""
    return torch.randn(shape, generator=stream("check", "objective", *shape), dtype=torch.float64)


def estimate(part: Part, of: Known, x: Tensor, eps: Tensor, **further: Any) -> Estimate:
    """Return the estimate that the objective computes for x [M, P] with the noise eps [L, M, D]."""
    made: Estimate = part.load()(terms(of.model, x, eps, **further))
    return made


def means(part: Part, of: Known, L: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each field of the estimate as (mean over repeats, its standard error), both [M]."""
    with torch.no_grad():
        made = estimate(part, of, of.x.repeat(REPEATS, 1), noise(L, REPEATS * M, D))
    found = {}
    for name in ("objective", "log_likelihood", "kl"):
        values = getattr(made, name).view(REPEATS, M)
        found[name] = values.mean(0), values.std(0) / REPEATS**0.5 + 1e-6
    return found


@CHECKS.first
def returns_an_estimate(part: Part) -> None:
    """It takes the Terms of a minibatch and returns an Estimate of three finite tensors [M], for its least L and 5."""
    of = known(exact=False)
    for L in (part.spec.min_samples, samples_of(part)):
        made = estimate(part, of, of.x, noise(L, M, D))
        require(
            isinstance(made, Estimate),
            f"it returns a {type(made).__name__}, not a vaestudy.training.objectives.Estimate",
        )
        for name in ("objective", "log_likelihood", "kl"):
            value = getattr(made, name)
            require(value.shape == (M,), f"{name} has the shape {list(value.shape)}, not [{M}], with L={L}")
            require(value.isfinite().all(), f"{name} is not finite, with L={L}")


@CHECKS
def is_a_bound(part: Part) -> None:
    """It is a bound: its mean is at most log p(x) on a model where that is known, within the Monte Carlo error."""
    for exact in (True, False):
        of = known(exact=exact)
        for L in {part.spec.min_samples, samples_of(part)}:
            mean, error = means(part, of, L)["objective"]
            over = (mean - of.log_px) / error
            i = int(over.argmax())
            q = "the exact posterior" if exact else "another distribution"
            require(
                over[i] <= ERRORS,
                f"its mean is {mean[i]:.4f} ± {error[i]:.4f} nats where log p(x) is {of.log_px[i]:.4f}, with L={L} and "
                f"{q} as q",
            )


@CHECKS
def tighter_if_declared(part: Part) -> None:
    """If it is declared importance_weighted, it is a tighter bound than the ELBO at L > 1."""
    if not part.spec.importance_weighted:
        raise DoesNotApply("it is not declared importance_weighted")
    of, L = known(exact=False), samples_of(part)
    mean, error = means(part, of, L)["objective"]
    i = int(((mean - of.elbo) / error).argmin())
    require(
        mean[i] > of.elbo[i] + ERRORS * error[i],
        f"its mean is {mean[i]:.4f} ± {error[i]:.4f} nats and the ELBO {of.elbo[i]:.4f}, with L={L}",
    )


@CHECKS
def records_the_parts(part: Part) -> None:
    """Its log_likelihood and kl are the ELBO's two parts, whatever the objective is."""
    of = known(exact=False)
    found = means(part, of, samples_of(part))
    for name, expected in (("kl", of.kl), ("log_likelihood", of.elbo + of.kl)):
        mean, error = found[name]
        off = (mean - expected).abs() / error
        i = int(off.argmax())
        require(
            off[i] <= ERRORS,
            f"the mean of {name} is {mean[i]:.4f} ± {error[i]:.4f} nats, and {expected[i]:.4f} exactly",
        )


@CHECKS
def gradient_is_finite(part: Part) -> None:
    """The gradient of the objective reaches encoder and decoder, and is finite, in float32 too."""
    for model in (known(exact=False).model, known(exact=False).model.float(), _of_digits()):
        kind = next(model.parameters()).dtype
        x = torch.rand(M, model.shape.pixels, generator=stream("check", "x")).to(kind)
        made = part.load()(terms(model, x, noise(samples_of(part), M, model.config.latent_dim).to(kind)))
        parameters = dict(model.named_parameters())
        slopes = torch.autograd.grad(made.objective.sum(), list(parameters.values()), allow_unused=True)
        for name, slope in zip(parameters, slopes, strict=True):
            require(slope is not None, f"{name} gets no gradient")
            assert slope is not None
            require(slope.isfinite().all(), f"the gradient of {name} is not finite, in {kind}")
        reached = [n for n, s in zip(parameters, slopes, strict=True) if s is not None and s.abs().max() > 0]
        for end in ("mu", "sigma", "head"):
            require(any(name.startswith(f"{end}.") for name in reached), f"the gradient of all weights of {end} is 0")


def _of_digits() -> VAE:
    """Return a VAE of images of 28 x 28, whose log-weights are hundreds of nats."""
    return VAE(RunConfig(latent_dim=8, hidden=(16,)))


@CHECKS
def gradient_points_upwards(part: Part) -> None:
    """A step along its gradient raises it: the gradient points upwards, within the Monte Carlo error."""
    of, L = known(exact=False), samples_of(part)
    x, eps = of.x.repeat(REPEATS, 1), noise(L, REPEATS * M, D)
    parameters = list(of.model.parameters())
    slopes = torch.autograd.grad(estimate(part, of, x, eps).objective.mean(), parameters)
    size = torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt()
    step, ends = 1e-3, []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.add_(slope, alpha=sign * step / size.item())
            ends.append(estimate(part, of, x, eps).objective.mean().item())
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.sub_(slope, alpha=sign * step / size.item())
    rise = (ends[0] - ends[1]) / (2 * step)
    require(
        rise > 0,
        f"along the gradient, of the length {size.item():.4g}, the objective changes by {rise:.4g} nats per unit",
    )


@CHECKS
def images_are_independent(part: Part) -> None:
    """An image's objective does not depend on the other images of its minibatch."""
    of, eps = known(exact=False), noise(samples_of(part), M, D)
    with torch.no_grad():
        whole = estimate(part, of, of.x, eps).objective
        alone = torch.cat([estimate(part, of, of.x[i : i + 1], eps[:, i : i + 1]).objective for i in range(M)])
    off = (whole - alone).abs().max().item()
    require(off <= 1e-9 * (1 + whole.abs().max().item()), f"the objective of an image alone differs by {off:.3g} nats")


@CHECKS
def deterministic(part: Part) -> None:
    """The same draws give the same bits, and it draws no random numbers itself."""
    of, eps, found = known(exact=False), noise(samples_of(part), M, D), []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            made = estimate(part, of, of.x, eps)
            require(torch.equal(before, torch.random.get_rng_state()), "it draws from torch's global generator")
        found.append((made.objective.detach(), *torch.autograd.grad(made.objective.sum(), list(of.model.parameters()))))
    require(all(map(torch.equal, *found)), "the value or the gradient differs when it is computed again")


@CHECKS
def takes_beta(part: Part) -> None:
    """If it is declared to take beta, a weight of 1 changes no bit and a larger weight lowers it."""
    if not part.spec.takes_beta:
        raise DoesNotApply("it does not take beta")
    of, eps = known(exact=False), noise(samples_of(part), M, D)
    one, two = (torch.tensor(beta, dtype=torch.float64) for beta in (1.0, 2.0))
    with torch.no_grad():
        plain = estimate(part, of, of.x, eps).objective
        weighted, doubled = (estimate(part, of, of.x, eps, beta=beta).objective for beta in (one, two))
    off = (weighted - plain).abs().max().item()
    require(
        torch.equal(weighted, plain), f"with beta = 1 the objective differs by {off:.3g} nats from that without beta"
    )
    fall = (plain - doubled).mean().item()
    require(fall > 0, f"with beta = 2 the mean objective falls by {fall:.4g} nats; the KL is {of.kl.mean():.4g}")


@CHECKS
def takes_free_bits(part: Part) -> None:
    """If it takes free bits: 0 change nothing, and if they exceed the KL of each dimension, they are the cost."""
    if not part.spec.takes_free_bits:
        raise DoesNotApply("it does not take free bits")
    of, eps = known(exact=False), noise(samples_of(part), M, D)
    with torch.no_grad():
        plain = estimate(part, of, of.x, eps)
        objective = functools.partial(part.load(), free_bits=0.0)(terms(of.model, of.x, eps)).objective
        paid = functools.partial(part.load(), free_bits=50.0)(terms(of.model, of.x, eps))
    require(
        torch.equal(objective, plain.objective), "with free_bits=0 the objective differs from that without free bits"
    )
    cost = (paid.log_likelihood - paid.objective).mean().item()
    require(abs(cost - 50 * D) <= 1e-6, f"with 50 free bits in each of {D} dimensions the cost is {cost:.6g} nats")
