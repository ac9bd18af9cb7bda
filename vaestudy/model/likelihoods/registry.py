"""LIKELIHOODS: name -> p(x|z), independent over pixels.

A member is a subclass of `likelihood.Likelihood`, plus one line in the dict at the foot; it is made from a
configuration. The order of calls in a run: `heads` when the decoder is built, `start` once its weights are drawn,
`log_prob` at each step and in scoring, `mean`, `sample` and `cdf` for pictures and calibration.
"""

from __future__ import annotations

from vaestudy.model.likelihoods.base import Likelihood
from vaestudy.model.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vaestudy.model.likelihoods.beta import Beta
from vaestudy.model.likelihoods.discretised import Categorical256, DiscretisedLogistic
from vaestudy.model.likelihoods.gaussian import ClippedGaussian, Gaussian, LogitNormal, TruncatedGaussian

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous-bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "truncated-gaussian": TruncatedGaussian,
    "clipped-gaussian": ClippedGaussian,
    "beta": Beta,
    "logit-normal": LogitNormal,
    "discretised-logistic": DiscretisedLogistic,
    "categorical-256": Categorical256,
}
