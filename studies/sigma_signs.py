"""Does a negative sigma behave like a positive one, and what does the article's guard do?

Command: make study-sigma-signs
Minutes: 7.5 on full MNIST (two cores, after installation)
Claim:   C9, «a negative sigma behaves like a positive one»

Found (ten seeds, full MNIST; three at D=20). At D=10 and 20 a negative sigma does behave like a positive one: raw ends
0.2 ± 0.2 nats above log-variance at D=10, with half of its units negative. At D=2 the sigma of a unit passes through 0
from one image to another. There, without the guard, raw ends 11.8 ± 6.6 nats below log-variance, and abs, which has no
sign, ends 10.1 ± 3.7 below. With the guard raw ends 0.0 ± 0.6 nats from log-variance and abs 0.3 ± 0.9 below.

The study compares the article's raw sigma, which may have either sign, with its absolute value and with a log-variance.
All three start where the first weights of the head put them: near zero and with either sign, as in the article's
script. A sigma of 0 has an infinite KL. The script adds 1e-8 inside its logarithms, which keeps the KL and its gradient
finite there; the default is to add nothing. All else is the default protocol, at D=2, 10 and 20. The study sigma starts
every arm at sigma = 1 instead. A unit of two signs has a raw sigma that is negative on some images and positive on
others, and is therefore near 0 on the images between. docs/sigma.md has the details.
"""

from vaestudy import RunConfig, Study, study_main

STUDY = Study(
    name="sigma-signs",
    doc=__doc__,
    base=RunConfig(figures=("reconstructions", "training_curves", "kl_per_dimension")),
    factors={"sigma": ("log-variance", "abs", "raw"), "latent_dim": (2, 10, 20), "log_guard": (0.0, 1e-8)},
    baseline={"sigma": "log-variance", "latent_dim": 10, "log_guard": 0.0},
    tabulate=(
        "test/elbo",
        "test/iwae_100",
        "train/gradient_norm",
        "test/two_signed_sigma_units",
        "test/negative_sigma_units",
    ),
    figures=("arms",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
