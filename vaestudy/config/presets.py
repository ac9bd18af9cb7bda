"""The presets: published training protocols as values of configuration fields."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The article's script, in every choice that affects its result. The script runs D=2; the article also shows D=10.
    "article": {
        "valid_size": 0,
        "latent_dim": 2,
        "hidden": (256,),
        "activation": "relu",
        "init": "torch",
        "second_biases": True,
        "sigma": "raw",
        "estimator": "sgvb-b",
        "reduction": "sum",
        "log_guard": 1e-8,
        "learning_rate": 1e-3,
        "epochs": 10,
    },
    # Kingma & Welling 2013, section 5 and figure 2. 1e7 images are seen, which is the middle of that figure's axis.
    "aevb": {
        "valid_size": 0,
        "latent_dim": 20,
        "hidden": (500,),
        "activation": "tanh",
        "init": "aevb-normal",
        "weight_prior": True,
        "optimizer": "adagrad",
        "optimizer_epsilon": 1e-10,
        "learning_rate": 0.02,
        "epochs": 167,
    },
    # Burda, Grosse & Salakhutdinov 2015, section 5: the VAE (k=1) of table 1, one stochastic layer.
    "iwae": {
        "valid_size": 0,
        "pixels": "stochastic",
        "latent_dim": 50,
        "hidden": (200, 200),
        "activation": "tanh",
        "init": "glorot",
        "estimator": "sgvb-a",
        "minibatch": 20,
        "optimizer_epsilon": 1e-4,
        "learning_rate": 1e-3,
        "schedule": "iwae",
        "epochs": 3280,
        "iwae": (1, 100, 5000),
    },
}
"""Name of a preset -> the fields that it sets; all other fields keep their defaults."""
