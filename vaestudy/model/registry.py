"""The tables of the sigma parameterisations, the initialisations and the activations.

`vaestudy/config/registry.py` explains the fields. This file imports nothing slow, because the flags, their help and
their error messages are made from it.
"""

from __future__ import annotations

from vaestudy.config.registry import SigmaSpec, Spec

SIGMAS = (
    SigmaSpec("raw", "vaestudy.model.sigma:Raw"),
    SigmaSpec("abs", "vaestudy.model.sigma:Abs"),
    SigmaSpec("log-variance", "vaestudy.model.sigma:LogVariance"),
    SigmaSpec("log-scale", "vaestudy.model.sigma:LogScale"),
    SigmaSpec("softplus", "vaestudy.model.sigma:Softplus"),
    SigmaSpec("softplus-unshifted", "vaestudy.model.sigma:UnshiftedSoftplus"),
    SigmaSpec("squareplus", "vaestudy.model.sigma:Squareplus"),
    SigmaSpec("exp-linear", "vaestudy.model.sigma:ExpLinear"),
    SigmaSpec("bounded", "vaestudy.model.sigma:Bounded", bounds=(0.001, 2.0)),
)

INITS = (
    Spec("torch", "vaestudy.model.layers:torch_default"),
    Spec("glorot", "vaestudy.model.layers:glorot"),
    Spec("aevb-normal", "vaestudy.model.layers:aevb_normal"),
)

ACTIVATIONS = (
    Spec("relu", "torch.nn.functional:relu"),
    Spec("tanh", "torch:tanh"),
    Spec("identity", "vaestudy.model.layers:identity"),
)
