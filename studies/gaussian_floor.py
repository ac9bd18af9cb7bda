"""How much larger than the KL is a Gaussian's reconstruction loss, by the floor under its scale, and does it train?

Command: make study-gaussian-floor
Minutes: 6 on full MNIST (two cores, after installation)
Claim:   C5, «a Gaussian's reconstruction loss is about 10^9 times the KL, and it is hard to train»

The protocol is the article's, with a Gaussian in place of the Bernoulli: a mean and a scale per pixel, an unbounded
mean, grey pixels, D=10. Four fifths of these pixels are exactly 0. The bound therefore grows without limit as the scale
of these pixels falls, and only the floor decides where it ends. For this reason nats at different floors must not be
compared. Compare instead the errors, the failures, and the ratio of the log-likelihood to the KL, at the first step of
training and over the last epoch.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="gaussian-floor",
    doc=__doc__,
    base=RunConfig.preset(
        "article",
        latent_dim=10,
        likelihood="gaussian",
        likelihood_mean="free",
        valid_size=None,
        epochs=None,
        figures=("decoder_samples", "training_curves", "likelihood_over_kl"),
    ),
    factors={"decoder_sigma": ("log-variance", "raw"), "likelihood_floor": (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)},
    baseline={"decoder_sigma": "log-variance", "likelihood_floor": 1e-1},
    tabulate=(
        "test/mse",
        "train/first_likelihood_over_kl",
        "train/likelihood_over_kl",
        "train/gradient_norm",
        "test/decoder_at_floor",
        "test/active_units",
    ),
    figures=("arms",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
