"""ESTIMATORS: the objectives, written to read like their formulas.

Shapes: L samples, M minibatch, D latent dimensions, P pixels.
    log_px_z, log_pz, log_qz_x: [L, M]      log p(x|z), log p(z), log q(z|x) of each draw
    Estimate's fields:          [M]         per image, nats

An estimator takes the unsummed `Terms` of a minibatch and returns an `Estimate`; `loss` alone turns that into the
number that is minimised. What is trained and what is reported are kept apart: `evaluate.py` scores every run alike,
and an `Estimate` holds the ELBO's two parts whatever its objective is. Where a gradient is not the derivative of the
objective (score-function, dreg), a surrogate lends its gradient and nothing else: see `lend`.

L, the draws of z per image in a step, is one thing everywhere and does another in each:

    sgvb-a, sgvb-b        the mean of L draws estimates the ELBO: the same objective, its noise divided by L
    stl                   the same with a gradient that has no noise where q is the posterior
    score-function        the same; no gradient goes through z
    score-function-loo    the same, each draw compared with the other L - 1, so there must be two at least
    iwae, dreg            the bound L_L itself: more draws are another, tighter objective
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.model.terms import Terms


@dataclass(frozen=True)
class Estimate:
    """What an estimator says of each image: the objective to raise, and the ELBO's two parts by the same draws."""

    objective: Tensor
    log_likelihood: Tensor
    kl: Tensor


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value of one with the gradient of the other, exactly: surrogate - surrogate is 0 (nan if not finite)."""
    return value.detach() + (surrogate - surrogate.detach())


def sgvb_a(t: Terms) -> Estimate:
    """L^A = 1/L sum_l log p(x|z_l) + log p(z_l) - log q(z_l|x). Kingma & Welling 2013, equation 6."""
    return _sampled(t, t.log_w.mean(0))


def sgvb_b(t: Terms) -> Estimate:
    """L^B = -KL(q(z|x) || p(z)) + 1/L sum_l log p(x|z_l). Kingma & Welling 2013, equation 7."""
    kl, log_likelihood = t.q.kl(), t.log_px_z.mean(0)
    return Estimate(objective=log_likelihood - kl, log_likelihood=log_likelihood, kl=kl)


def score_function(t: Terms) -> Estimate:
    """1/L sum_l log w_l, its gradient in the encoder 1/L sum_l log w_l grad log q(z_l|x), none through z_l.

    REINFORCE, or the naive Monte Carlo gradient of Kingma & Welling 2013, section 2.2; the term -grad log q(z|x) of
    log w is left out, as its mean is 0. The decoder's gradient is the usual one.
    """
    return _score(t, t.log_w.detach())


def score_function_loo(t: Terms) -> Estimate:
    """The same with log w_l - 1/(L-1) sum_{j != l} log w_j before the score: Kool et al. 2019.

    The baseline of a draw is made of the others, hence independent of it, and moves no mean. Without others, at L=1,
    there is none: the configuration refuses that.
    """
    L, log_w = len(t.z), t.log_w.detach()
    others = (log_w.sum(0) - log_w) / (L - 1)
    return _score(t, log_w - others)


def iwae(t: Terms) -> Estimate:
    """L_L = log 1/L sum_l w_l. Burda et al. 2015, equation 8; its gradient weighs draw l by w_l / sum w."""
    return _sampled(t, _log_mean_exp(t.log_w))


def stl(t: Terms) -> Estimate:
    """L^A with its gradient through the z_l alone, q(z|x) held fixed. Roeder et al. 2017, «sticking the landing»."""
    return _sampled(t, t.log_w_path.mean(0))


def dreg(t: Terms) -> Estimate:
    """L_L, its gradient sum_l v_l^2 (d log w_l / d z_l) (d z_l / d phi) in the encoder, v_l = w_l / sum w.

    Doubly reparameterised: Tucker et al. 2018. The decoder's gradient is the one of `iwae`.
    """
    v = t.log_w.detach().softmax(0)
    t.scale_path(v)
    return _sampled(t, with_gradient_of(_log_mean_exp(t.log_w), (v * t.log_w_path).sum(0)))


def _score(t: Terms, signal: Tensor) -> Estimate:
    """log w's mean, with the gradient of mean_l signal_l log q(z_l|x) + log p(x|z_l) and none through z_l."""
    t.scale_path(0.0)
    surrogate = signal * t.q.log_prob(t.z.detach()) + t.log_px_z
    return _sampled(t, with_gradient_of(t.log_w.mean(0), surrogate.mean(0)))


def _sampled(t: Terms, objective: Tensor) -> Estimate:
    """An objective beside the ELBO's parts, both by the draws."""
    with torch.no_grad():
        return Estimate(objective, log_likelihood=t.log_px_z.mean(0), kl=(t.log_qz_x - t.log_pz).mean(0))


def _log_mean_exp(log_w: Tensor) -> Tensor:
    return log_w.logsumexp(0) - math.log(len(log_w))


def loss(estimate: Estimate, reduction: str) -> Tensor:
    """Minus the objective, its mean (or the article's sum) over the minibatch: a scalar, nats."""
    return -(estimate.objective.mean() if reduction == "mean" else estimate.objective.sum())
