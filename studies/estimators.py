"""Which gradient estimator reaches the best bound, and how noisy is each?

Command: make study-estimators
Minutes: 40 on full MNIST (two cores, after installation)
Claims:  C1, «the score function's gradient has far too much variance»; C2, «the KL is best used in closed form»

The study crosses seven estimators with L = 1, 5 and 50, with three seeds. The nets are the article's, with D=10,
Bernoulli on grey pixels, M=100 and Adam at 1e-3. Two choices differ from the article. Training lasts 5 epochs (on
mnist-5k give --epochs 40). The scale is sigma = exp(head / 2), because with a raw sigma the gradient of ln sigma^2 has
a variance that cannot be estimated with any number of draws.

All runs are scored by the same bounds. The study measures the noise of the objective's value, the noise of its gradient
and the encoder's signal-to-noise ratio: at the start, after epoch 1 and at the end. It measures them for the run's own
estimator, and for all estimators at the same weights (the table `noise`). Three cells are left out: at L=1 iwae is the
same as sgvb-a, dreg is the same as stl, and score-function-loo has no other draw to compare with. docs/estimators.md
has the results.
"""

from vaestudy import RunConfig, Study, study_main

ESTIMATORS = ("sgvb-a", "sgvb-b", "stl", "iwae", "dreg", "score-function-loo", "score-function")

STUDY = Study(
    name="estimators",
    doc=__doc__,
    base=RunConfig(
        epochs=5,
        gradient_images=200,
        gradient_estimators=ESTIMATORS,
        figures=("reconstructions", "training_curves"),
    ),
    factors={"estimator": ESTIMATORS, "samples": (1, 5, 50)},
    leave_out=(
        {"estimator": "score-function-loo", "samples": 1},
        {"estimator": "iwae", "samples": 1},
        {"estimator": "dreg", "samples": 1},
    ),
    baseline={"estimator": "sgvb-b", "samples": 1},
    tabulate=(
        "test/elbo",
        "test/iwae_100",
        "gradient/end/value/var_eps",
        "gradient/end/all/variance",
        "gradient/end/encoder/snr_draws",
        "test/active_units",
        "seconds/train",
    ),
    figures=("estimator_panels",),
    tables=("noise",),
)

if __name__ == "__main__":
    raise SystemExit(study_main(STUDY))
