"""The table of the likelihoods: what each likelihood declares, and the class that implements it.

`vaestudy/config/registry.py` explains the fields. `vaestudy/model/likelihoods/base.py` explains how to add a
likelihood. This file imports nothing slow, because the flags, their help and their error messages are made from it.
"""

from __future__ import annotations

from vaestudy.config.registry import LikelihoodSpec

_HERE = "vaestudy.model.likelihoods"
_NO_PROBABILITY = "a density of pixels that are 0 or 1 is no probability of them"
_TWO_CELLS = "pixels that are 0 or 1 lie in its two border cells, and the rest of it is lost"
_OUTSIDE = "x = 0 and x = 1 lie outside its support (0, 1)"
_INFINITE = "its density at x = 0 and x = 1 is 0 or infinite"
_UNUSED = "a mass on 256 grey levels has no use for 254 of them"


def _of_binary(reason: str) -> dict[str, str]:
    """Return the refusals of the protocols with pixels that are 0 or 1, for the same reason."""
    return dict.fromkeys(("binarised", "stochastic", "binarised-once"), reason)


LIKELIHOODS = (
    LikelihoodSpec(
        "bernoulli",
        f"{_HERE}.bernoulli:Bernoulli",
        family="bernoulli",
        support="{0, 1}, and [0, 1] as minus a cross-entropy",
    ),
    LikelihoodSpec(
        "continuous-bernoulli",
        f"{_HERE}.bernoulli:ContinuousBernoulli",
        family="density",
        support="[0, 1]",
        refusals=_of_binary(_NO_PROBABILITY),
    ),
    LikelihoodSpec(
        "gaussian",
        f"{_HERE}.gaussian:Gaussian",
        family="density",
        support="the real line",
        refusals=_of_binary(_NO_PROBABILITY),
        options={
            "likelihood_scale": ("per-pixel", "learned", "fixed", "optimal"),
            "likelihood_mean": ("squashed", "free"),
        },
        limits=(0.001, 10.0),
    ),
    LikelihoodSpec(
        "truncated-gaussian",
        f"{_HERE}.gaussian:TruncatedGaussian",
        family="density",
        support="[0, 1]",
        refusals=_of_binary(_NO_PROBABILITY),
        limits=(0.001, 10.0),
    ),
    LikelihoodSpec(
        "clipped-gaussian",
        f"{_HERE}.gaussian:ClippedGaussian",
        family="density",
        support="[0, 1], with the mass beyond in the cells of levels 0 and 255",
        refusals=_of_binary(_TWO_CELLS),
        limits=(0.001, 10.0),
    ),
    LikelihoodSpec(
        "beta",
        f"{_HERE}.beta:Beta",
        family="density",
        support="(0, 1)",
        refusals={"grey": _INFINITE, **_of_binary(_INFINITE)},
        options={"likelihood_parameters": ("mean-concentration", "alpha-beta")},
        limits=(0.01, 10.0),
    ),
    LikelihoodSpec(
        "logit-normal",
        f"{_HERE}.gaussian:LogitNormal",
        family="density",
        support="(0, 1)",
        refusals={"grey": _OUTSIDE, **_of_binary(_OUTSIDE)},
        limits=(0.01, 100.0),
    ),
    LikelihoodSpec(
        "discretised-logistic",
        f"{_HERE}.discretised:DiscretisedLogistic",
        family="mass",
        support="the 256 grey levels",
        refusals=_of_binary(_UNUSED),
        limits=(0.0003, 10.0),
    ),
    LikelihoodSpec(
        "categorical-256",
        f"{_HERE}.discretised:Categorical256",
        family="mass",
        support="the 256 grey levels",
        refusals=_of_binary(_UNUSED),
        most_heads=16,
    ),
)
