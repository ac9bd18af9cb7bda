"""OBJECTIVES: what a training step maximises. Each function is written like its formula.

Shapes: L samples, M minibatch, D latent dimensions, P pixels.
    log_px_z, log_pz, log_qz_x: [L, M]      log p(x|z), log p(z), log q(z|x) of each draw
    log_w:                      [L, M]      log p(x|z) + log p(z) - log q(z|x), the log-weight of each draw
    Estimate's fields:          [M]         per image, nats

An objective is a function of one argument: the `Terms` of a minibatch, which are not yet summed over draws or images.
It returns an `Estimate`: one value of the objective per image, and the ELBO's two parts for the record. Only `loss`
turns an `Estimate` into the scalar that the optimiser minimises.

Training and scoring are separate. `scoring/score.py` scores every run in the same way, and an `Estimate` contains the
ELBO's two parts whatever the objective is.

The gradient of score-function, score-function-loo and dreg is not the derivative of the objective's value. For these,
a surrogate supplies the gradient and has no effect on the value: see `with_gradient_of`. They also register a hook on
the `z` of their `Terms`, so do not use these `Terms` for another objective. stl needs no surrogate: it detaches the
parameters of the density q(z|x).

Training may weight the KL (`beta`, `kl_warmup`), for each objective that estimates the ELBO: log w_l is then
log p(x|z_l) + beta (log p(z_l) - log q(z_l|x)), and sgvb-b multiplies its KL by beta. Higgins et al. 2017. What
score-function, score-function-loo and stl leave out is beta grad log q(z|x), which still has the mean 0. iwae and dreg
refuse a weight: their log-weights would no longer be those of a bound. Free bits need the KL of each dimension, which
only sgvb-b has in closed form. `Estimate.kl` never has a weight or free bits.

L is the number of draws of z per image in a step. Its meaning depends on the objective:

    sgvb-a, sgvb-b        the mean of L draws estimates the ELBO: the same objective for every L, its noise variance
                          divided by L
    stl                   as sgvb-a, but the encoder's gradient has no noise where q is the exact posterior
    score-function        as sgvb-a, but no gradient goes through z
    score-function-loo    as score-function, but each draw is compared with the other L - 1, so L must be at least 2
    iwae, dreg            the objective is the bound L_L: a larger L is another objective, with a tighter bound
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.terms import Terms


@dataclass(frozen=True)
class Estimate:
    """The result of an objective for each image of a minibatch: three tensors [M], in nats."""

    objective: Tensor
    """The value to maximise. Only this field is used for training."""
    log_likelihood: Tensor
    """The mean of log p(x|z) over the same L draws."""
    kl: Tensor
    """KL(q(z|x) || p(z)): in closed form for sgvb-b, else the mean of log q(z|x) - log p(z) over the same L draws."""


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """Return a tensor with the value of `value` and the gradient of `surrogate`.

    The value is exact, because surrogate - surrogate is 0 (nan if the surrogate is not finite).
    """
    return value.detach() + (surrogate - surrogate.detach())


def sgvb_a(t: Terms) -> Estimate:
    """L^A = 1/L sum_l log p(x|z_l) + log p(z_l) - log q(z_l|x). Kingma & Welling 2013, equation 6."""
    return _sampled(t, t.log_w.mean(0))


def sgvb_b(t: Terms, free_bits: float = 0.0) -> Estimate:
    """L^B = -KL(q(z|x) || p(z)) + 1/L sum_l log p(x|z_l). Kingma & Welling 2013, equation 7.

    Args:
        t: the parts of the bound.
        free_bits: lambda of `with_free_bits`; 0 for none.
    """
    kl, log_likelihood = t.q.kl(), t.log_px_z.mean(0)
    cost = with_free_bits(t.q.kl_per_dimension(), free_bits) if free_bits else kl
    cost = cost if t.beta is None else t.beta * cost
    return Estimate(objective=log_likelihood - cost, log_likelihood=log_likelihood, kl=kl)


def with_free_bits(kl_per_dimension: Tensor, free_bits: float) -> Tensor:
    """Return the KL with free bits of each image: [M, D] -> [M], nats. Kingma et al. 2016.

    Its mean over the minibatch is sum_d max(lambda, mean_m KL_md), where lambda = `free_bits`. The gradient of a
    dimension is 0 while the mean of its KL is below lambda, so the dimension can carry lambda nats at no cost.

    The maximum is taken of the minibatch's mean, not of each image's KL: what must not vanish is the information that a
    dimension carries over the data. A maximum for each image would also stop the gradient of single images with a small
    KL in dimensions that are well in use. The maximum of a mean makes the objective depend on M: for a small M the mean
    is noisy, and a dimension near lambda is counted too high.
    """
    counts = kl_per_dimension.detach().mean(0) > free_bits
    return torch.where(counts, kl_per_dimension, free_bits).sum(-1)


def score_function(t: Terms) -> Estimate:
    """1/L sum_l log w_l. The encoder's gradient is 1/L sum_l log w_l grad log q(z_l|x); none goes through z_l.

    This is REINFORCE, the naive Monte Carlo gradient of Kingma & Welling 2013, section 2.2. The derivative of log w
    also has the term -grad log q(z|x). It is omitted because its mean is 0. The decoder's gradient is that of sgvb-a.
    """
    return _score(t, t.log_w.detach())


def score_function_loo(t: Terms) -> Estimate:
    """1/L sum_l log w_l. As `score_function`, with a baseline for each draw. Kool et al. 2019.

    The encoder's gradient is 1/L sum_l (log w_l - 1/(L-1) sum_{j != l} log w_j) grad log q(z_l|x). The baseline of a
    draw is the mean of the other draws. It is independent of the draw, so it does not change the gradient's mean.
    At L=1 there are no other draws: the configuration refuses that.
    """
    L, log_w = len(t.z), t.log_w.detach()
    others = (log_w.sum(0) - log_w) / (L - 1)
    return _score(t, log_w - others)


def iwae(t: Terms) -> Estimate:
    """L_L = log 1/L sum_l w_l. Burda et al. 2015, equation 8. Its gradient weights draw l by w_l / sum w."""
    return _sampled(t, _log_mean_exp(t.log_w))


def stl(t: Terms) -> Estimate:
    """L^A. The encoder's gradient goes through the z_l only. Roeder et al. 2017, «sticking the landing».

    The density q(z|x) is evaluated at z_l with its parameters detached, so no gradient goes through them. The decoder's
    gradient is that of sgvb-a.
    """
    return _sampled(t, t.log_w_path.mean(0))


def dreg(t: Terms) -> Estimate:
    """L_L. The encoder's gradient is sum_l v_l^2 (d log w_l / d z_l) (d z_l / d phi) with v_l = w_l / sum w.

    This is the doubly reparameterised gradient of Tucker et al. 2018. The decoder's gradient is that of `iwae`.
    One factor v_l is in the surrogate. `scale_path` multiplies the gradient that goes through z_l by the other one.
    """
    v = t.log_w.detach().softmax(0)
    t.scale_path(v)
    return _sampled(t, with_gradient_of(_log_mean_exp(t.log_w), (v * t.log_w_path).sum(0)))


def _score(t: Terms, signal: Tensor) -> Estimate:
    """Return an `Estimate` with the value mean_l log w_l and a score-function gradient.

    The gradient is that of mean_l (signal_l log q(z_l|x) + log p(x|z_l)), where no gradient goes through z_l.
    `signal` [L, M] has no gradient itself.
    """
    t.scale_path(0.0)
    surrogate = signal * t.q.log_prob(t.z.detach()) + t.log_px_z
    return _sampled(t, with_gradient_of(t.log_w.mean(0), surrogate.mean(0)))


def _sampled(t: Terms, objective: Tensor) -> Estimate:
    """Return an `Estimate` of `objective` [M]; compute the ELBO's two parts as means over the draws."""
    with torch.no_grad():
        return Estimate(objective, log_likelihood=t.log_px_z.mean(0), kl=(t.log_qz_x - t.log_pz).mean(0))


def _log_mean_exp(log_w: Tensor) -> Tensor:
    """Return log 1/L sum_l w_l: [L, M] -> [M]."""
    return log_w.logsumexp(0) - math.log(len(log_w))


def loss(estimate: Estimate, reduction: str) -> Tensor:
    """Return the scalar to minimise, in nats: minus the objective's mean or sum over the minibatch.

    Args:
        estimate: the result of an objective for one minibatch.
        reduction: "mean", or "sum" as in the article.
    """
    return -(estimate.objective.mean() if reduction == "mean" else estimate.objective.sum())
