"""The presets: published training protocols as values of configuration fields.

A comment says what a protocol has that no field expresses.
"""

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
    # Burda, Grosse & Salakhutdinov 2015, section 5: the VAE (k=1) of table 1, one stochastic layer. The fields follow
    # the paper. The authors' program (yburda/iwae) differs from it in ways that no field expresses. The biases of the
    # output layer start at the logits of the mean image. Adam's second moments start at 1, and its beta_1 is 0.99.
    # Every epoch takes the minibatches in the same order. Step sizes are rounded to one digit. 400 train images are not
    # used for training.
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
    # The VAE of pytorch/examples, with BCE + KLD as the loss: the sum over a minibatch of 128.
    "pytorch-examples": {
        "valid_size": 0,
        "latent_dim": 20,
        "hidden": (400,),
        "activation": "relu",
        "init": "torch",
        "sigma": "log-variance",
        "estimator": "sgvb-b",
        "minibatch": 128,
        "reduction": "sum",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "epochs": 10,
    },
    # altosaar/variational-autoencoder, the mean-field row. 166 epochs of 391 steps are 64,906 steps; 65,000 is no whole
    # number of epochs. The program scores valid every 10,000 steps and keeps the best weights; here the last are kept.
    # Its binary images are Larochelle's, those of `binarised-once` are other draws from the same grey images.
    "altosaar": {
        "valid_size": 10_000,
        "pixels": "binarised-once",
        "latent_dim": 128,
        "hidden": (256, 256),
        "activation": "relu",
        "init": "torch",
        "sigma": "softplus-unshifted",
        "estimator": "sgvb-a",
        "minibatch": 128,
        "reduction": "sum",
        "optimizer": "rmsprop-centred",
        "learning_rate": 1e-3,
        "epochs": 166,
        "iwae": (1, 100, 128),
    },
    # clementchadebec/benchmark_VAE (pythae), the VAE of its table of reproduced results, whose reference is Rezende &
    # Mohamed 2015. The program keeps the weights of the epoch with the best loss on valid; here the last are kept.
    # The binary images are Larochelle's, as above.
    "pythae": {
        "valid_size": 10_000,
        "pixels": "binarised-once",
        "latent_dim": 40,
        "hidden": (400,),
        "activation": "relu",
        "init": "torch",
        "sigma": "log-variance",
        "estimator": "sgvb-b",
        "minibatch": 100,
        "reduction": "mean",
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "schedule": "drops",
        "lr_drops": (200, 350),
        "lr_drop_factor": 10**-0.2,
        "epochs": 500,
        "iwae": (1, 100, 200),
    },
    # A linear VAE with one learned scale, whose best ELBO is known in closed form (Lucas et al. 2019). Encoder and
    # decoder are affine functions: 40 hidden units restrict neither up to D=20.
    "linear-vae": {
        "valid_size": 0,
        "latent_dim": 10,
        "hidden": (40,),
        "activation": "identity",
        "init": "glorot",
        "init_sigma": 0.5,
        "likelihood": "gaussian",
        "likelihood_mean": "free",
        "likelihood_scale": "learned",
        "likelihood_sigma": 0.4,
        "estimator": "sgvb-b",
        "minibatch": 100,
        "optimizer": "adam",
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "epochs": 20,
    },
}
"""Name of a preset -> the fields that it sets; all other fields keep their defaults."""
