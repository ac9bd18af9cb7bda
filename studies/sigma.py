"""Does it matter how the encoder's sigma is parameterised?

Command: make study-sigma
Minutes: 40 on full MNIST (two cores, after installation)
Claim:   C9, «a negative sigma behaves like a positive one»

Found (three seeds, full MNIST). At the learning rate 0.001 the six parameterisations that cannot reach 0 end within 0.3
nats of each other at each D, and none differs measurably from log-variance. At 0.01 they lose 2.5 to 4.1 nats at D=10
and 6.2 to 8.4 at D=20. The outputs of `raw` and `abs` cross 0 as sigma falls from 1. They lose 11 to 44 nats at 0.001
and 18 to 78 at 0.01, and 3 of their 36 runs end with an infinite KL.

The study crosses each parameterisation of sigma with D=2, 10 and 20 and with two learning rates. Every arm starts at
sigma = 1 for every image, so the arms differ in the parameterisation and not in the start. All else is the default
protocol: Bernoulli on grey pixels, 784-256-D-256-784 ReLU, M=100, L=1, estimator B, Adam, 10 epochs. There are no
floors. The gradient norm is the norm at the last step of training. A unit of two signs has a raw sigma that is negative
on some images and positive on others. The study sigma-signs compares raw and abs at the article's own start.
docs/sigma.md has the results.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="sigma",
    doc=__doc__,
    base=RunConfig(init_sigma=1.0, figures=("reconstructions", "training_curves", "kl_per_dimension")),
    factors={
        "sigma": (
            "log-variance",
            "log-scale",
            "softplus",
            "squareplus",
            "exp-linear",
            "bounded",
            "abs",
            "raw",
        ),
        "latent_dim": (2, 10, 20),
        "learning_rate": (1e-3, 1e-2),
    },
    baseline={"sigma": "log-variance", "latent_dim": 10, "learning_rate": 1e-3},
    tabulate=(
        "test/elbo",
        "test/iwae_100",
        "epochs_to_95",
        "train/gradient_norm",
        "test/active_units",
        "test/two_signed_sigma_units",
        "test/negative_sigma_units",
    ),
    figures=("arms",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
