"""Short names of runs, for columns that are a few letters wide, such as that of MLflow's list of runs."""

from __future__ import annotations

import re

SHORT = {
    "latent_dim": "D=",
    "minibatch": "M=",
    "samples": "L=",
    "learning_rate": "lr=",
    "lr_scaling": "lr-scaling=",
    "likelihood": "",
    "likelihood_scale": "scale=",
    "likelihood_mean": "mean=",
    "likelihood_parameters": "",
    "likelihood_sigma": "x-sigma=",
    "decoder_sigma": "x-sigma=",
    "estimator": "",
    "optimizer": "",
    "pixels": "",
    "init": "init=",
    "valid_size": "valid=",
    "seed": "s",
}
"""Field of a configuration -> what stands before its level; empty where the level alone says what it is."""


def short_name(name: str) -> str:
    """Return a run's name with short labels: "D=10 s0" for "latent_dim=10, seed=0".

    Args:
        name: the name of a cell, as `Cell.name` has it, or of another run.
    """
    short = re.sub(r"\b([a-z_]+)=", lambda found: SHORT.get(found[1], found[0]), name)
    return short.replace(", ", " ")
